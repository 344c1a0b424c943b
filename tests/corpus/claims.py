"""Claims of what is another's to say, keys that are none, and events said again with other content."""

from __future__ import annotations

from typing import Any, Final

from shared.events.cloudevent import STRUCTURED
from tests.corpus.hostile import AUTHORIZATION, GTIN, JSON, Classes, Given, event, over_http, text_of

# The event that the replays repeat; whoever runs the corpus sends it first.
ANCHOR: Final = "anchor"
ANCHOR_LOT: Final = "HOSTILE-ANCHOR"


def anchor(given: Given) -> JSON:
    return given.event(ANCHOR, "batch.produced", lot=ANCHOR_LOT, quantity=5_000, inputs=None)


def correction(given: Given, name: str, of_source: str, replacement: JSON | None = None) -> JSON:
    """A correction of an event of `of_source` that counts as `replacement`, or as nothing."""
    corrects = {"source": of_source, "id": f"{given.run}/some-original", "type": "supply.batch.produced.v1"}
    more = {} if replacement is None else {"replacement": {"type": replacement["type"], "data": replacement["data"]}}
    told: dict[str, Any] = {"corrects": corrects, "key": GTIN, "corrected_on": "2026-03-13", "reason": "wrong"}
    return given.event(name, "event.corrected") | {"data": {**told, **more}}


def classes(given: Given) -> Classes:
    yield from _others(given)
    yield from _keys(given)
    yield from _replays(given)


def _others(given: Given) -> Classes:
    foreign = {**given.event("source"), "source": given.foreign_source}
    yield event("foreign_source", "an event of another's", foreign, 403, "foreign_source")
    maker = given.event("gln", "batch.produced", manufacturer=given.foreign_gln)
    yield event("foreign_gln", "a batch that another is said to have made", maker, 403, "foreign_gln")
    site = given.event("site", "batch.produced", site=given.foreign_gln)
    yield event("foreign_site", "a batch made at another's plant", site, 403, "foreign_gln")
    holder = given.event("holder", "stock.counted", holder=given.foreign_gln, covers="holder")
    yield event("foreign_count", "a count of another's stock", holder, 403, "foreign_gln")
    importer = given.event("role", "import.received", importer=given.foreign_gln)
    yield event("foreign_role", "an import, said by a manufacturer", importer, 403, "role")
    price = given.event("price", "price.declared")
    yield event("regulators_word", "a price, which the regulator declares", price, 403, "role")
    undone = correction(given, "undone", given.foreign_source)
    yield event("foreign_correction", "another's event undone", undone, 403, "foreign_source")
    replaced = correction(given, "replaced", given.source, maker)
    yield event("foreign_replacement", "one's own event replaced by another's batch", replaced, 403, "foreign_gln")
    inner = correction(given, "inner", given.foreign_source)
    nested = correction(given, "nested", given.source, inner)
    yield event("nested_correction", "another's event undone inside a correction", nested, 403, "foreign_source")
    other = correction(given, "key", given.source, given.event("other", "batch.produced", gtin="95200002"))
    other["data"]["key"] = GTIN
    yield event("foreign_key_replacement", "a replacement about another product", other, 422, "key_mismatch")
    moved = correction(given, "topic", given.source, given.event("moved", "price.declared"))
    yield event("topic_change", "a replacement that belongs to another topic", moved, 422, "topic_mismatch")


def _keys(given: Given) -> Classes:
    body = text_of(given.event("keys"))
    form = (b"content-type", STRUCTURED.encode())
    for name, what, authorization in (
        ("no_such_key", "a key that was never issued", b"Bearer sw_aaaaaaaaaaaa_" + b"a" * 43),
        ("empty_key", "an empty key", b"Bearer "),
        ("basic_key", "another scheme", b"Basic YWRtaW46YWRtaW4="),
        ("long_key", "a key of 10,000 characters", b"Bearer sw_" + b"a" * 10_000),
        ("noise_key", "a key of bytes that are no text", b"Bearer \xff\xfe\xfd"),
    ):
        yield over_http(name, what, [form, (AUTHORIZATION, authorization)], body, 401, "key")


def _replays(given: Given) -> Classes:
    """Refused by nobody: of two events with one source and id the ledger keeps the first, and says that they differ."""
    again = anchor(given)
    yield event("replay", "the same event again: legal, and without effect", again, 202)
    changed = {**again, "data": {**again["data"], "quantity": 9_000}}
    yield event("changed_replay", "the same id with more packs: the first recorded stands", changed, 202)
    retold = {**again, "time": "2026-03-12T09:31:00+07:00"}
    yield event("retimed_replay", "the same id with another time: the first recorded stands", retold, 202)
