"""Makes a flood of movements of several producers: events twice, with one id and two contents, corrected, too early."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from tests.reference import CORRECTED
from tests.supply_given import WITHOUT_QUANTITY, correcting, correction, event

JSON = dict[str, Any]
DAYS = [f"2026-0{month}-{day:02d}" for month in range(1, 6) for day in range(1, 29)]
TIMES = [f"2026-05-30T0{hour}:00:00Z" for hour in range(3)]
DUPLICATES, CORRECTIONS, CONFLICTS = 0.05, 0.04, 0.005
LOTS_A_PRODUCT = 12


def flood(source: str, gln: str, kinds: Sequence[str], products: Sequence[str], count: int, seed: int) -> list[JSON]:
    """`count` events of one producer in the order in which it sends them, which is not the order of their making."""
    drawn = Random(seed)
    said = [_said(source, gln, kinds, products, f"{seed}-{number}", drawn) for number in range(count)]
    for number in range(int(count * CORRECTIONS)):
        of = said[drawn.randrange(len(said))]
        said.append(_correction(of, f"{seed}-c{number}", source, drawn))
    drawn.shuffle(said)
    again = drawn.choices(said, k=int(count * DUPLICATES))
    other = [_other_content(item, drawn) for item in drawn.choices(said, k=int(count * CONFLICTS))]
    for item in again + other:
        said.insert(drawn.randrange(len(said)), item)
    return said


def _said(source: str, gln: str, kinds: Sequence[str], products: Sequence[str], id: str, drawn: Random) -> JSON:
    kind = drawn.choice(kinds)
    told: JSON = {"gtin": drawn.choice(products), "lot": f"L{drawn.randrange(LOTS_A_PRODUCT)}"}
    if kind not in WITHOUT_QUANTITY:
        told["quantity"] = drawn.randrange(1, 1000)
    day = drawn.choice(DAYS)
    match kind:
        case "batch.produced":
            told |= {"produced_on": day, "expires_on": drawn.choice(["2027-01-01", "2028-01-01"]), "manufacturer": gln}
            if drawn.random() < 0.3:
                told["inputs"] = [{"gtin": drawn.choice(products), "lot": "I", "quantity": drawn.randrange(1, 9)}]
        case "batch.released":
            told["released_on"] = day
        case "import.received":
            told |= {"received_on": day, "importer": gln, "hold": drawn.random() < 0.5}
        case "export.shipped":
            told |= {"shipped_on": day, "exporter": gln, "from": drawn.choice([None, "available", "quarantine"])}
        case "stock.returned":
            told |= {"returned_on": day, "from": drawn.choice(["consumed", "exported"])}
        case "consumption.reported":
            told |= {"period_start": "2026-01-01", "period_end": day}
            told["lot"] = drawn.choice([None, told["lot"]])
        case "stock.adjusted":
            told["delta"] = drawn.choice([-3, -1, 2])
        case "batch.destroyed":
            told |= {"destroyed_on": day, "from": drawn.choice([None, "quarantine", "rejected"])}
    return event(kind, id, source=source, time=drawn.choice(TIMES), **told)


def _correction(of: JSON, id: str, source: str, drawn: Random) -> JSON:
    """Undoes or replaces an event; of a correction, undoes it or lets it put something else in place."""
    time = drawn.choice(TIMES)
    if of["type"] == CORRECTED:
        about = of["data"]["corrects"]
        original = {"type": about["type"], "data": {"gtin": of["data"]["key"]}}
        again = {"type": CORRECTED, "data": correcting(about, None, original=original)}
        return correction(id, of, drawn.choice([None, again]), original=original, source=source, time=time)
    instead = {**of, "data": dict(of["data"])}
    for name in ("quantity", "delta"):
        if name in instead["data"]:
            instead["data"][name] = drawn.randrange(1, 50)
    return correction(id, of, drawn.choice([None, instead]), source=source, time=time)


def _other_content(item: JSON, drawn: Random) -> JSON:
    return {**item, "time": drawn.choice(["2026-04-01T00:00:00Z", item["time"]])}
