"""Makes a small market as it may come in: products of several firms, their registry, and movements in any order."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any, Final

from shared import topics
from tests.reference import CORRECTED
from tests.supply_given import MAKER, SOURCE, correction, gtin
from tests.supply_given import event as movement

JSON = dict[str, Any]
FIRMS: Final = ("9520001000003", "9520002000002", "9520007000007", "9520015000006")
FIRST: Final = date(2024, 9, 1)
DAYS: Final = 700
SUBSTANCES: Final = (("metformin", "A10BA02"), ("amlodipine", "C08CA01"), ("insulin human", "A10AB01"))
PRODUCTS: Final = tuple(gtin(700_000 + number) for number in range(8))
SCOPES: Final = (
    *("all", "atc:A10", "atc:C", "substance:metformin", "substance:insulin human", "substance:none"),
    *("agreement:A-1", "agreement:none", f"brand:{FIRMS[2]}"),
    *(f"gtin:{product}" for product in PRODUCTS),
)


def day(drawn: Random, first: int = 0, last: int = DAYS) -> str:
    return (FIRST + timedelta(days=drawn.randrange(first, last))).isoformat()


def registry(drawn: Random) -> list[JSON]:
    """Facts of which no two speak of the same on the same day."""
    said: list[JSON] = []

    def say(kind: str, **told: Any) -> None:
        about = {"specversion": "1.0", "type": f"supply.{kind}.v1", "source": SOURCE, "time": "2024-09-01T00:00:00Z"}
        said.append({**about, "id": f"r{len(said)}", "data": {k: v for k, v in told.items() if v is not None}})

    for number, product in enumerate(PRODUCTS[:7]):
        substance, atc = SUBSTANCES[number % 3]
        origin = "domestic" if number % 2 else "import"
        about = {"name": f"Med {number}", "substance": substance, "atc": atc, "form": "tablet", "class": "generic"}
        say(
            "registration.granted",
            authorisation=f"AUT-{number}",
            product={**about, "brand_owner": FIRMS[number % 4]},
            packs=[{"gtin": product, "pack_size": 30, **({} if number == 5 else {"ddd_per_pack": f"{number + 1}.25"})}],
            origin=origin,
            local_step=drawn.choice([None, "full", "fill_finish", "packaging"]) if origin == "domestic" else None,
            holder=FIRMS[number % 4],
            manufacturer=FIRMS[(number + 1) % 4],
            granted_on=day(drawn, 0, 200),
            expires_on="2026-05-01" if number == 1 else "2029-09-01",
            agreement="A-1" if number in (1, 3) else None,
        )
        for price in range(2):
            say("price.declared", gtin=product, price=drawn.randrange(1000, 9000), currency="VND",
                effective_on=day(drawn, 300 * price, 300 * price + 300))  # fmt: skip
    say("registration.suspended", authorisation="AUT-3", effective_on="2025-06-01", reason="x")
    say("registration.reinstated", authorisation="AUT-3", effective_on="2025-09-01", reason="x")
    for year in (2024, 2025, 2026):
        say("demand.estimated", substance="metformin", form="tablet", year=year, quantity=4000, unit="ddd")
        say("demand.estimated", substance="nothing", form="tablet", year=year, quantity=900, unit="ddd")
        say("demand.estimated", gtin=PRODUCTS[1], year=year, quantity=700, unit="packs")
        say("demand.estimated", gtin=PRODUCTS[4], year=year, quantity=1700, unit="ddd")
        say("demand.estimated", gtin=PRODUCTS[5], year=year, quantity=1700, unit="packs")
    for number, standard in enumerate(["EU-GMP", "PIC/S-GMP", "WHO-GMP", "EU-GMP"]):
        say("gmp.certified", certificate=f"C-{number}", site=FIRMS[number], holder=FIRMS[number], standard=standard,
            country="VN" if number < 3 else "FR", effective_on="2024-10-01", expires_on="2026-03-01")  # fmt: skip
    say("gmp.withdrawn", certificate="C-1", effective_on="2025-12-01", reason="x")
    products = [{"name": "Med", "substance": "metformin", "gtins": [PRODUCTS[0]]}]
    say("transfer.signed", agreement="A-1", title="T", originator=FIRMS[0], recipient=MAKER, signed_on="2025-01-01",
        products=products, milestones=[])  # fmt: skip
    return said


def movements(drawn: Random, count: int, *, corrected: bool = True) -> list[JSON]:
    """Lots that are made, brought in, released, used, exported and taken back; some of it twice or corrected."""
    said: list[JSON] = []
    for number in range(count):
        product = drawn.choice(PRODUCTS)
        named = {"gtin": product, "lot": f"L{drawn.randrange(6)}", "quantity": drawn.randrange(1, 400)}
        said.append(_moved(f"m{number}", drawn, named))
    for number in range(count // 12 if corrected else 0):
        of = drawn.choice(said)
        if of["type"] != CORRECTED:
            instead = {**of, "data": {**of["data"]}}
            if "manufacturer" in instead["data"]:
                instead["data"]["manufacturer"] = drawn.choice(FIRMS)
            elif "quantity" in instead["data"]:
                instead["data"]["quantity"] += 1
            replacement = drawn.choice([None, instead, instead])
            said.append(correction(f"c{number}", of, replacement, time=f"2026-02-01T00:{number:02d}:00Z"))
    drawn.shuffle(said)
    return said + drawn.choices(said, k=count // 20)


def _moved(id: str, drawn: Random, named: JSON) -> JSON:
    on = day(drawn)
    later = (date.fromisoformat(on) + timedelta(days=drawn.randrange(20, 500))).isoformat()
    firm = drawn.choice(FIRMS)
    match drawn.randrange(11):
        case 0 | 1:
            return movement("batch.produced", id, **named, produced_on=on, expires_on=later, manufacturer=firm)
        case 2 | 3:
            return movement("batch.released", id, **named, released_on=on)
        case 4 | 5:
            about: JSON = {"importer": firm, "hold": drawn.random() < 0.3, "expires_on": later}
            authorisation = drawn.choice([None, "AUT-0", "AUT-2"])
            return movement("import.received", id, **named, **about, received_on=on, authorisation=authorisation)
        case 6:
            value = drawn.choice([None, drawn.randrange(10**6, 10**9)])
            return movement(
                "export.shipped", id, **named, shipped_on=on, value=value, destination=drawn.choice("L K".split()) + "A"
            )
        case 7:
            return movement(
                "batch.recalled", id, gtin=named["gtin"], lot=drawn.choice([None, named["lot"]]), recalled_on=on
            )
        case 8:
            back = drawn.choice(["consumed", "exported"])
            return movement("stock.returned", id, **{**named, "quantity": 3}, returned_on=on, from_=back)
    start = FIRST.replace(day=1) + timedelta(days=31 * drawn.randrange(22))
    first = start.replace(day=drawn.choice([1, 1, 1, 9]))
    end = (first + timedelta(days=drawn.choice([20, 40, 70]))).replace(day=1) - timedelta(days=1)
    told = {**named, "lot": drawn.choice([None, named["lot"], named["lot"]]), "quantity": drawn.randrange(0, 60)}
    end = max(first, end)
    return movement("consumption.reported", id, **told, period_start=str(first), period_end=str(end))


def topic_of(told: JSON) -> str:
    return topics.MOVEMENTS if told["type"].split(".")[1] in _MOVING else topics.REGISTRY


_MOVING: Final = ("batch", "import", "export", "stock", "consumption", "recall", "event")
