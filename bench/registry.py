"""Registers and prices every product, so that the national indicator has something to weigh packs with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from bench.fill import record_bytes, write
from bench.movements import FIRST_DAY, JSON, firms, gtins
from shared import topics

PARTITIONS: Final = 3  # of supply.registry.v1, see deploy/kafka/topics.yaml
DDD_A_PACK: Final = 30
PRICE_VND: Final = 140_000


def fill_registry(login: dict[str, Any], products: int) -> int:
    """Writes a registration and a price for each product; how many records that were."""
    events = list(told_of(gtins(products)))
    write(
        login,
        topics.REGISTRY,
        PARTITIONS,
        ((*record_bytes(event, key, by_regulator=True), key) for event, key in events),
    )
    return len(events)


def told_of(products: Iterable[str]) -> Iterator[tuple[JSON, str]]:
    """The facts of each product, with their topic keys."""
    for gtin in products:
        yield _granted(gtin)
        yield _priced(gtin)


def _event(kind: str, id: str, data: JSON) -> JSON:
    source = f"urn:gln:{firms()[0]}"
    return {"type": kind, "id": id, "source": source, "time": f"{FIRST_DAY}T01:00:00Z", "data": data}


def _granted(gtin: str) -> tuple[JSON, str]:
    number, firm = f"VD-{gtin}", firms()[int(gtin) // 10 % len(firms())]
    product = {"name": f"Medicine {gtin}", "substance": f"substance {gtin[-4:-1]}", "atc": "A10BA02"}
    told = {
        "authorisation": number,
        "product": {**product, "form": "tablet", "class": "generic"},
        "packs": [{"gtin": gtin, "pack_size": 30, "ddd_per_pack": str(DDD_A_PACK)}],
        "origin": "domestic",
        "local_step": "full",
        "holder": firm,
        "manufacturer": firm,
        "granted_on": "2020-01-01",
        "expires_on": "2035-01-01",
    }
    return _event("supply.registration.granted.v1", f"grant-{gtin}", told), number


def _priced(gtin: str) -> tuple[JSON, str]:
    told = {"gtin": gtin, "price": PRICE_VND, "currency": "VND", "effective_on": "2020-01-01"}
    return _event("supply.price.declared.v1", f"price-{gtin}", told), gtin
