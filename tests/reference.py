"""The ledger folded from events in plain dicts, at once and from the start: slow, and short enough to check by eye.

It knows nothing of batches, databases or the order of arrival (only of two events with one id does the first stand).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

JSON = Mapping[str, Any]
Key = tuple[str, str]  # source and id of an event, or gtin and lot
# (gtin, lot), day, the place packs leave, the place they reach, packs, day of expiry where they come into being
Transfer = tuple[Key, str, str, str, int, str | None]

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
DEFAULTS = {"from": "available", "hold": False, "basis": "registered"}


class Book:
    """What a sequence of events, in the order of their recording, comes to.

    `balances`: packs by lot and place; `flows`: net packs by (gtin, lot, day, from, to); `facts` of each lot; `marks`:
    the events that post nothing and count, with what they count as. The lot of consumption that names none is "".
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
                self.corrections[corrected(event)].append(key)
        self.balances: dict[Key, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.flows: dict[tuple[str, str, str, str, str], int] = defaultdict(int)
        self.facts: dict[Key, dict[str, Any]] = {}
        self.marks: dict[Key, JSON] = {}
        for key, event in self.first.items():
            counts = self._counts(key, event, 0) if event["type"] != CORRECTED else None
            for transfer in transfers(counts) if counts and counts["type"] in POSTINGS else ():
                self._post(*transfer)
            if counts and counts["type"] not in POSTINGS:
                self.marks[key] = counts

    def _counts(self, key: Key, root: JSON, depth: int) -> JSON | None:
        """What the event `key`, `depth` corrections above the original `root`, counts as after those of it."""
        holding = self._holding(key, root, depth)
        return self.first[key] if holding is None else holding[1]

    def _holding(self, key: Key, root: JSON, depth: int) -> tuple[Any, JSON | None] | None:
        """Of the corrections of `key` that count the one of the greatest rank: its rank, and what it puts in place."""
        found: list[tuple[Any, JSON | None]] = []
        for above in self.corrections.get(key, ()) if depth < DEEPEST else ():
            counts = self._counts(above, root, depth + 1) if means(self.first[above], root) else None
            if counts is not None and fits(counts["data"].get("replacement"), self.first[key]):
                said = datetime.fromisoformat(self.first[above]["time"])
                found.append(((said, *above), counts["data"].get("replacement")))
        return max(found, key=lambda item: item[0], default=None)

    def state(self, key: Key) -> str:
        """What became of the correction `key`."""
        path = [key]
        while len(path) <= DEEPEST and self.first.get(path[-1], {}).get("type") == CORRECTED:
            path.append(corrected(self.first[path[-1]]))
        root = self.first.get(path[-1], {"type": CORRECTED})
        if root["type"] == CORRECTED or not means(self.first[key], root):
            return "waiting"
        counts = self._counts(key, root, len(path) - 1)
        if counts is None or not fits(counts["data"].get("replacement"), self.first[path[1]]):
            return "no_effect" if counts is None else "waiting"
        holding = self._holding(path[1], root, len(path) - 2)
        return "recorded" if holding is not None and holding[0][1:] == key else "conflict"

    def _post(self, lot: Key, day: str, debit: str, credit: str, packs: int, expires_on: str | None) -> None:
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

    def origin(self, lot: Key) -> str:
        facts = self.facts.get(lot, {}) if lot[1] else {}
        return "domestic" if facts.get("produced") else "import" if facts.get("imported") else "unknown"


def content(event: JSON) -> tuple[Any, ...]:
    """What two events with one id are compared by: defaults count as written."""
    told: JSON = {name: value for name, value in event["data"].items() if value not in (None, [])}
    return event["type"], datetime.fromisoformat(event["time"]), {**DEFAULTS, **told}


def corrected(correction: JSON) -> Key:
    return correction["data"]["corrects"]["source"], correction["data"]["corrects"]["id"]


def means(correction: JSON, root: JSON) -> bool:
    """Whether it names the type and the topic key of the first original."""
    data: JSON = correction["data"]
    return (data["corrects"]["type"], data["key"]) == (root["type"], topic_key(root["data"]))


def fits(replacement: JSON | None, said: JSON) -> bool:
    """A correction is replaced by a correction of the same event, any other event by one that is no correction."""
    if replacement is None or CORRECTED not in (said["type"], replacement["type"]):
        return True
    inner, outer = replacement["data"], said["data"]
    return all(name in inner and inner[name] == outer.get(name) for name in ("corrects", "key"))


def topic_key(data: JSON) -> str:
    if "substance" in data:
        return f"{data['substance']}/{data['form']}"
    names = ("gtin", "authorisation", "agreement", "interruption", "figure", "site", "certificate")
    return str(next(data[name] for name in names if name in data))


def transfers(event: JSON) -> Iterator[Transfer]:
    """The posting table of the design, of an event that has a posting."""
    data: dict[str, Any] = {"from": "available", **event["data"]}
    data["hold"] = "quarantine" if data.get("hold") else "available"
    debit, credit, day = POSTINGS[event["type"]]
    debit, credit, packs = debit.format(**data), credit.format(**data), abs(data.get("delta", data.get("quantity", 0)))
    if data.get("delta", 0) > 0:
        debit, credit = credit, debit
    yield (data["gtin"], data.get("lot") or ""), data[day], debit, credit, packs, data.get("expires_on")
    for used in data.get("inputs") or ():
        yield (used["gtin"], used["lot"]), data[day], "available", "transformed", used["quantity"], None
