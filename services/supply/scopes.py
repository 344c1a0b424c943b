"""Decides which products a scope holds: all, atc:<prefix>, substance:<inn>, gtin:, agreement:, brand:<gln>. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from services.supply.agreements import Agreement
from services.supply.registry import Packing

SCOPE_KINDS: Final = ("all", "atc", "substance", "gtin", "agreement", "brand")


def parse_scope(scope: str) -> tuple[str, str]:
    """(kind, key). Raises ValueError that names what is wrong."""
    kind, _, key = scope.partition(":")
    if kind not in SCOPE_KINDS or (kind == "all") != (key == ""):
        raise ValueError(f"a scope is 'all' or one of {', '.join(SCOPE_KINDS[1:])} with a key, not {scope!r}")
    if kind == "gtin" and re.fullmatch("[0-9]{8,14}", key) is None:
        raise ValueError(f"the scope of a product is gtin: and 8 to 14 digits, not {scope!r}")
    return kind, key


def is_one_product(scope: str) -> bool:
    """One product is counted in packs, several in defined daily doses."""
    return scope.startswith("gtin:")


def products_in(
    scope: str, packings: Mapping[int, Packing], agreements: Mapping[str, Agreement]
) -> Callable[[int], bool]:
    """Which GTINs a scope holds, by the registry of a day."""
    kind, key = parse_scope(scope)
    if kind == "all":
        return lambda gtin: True
    if kind == "gtin":
        return lambda gtin: gtin == int(key)
    if kind == "agreement":
        named = _named_by(agreements.get(key))
        return lambda gtin: gtin in named or (gtin in packings and packings[gtin].agreement == key)
    belongs: dict[str, Callable[[Packing], bool]] = {
        "atc": lambda packing: packing.product.atc.startswith(key),
        "substance": lambda packing: packing.product.substance == key,
        "brand": lambda packing: packing.product.brand_owner == key,
    }
    held = belongs[kind]
    return lambda gtin: gtin in packings and held(packings[gtin])


def _named_by(agreement: Agreement | None) -> frozenset[int]:
    products = () if agreement is None else agreement.products
    return frozenset(int(gtin) for product in products for gtin in product.gtins)
