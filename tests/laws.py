"""What producers may say of a small market, step by step: the rules that the state machines of the ledger's laws share.

The market is small so that events meet: two products, three lots, three days, few packs, two producers.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shared import topics
from tests.reference import CORRECTED, JSON, topic_key
from tests.supply_given import DEFAULTS, GTIN, MAKER, SOURCE, Message, correcting, data, gtin, message

OTHER: Final = "urn:gln:9520000000011"
PARTITIONS: Final = 2
PLACES: Final = [(topics.MOVEMENTS, 0), (topics.MOVEMENTS, 1), (topics.REGISTRY, 0)]
# Close to the end of a month, so that the records of one ledger lie in two parts of the journal.
FIRST_RECORD_MS: Final = 1_769_880_000_000
BETWEEN_RECORDS_MS: Final = 900_000
DAYS: Final = ["2026-01-03", "2026-01-05", "2026-02-01"]
TIMES: Final = ["2026-01-05T03:00:00Z", "2026-01-05T10:00:00+07:00", "2026-01-06T00:00:00.000001Z"]
MOVES: Final = sorted(set(DEFAULTS) - {"batch.recalled", "recall.closed", "stock.counted"})
MARKS: Final = ["batch.recalled", "recall.closed", "stock.counted"]
OF_AUTHORISATION: Final = ["registration.granted", "registration.suspended"]
REGISTRY: Final = ["price.declared", "transfer.reached", *OF_AUTHORISATION]
KINDS: Final = [*MOVES, *MOVES, *MARKS, *REGISTRY]
DEEPEST_TOWER: Final = 19
WAYS: Final = ["undo", "restate", "restate", "retell", "retell", "wrong type", "wrong key", "misfit", "ahead"]

INDEX: Final = st.integers(0, 10**6)
Choice = tuple[str, int, int, int, int, int]
CHOICES: Final[st.SearchStrategy[Choice]] = st.tuples(
    st.sampled_from(KINDS),
    st.integers(0, 1),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(1, 5),
    st.integers(0, 5),
)
_DAY_OF: Final = {
    "batch.produced": "produced_on",
    "batch.released": "released_on",
    "batch.rejected": "rejected_on",
    "import.received": "received_on",
    "export.shipped": "shipped_on",
    "stock.returned": "returned_on",
    "consumption.reported": "period_end",
    "batch.recalled": "recalled_on",
    "recall.closed": "closed_on",
    "batch.destroyed": "destroyed_on",
    "stock.counted": "counted_on",
    "stock.adjusted": "adjusted_on",
}


def said(choice: Choice) -> dict[str, Any]:
    """Type and data of the event that a choice of kind, product, lot, day, packs and one detail stands for."""
    kind, product, lot, day, packs, detail = choice
    if kind in REGISTRY:
        return {"type": f"supply.{kind}.v1", "data": _registered(kind, product, DAYS[day], packs)}
    told: dict[str, Any] = {"gtin": gtin(product + 1), "lot": f"L{lot}", _DAY_OF[kind]: DAYS[day]}
    if kind not in ("batch.recalled", "recall.closed", "stock.adjusted"):
        told["quantity"] = packs
    return {"type": f"supply.{kind}.v1", "data": data(kind, **told | _detail(kind, product, packs, detail))}


def _detail(kind: str, product: int, packs: int, detail: int) -> dict[str, Any]:
    odd = detail % 2 == 1
    match kind:
        case "batch.produced":
            used = {"gtin": gtin(2 - product), "lot": f"L{detail % 3}", "quantity": packs}
            return {"expires_on": "2028-01-01" if odd else "2029-01-01", "inputs": [used] if detail > 3 else None}
        case "import.received":
            return {"hold": (None, True, False)[detail % 3]}
        case "export.shipped":
            return {"from": (None, "available", "quarantine")[detail % 3]}
        case "batch.destroyed":
            return {"from": (None, "quarantine", "rejected")[detail % 3]}
        case "stock.returned":
            return {"from": "consumed" if odd else "exported", "to": "quarantine" if detail > 2 else "available"}
        case "consumption.reported" | "batch.recalled" | "recall.closed":
            nothing = {"period_start": "2026-01-01"} if kind == "consumption.reported" else {}
            return {**nothing, **({"lot": None} if odd else {})}
        case "stock.adjusted":
            return {"delta": packs if odd else -packs}
    return {}


def _registered(kind: str, number: int, day: str, packs: int) -> dict[str, Any]:
    match kind:
        case "price.declared":
            return {"gtin": gtin(number + 1), "price": packs * 1000, "currency": "VND", "effective_on": day}
        case "transfer.reached":
            return {"agreement": f"TA-{number}", "milestone": f"m{packs}", "reached_on": day}
        case "registration.suspended":
            return {"authorisation": f"VD-{number}", "effective_on": day, "reason": f"inspection {packs}"}
    product = {"name": "M", "substance": "m", "atc": "A10BA02", "form": "tablet", "class": "generic"}
    return {
        "authorisation": f"VD-{number}",
        "product": product,
        "packs": [{"gtin": gtin(number + 1), "pack_size": packs}],
        "origin": "domestic",
        "holder": MAKER,
        "manufacturer": MAKER,
        "granted_on": day,
        "expires_on": "2030-01-01",
    }


def instead(of: JSON, choice: Choice, *, same_kind: bool) -> dict[str, Any]:
    """Type and data that can replace those of an event: with its topic and key, and its lot too if the same kind."""
    kind = of["type"].removeprefix("supply.").removesuffix(".v1")
    fitting = next(group for group in ([*MOVES, *MARKS], OF_AUTHORISATION, [kind]) if kind in group)
    wanted = kind if same_kind or choice[0] not in fitting else choice[0]
    found = said((wanted, *choice[1:]))
    for name in ("gtin", "authorisation", "agreement", *(("lot",) if same_kind else ())):
        if name in of["data"] and name in found["data"]:
            found["data"][name] = of["data"][name]
    return found


class Log:
    """The trusted topics as Kafka holds them: every record with its place, in the order in which it was appended."""

    def __init__(self) -> None:
        self.ends = dict.fromkeys(PLACES, 0)
        self.chains = {place: [bytes(32)] for place in PLACES}
        self._length = 0

    def append(self, told: JSON) -> Message:
        key = told["data"]["key"] if told["type"] == CORRECTED else topic_key(told["data"])
        about = told["data"]["corrects"]["type"] if told["type"] == CORRECTED else told["type"]
        registered = any(about == f"supply.{kind}.v1" for kind in REGISTRY)
        number = 0 if registered else topics.partition_for(key.encode(), PARTITIONS)
        place = (topics.REGISTRY if registered else topics.MOVEMENTS, number)
        self._length += 1
        moment = FIRST_RECORD_MS + self._length * BETWEEN_RECORDS_MS - number * 3 * BETWEEN_RECORDS_MS
        found = message(told, self.ends[place], partition=number, timestamp=moment)
        found = found._replace(topic=place[0])
        self.ends[place] += 1
        self.chains[place].append(linked(self.chains[place][-1], found))
        return found


def linked(before: bytes, record: Message) -> bytes:
    """The hash chain's next link as the design words it, and not as the service computes it."""

    def prefixed(part: bytes | None) -> bytes:
        return b"\xff" * 4 if part is None else struct.pack(">I", len(part)) + part

    headers = struct.pack(">I", len(record.headers))
    for name, value in sorted(record.headers):
        headers += prefixed(name.encode()) + prefixed(value)
    place = struct.pack(">IQq", record.partition, record.offset, record.timestamp)
    rest = (prefixed(record.key), prefixed(headers), prefixed(record.value))
    return hashlib.sha256(before + prefixed(record.topic.encode()) + place + b"".join(rest)).digest()


class Telling(RuleBasedStateMachine):
    """Events are said, and appended at once or later, in any order. A machine says how the log is consumed.

    `steps`: those of all machines. `said`: every event ever said; `log`; `inbox`: what was appended and not consumed;
    `recorded`: what was, in order.
    """

    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        Telling.steps -= 1  # the invariants are looked at once before the first step
        self.said: list[dict[str, Any]] = []
        self.late: list[JSON] = []
        self.log = Log()
        self.inbox: list[tuple[Message, JSON]] = []
        self.recorded: list[JSON] = []

    @invariant()
    def a_step_is_counted(self) -> None:
        Telling.steps += 1

    def consume(self, how: int) -> None:
        """Takes over what is in the inbox; `how` decides what happens on the way."""
        raise NotImplementedError

    def _say(self, told: JSON, number: int | None = None, *, time: int = 0, source: int = 0) -> dict[str, Any]:
        """A new event; or with `number` one that claims the id of another."""
        identity = {"source": (SOURCE, OTHER)[source % 2], "id": f"e{len(self.said)}"}
        if number is not None:
            identity = {name: self.said[number % len(self.said)][name] for name in ("source", "id")}
        event = {"specversion": "1.0", **identity, "time": TIMES[time % 3], **told}
        self.said.append(event)
        return event

    def _send(self, event: JSON, how: int) -> None:
        """How: a third is held back; after half of the others the inbox is consumed."""
        if how % 3 == 0:
            self.late.append(event)
            return
        self.inbox.append((self.log.append(event), event))
        if how % 2 == 1:
            self.consume(how // 6)

    @initialize(choice=CHOICES)
    def something_first(self, choice: Choice) -> None:
        self._send(self._say(said(choice)), 1)

    @rule(choice=CHOICES, time=st.integers(0, 2), source=st.integers(0, 1), how=INDEX)
    def something_new(self, choice: Choice, time: int, source: int, how: int) -> None:
        self._send(self._say(said(choice), time=time, source=source), how)

    @rule(which=INDEX, how=INDEX)
    def the_same_again(self, which: int, how: int) -> None:
        self._send(self.said[which % len(self.said)], how)

    @rule(which=INDEX, choice=CHOICES, how=INDEX)
    def other_content_with_the_same_id(self, which: int, choice: Choice, how: int) -> None:
        self._send(self._say(said(choice), which), how)

    @rule(which=INDEX, way=st.sampled_from(WAYS), choice=CHOICES, time=st.integers(0, 2), how=INDEX)
    def a_correction(self, which: int, way: str, choice: Choice, time: int, how: int) -> None:
        of = self.said[-1 - which % min(len(self.said), 8)] if which % 2 else self.said[which % len(self.said)]
        self._send(self._say({"type": CORRECTED, "data": correction_of(of, way, choice)}, time=time), how)

    @rule(size=st.integers(1, 3), choice=CHOICES, how=INDEX)
    def corrections_in_a_circle(self, size: int, choice: Choice, how: int) -> None:
        first = len(self.said)
        for number in range(size):
            of = {"source": SOURCE, "id": f"e{first + (number + 1) % size}"}
            told = correcting(of, original=_keyed(said(choice)))
            self._send(self._say({"type": CORRECTED, "data": told}), how + number)

    @rule(which=INDEX, height=st.integers(1, DEEPEST_TOWER), choice=CHOICES, how=INDEX)
    def a_tower_of_corrections(self, which: int, height: int, choice: Choice, how: int) -> None:
        of = self.said[which % len(self.said)]
        for number in range(height):
            way = "undo" if (which >> number) % 4 else "retell"
            of = self._say({"type": CORRECTED, "data": correction_of(of, way, choice)})
            self._send(of, how + number)

    @rule(which=INDEX, how=INDEX)
    def something_late(self, which: int, how: int) -> None:
        if self.late:
            self._send(self.late.pop(which % len(self.late)), how)

    @rule(how=INDEX)
    def a_batch(self, how: int) -> None:
        self.consume(how)


def _keyed(told: JSON) -> JSON:
    """An original as `correcting` wants it: with its topic key under gtin."""
    return {"type": told["type"], "data": {"gtin": topic_key(told["data"])}}


def correction_of(of: JSON, way: str, choice: Choice) -> dict[str, Any]:
    """The data of a correction of `of`, a correction perhaps: right or wrong in one of WAYS."""
    first = _first(of)
    fresh = said(choice)
    if way == "wrong type":
        first = {**first, "type": fresh["type"]}
    if way == "wrong key":
        first = {**first, "data": {"gtin": GTIN}}
    if way == "ahead":
        of = {"source": OTHER, "id": f"e{choice[4] * 7}"}
        return correcting(of, fresh, original=_keyed(fresh))
    if way == "misfit":
        nested = {"type": CORRECTED, "data": correcting({"source": OTHER, "id": "e1"}, fresh, original=first)}
        return correcting(of, _replacing(first, choice) if of["type"] == CORRECTED else nested, original=first)
    if way in ("undo", "wrong type", "wrong key") and choice[5] < 3:
        return correcting(of, original=first)
    if of["type"] != CORRECTED:
        return correcting(of, instead(of, choice, same_kind=way == "restate"), original=first)
    inner = correcting(of["data"]["corrects"], _replacing(_first(of), choice), original=_first(of))
    return correcting(of, {"type": CORRECTED, "data": inner}, original=first)


def _first(of: JSON) -> JSON:
    """Type and key of the first original, as an event or a correction tells them."""
    if of["type"] == CORRECTED:
        return {"type": of["data"]["corrects"]["type"], "data": {"gtin": of["data"]["key"]}}
    return _keyed(of)


def _replacing(first: JSON, choice: Choice) -> dict[str, Any] | None:
    """What an original of which type and key are known may be replaced by; None: by nothing."""
    kind, key = first["type"].removeprefix("supply.").removesuffix(".v1"), first["data"]["gtin"]
    found = said((kind, *choice[1:]))
    name = next(name for name in ("gtin", "authorisation", "agreement") if name in found["data"])
    # A correction that names the wrong type can have a key that no event of that type has.
    if choice[5] == 0 or (name == "gtin" and not key.isdigit()):
        return None
    found["data"][name] = key
    return found


def cut(items: Sequence[Any], how: int) -> list[list[Any]]:
    """Consecutive batches of 1 to 5."""
    size = how % 5 + 1
    return [list(items[start : start + size]) for start in range(0, len(items), size)]
