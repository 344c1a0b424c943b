"""The ledger folded from events in plain dicts, at once and from the start: slow, and short enough to check by eye.

It knows nothing of batches, databases or the order of arrival (only of two events with one id does the first stand).
What it holds the supply service to: law 2 of the design, and the posting table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

JSON = Mapping[str, Any]
Key = tuple[str, str]
Lot = tuple[str, str]
# (gtin, lot), day, the place packs leave, the place they reach, packs, day of expiry where they come into being
Transfer = tuple[Lot, str, str, str, int, str | None]

CORRECTED = "supply.event.corrected.v1"
DEEPEST = 16
# type: the place packs leave, the place they reach, the field of the day of effect; {field} is a field of the event
POSTINGS = {
    "supply.batch.produced.v1": ("produced", "quarantine", "produced_on"),
    "supply.batch.released.v1": ("quarantine", "available", "released_on"),
    "supply.batch.rejected.v1": ("quarantine", "rejected", "rejected_on"),
    "supply.import.received.v1": ("imported", "{hold}", "received_on"),
    "supply.export.shipped.v1": ("{from}", "exported", "shipped_on"),
    "supply.stock.returned.v1": ("{from}", "{to}", "returned_on"),
    "supply.consumption.reported.v1": ("available", "consumed", "period_end"),
    "supply.batch.destroyed.v1": ("{from}", "destroyed", "destroyed_on"),
    "supply.stock.adjusted.v1": ("available", "adjusted", "adjusted_on"),
}


class Book:
    """What a sequence of events, in the order of their recording, comes to.

    `balances`: packs by lot and place; `flows`: net packs by (gtin, lot, day, from, to); `facts` of each lot. The lot
    of consumption that names none is "".
    """

    def __init__(self, recorded: Iterable[JSON]) -> None:
        self.first: dict[Key, JSON] = {}
        self.conflicts: set[Key] = set()
        for event in recorded:
            key = (event["source"], event["id"])
            if content(self.first.setdefault(key, event)) != content(event):
                self.conflicts.add(key)
        self.corrections: dict[Key, list[Key]] = defaultdict(list)
        for key, event in self.first.items():
            if event["type"] == CORRECTED:
                about = event["data"]["corrects"]
                self.corrections[about["source"], about["id"]].append(key)
        self.balances: dict[Lot, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.flows: dict[tuple[str, str, str, str, str], int] = defaultdict(int)
        self.facts: dict[Lot, dict[str, Any]] = {}
        standing = [event for event in map(self.standing, self.first) if event is not None]
        for event in standing:
            for transfer in transfers(event):
                self._post(transfer)

    def standing(self, key: Key) -> JSON | None:
        """Type and data of what an event that is no correction counts as; None: as nothing."""
        event = self.first[key]
        return None if event["type"] == CORRECTED else self._counts(key, event, event, 0)

    def _counts(self, key: Key, said: JSON, root: JSON, depth: int) -> JSON | None:
        """What the event `key`, `depth` corrections above the original `root`, counts as after those of it."""
        holding: tuple[tuple[datetime, str, str], JSON | None] | None = None
        for above in self.corrections.get(key, ()) if depth < DEEPEST else ():
            told = self.first[above]
            about = told["data"]
            if about["corrects"]["type"] != root["type"] or about["key"] != topic_key(root["data"]):
                continue
            counts = self._counts(above, told, root, depth + 1)
            if counts is None or not fits(counts["data"].get("replacement"), said):
                continue
            rank = (datetime.fromisoformat(told["time"]), told["source"], told["id"])
            if holding is None or holding[0] < rank:
                holding = (rank, counts["data"].get("replacement"))
        return said if holding is None else holding[1]

    def _post(self, transfer: Transfer) -> None:
        lot, day, debit, credit, packs, expires_on = transfer
        self.balances[lot][debit] -= packs
        self.balances[lot][credit] += packs
        self.flows[*lot, day, debit, credit] += packs
        facts = self.facts.setdefault(lot, {"produced": 0, "imported": 0})
        if debit in ("produced", "imported"):
            facts[debit] += 1
            facts["introduced_on"] = min(day, facts.get("introduced_on", day))
            facts["expires_on"] = min(str(expires_on), facts.get("expires_on", str(expires_on)))
        if credit == "available" and debit in ("quarantine", "imported"):
            facts["supplied_on"] = min(day, facts.get("supplied_on", day))

    def origin(self, lot: Lot) -> str:
        facts = self.facts.get(lot, {})
        if not lot[1] or not (facts.get("produced") or facts.get("imported")):
            return "unknown"
        return "domestic" if facts["produced"] else "import"


def content(event: JSON) -> tuple[Any, ...]:
    """What two events with one id are compared by: defaults count as written."""
    defaults: dict[str, Any] = {"from": "available"} if event["type"] in FROM_AVAILABLE else {}
    if event["type"] == "supply.import.received.v1":
        defaults = {"hold": False, "basis": "registered"}
    data = {**defaults, **{name: value for name, value in event["data"].items() if value not in (None, [])}}
    return event["type"], datetime.fromisoformat(event["time"]), data


FROM_AVAILABLE = ("supply.export.shipped.v1", "supply.batch.destroyed.v1")


def fits(replacement: JSON | None, said: JSON) -> bool:
    """A correction is replaced by a correction of the same event, any other event by one that is no correction."""
    if replacement is None:
        return True
    if said["type"] != CORRECTED or replacement["type"] != CORRECTED:
        return CORRECTED not in (said["type"], replacement["type"])
    return all(replacement["data"][name] == said["data"][name] for name in ("corrects", "key"))


def topic_key(data: JSON) -> str:
    return str(data["gtin"])


def transfers(event: JSON) -> Iterator[Transfer]:
    """The posting table of the design."""
    if event["type"] not in POSTINGS:
        return
    data: dict[str, Any] = {"from": "available", **event["data"]}
    data["hold"] = "quarantine" if data.get("hold") else "available"
    debit, credit, day = POSTINGS[event["type"]]
    debit, credit, packs = debit.format(**data), credit.format(**data), data.get("quantity", 0)
    if "delta" in data:
        packs = abs(data["delta"])
        debit, credit = (credit, debit) if data["delta"] > 0 else (debit, credit)
    expires_on = data.get("expires_on")
    yield (data["gtin"], data.get("lot") or ""), data[day], debit, credit, packs, expires_on
    for used in data.get("inputs") or ():
        yield (used["gtin"], used["lot"]), data[day], "available", "transformed", used["quantity"], None
