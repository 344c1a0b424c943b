"""Reads EPC URNs, whose numbers hold no check digit: it is computed. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from services.ingest.epcis.gs1_key import (
    COMPONENT,
    COMPONENT_SERIAL,
    GTIN,
    LOCATION,
    LOCATION_EXTENSION,
    LOT,
    PARTY,
    PIECE,
    SERIAL,
    SSCC,
    THIRD_PARTY_SERIAL,
    Key,
    decoded,
)
from shared.events.fields import check_digit

# urn:epc:id:<scheme>:<company prefix>.<reference>[.<serial>], urn:epc:class:…, urn:epc:idpat:…:….*
_URN: Final = re.compile(
    r"urn:epc:(id|class|idpat):([a-z]+):([0-9]{6,12})\.(.+)|urn:epc:id:pgln:([0-9]{12})\.", re.IGNORECASE
)


def key(uri: str) -> Key | None:
    """The key that an EPC URI, an EPC class URI or an EPC pattern URI names; None if it names none."""
    found = _URN.fullmatch(uri)
    if found is None:
        return None
    if found[5]:  # a party whose company prefix fills the whole number
        return _simple(PARTY, found[5], "", 12)
    kind, scheme, prefix, rest = found[1].lower(), found[2].lower(), found[3], found[4]
    read = _SCHEMES.get((kind, scheme))
    if read is None:
        return None
    try:
        return read(prefix, rest)
    except ValueError:
        return None


def _number(prefix: str, reference: str, digits: int) -> str:
    """The digits of company prefix and reference, `digits` together. Raises ValueError."""
    if not (reference.isascii() and (reference.isdigit() or not reference)) or len(prefix + reference) != digits:
        raise ValueError("prefix and reference do not make the number full")
    return prefix + reference


def _checked(digits: str) -> str:
    return digits + check_digit(digits)


def _gtin(prefix: str, reference: str) -> str:
    """The first digit of the item reference is the indicator, and leads."""
    whole = _number(prefix, reference, 13)
    return _checked(reference[:1] + whole[: len(prefix)] + reference[1:])


def _simple(ai: str, prefix: str, rest: str, digits: int) -> Key:
    return Key(ai, _checked(_number(prefix, rest, digits)))


def _item(ai: str) -> Callable[[str, str], Key]:
    def read(prefix: str, rest: str) -> Key:
        reference, _, qualifier = rest.partition(".")
        return Key(GTIN, _gtin(prefix, reference), {ai: decoded(qualifier)})

    return read


def _item_class(prefix: str, rest: str) -> Key:
    return Key(GTIN, _gtin(prefix, _any(rest)))


def _any(rest: str) -> str:
    """What stands before the asterisk of a pattern. Raises ValueError if it is none."""
    if not rest.endswith(".*"):
        raise ValueError("no pattern of a whole class")
    return rest.removesuffix(".*")


def _led(ai: str, digits: int) -> Callable[[str, str], Key]:
    """The first digit of the reference leads: an SSCC's extension digit."""

    def read(prefix: str, rest: str) -> Key:
        whole = _number(prefix, rest, digits)
        return Key(ai, _checked(rest[:1] + whole[: len(prefix)] + rest[1:]))

    return read


def _fixed(ai: str, digits: int) -> Callable[[str, str], Key]:
    return lambda prefix, rest: _simple(ai, prefix, rest, digits)


def _free(ai: str) -> Callable[[str, str], Key]:
    return lambda prefix, rest: Key(ai, prefix + decoded(rest))


def _location(prefix: str, rest: str) -> Key:
    reference, _, extension = rest.partition(".")
    more = {} if extension in ("", "0") else {LOCATION_EXTENSION: decoded(extension)}
    return Key(LOCATION, _checked(_number(prefix, reference, 12)), more)


def _serialised(ai: str, lead: str = "") -> Callable[[str, str], Key]:
    """Twelve digits, their check digit and, behind it, a serial: asset types, document types, coupons."""

    def read(prefix: str, rest: str) -> Key:
        reference, _, serial = rest.partition(".")
        head = _checked(lead + _number(prefix, reference, 12))
        return Key(ai, head + ("" if serial == "*" else decoded(serial)))

    return read


def _part(prefix: str, rest: str) -> Key:
    reference, _, serial = rest.partition(".")
    more = {} if serial == "*" else {COMPONENT_SERIAL: decoded(serial)}
    return Key(COMPONENT, prefix + decoded(reference), more)


def _piece(prefix: str, rest: str) -> Key:
    reference, piece, total, serial = rest.split(".", 3)
    more = {} if serial == "*" else {SERIAL: decoded(serial)}
    if not re.fullmatch("[0-9]{4}", piece + total):
        raise ValueError("piece and total have two digits each")
    return Key(PIECE, _gtin(prefix, reference) + piece + total, more)


_SCHEMES: Final[Mapping[tuple[str, str], Callable[[str, str], Key]]] = MappingProxyType(
    {
        ("id", "sgtin"): _item(SERIAL),
        ("id", "upui"): _item(THIRD_PARTY_SERIAL),
        ("class", "lgtin"): _item(LOT),
        ("idpat", "sgtin"): _item_class,
        ("idpat", "upui"): _item_class,
        ("id", "sscc"): _led(SSCC, 17),
        ("id", "sgln"): _location,
        ("id", "pgln"): _fixed(PARTY, 12),
        ("id", "gsrn"): _fixed("8018", 17),
        ("id", "gsrnp"): _fixed("8017", 17),
        ("id", "gsin"): _fixed("402", 16),
        ("id", "giai"): _free("8004"),
        ("id", "ginc"): _free("401"),
        ("id", "grai"): _serialised("8003", lead="0"),
        ("idpat", "grai"): _serialised("8003", lead="0"),
        ("id", "gdti"): _serialised("253"),
        ("idpat", "gdti"): _serialised("253"),
        ("id", "sgcn"): _serialised("255"),
        ("idpat", "sgcn"): _serialised("255"),
        ("id", "cpi"): _part,
        ("idpat", "cpi"): _part,
        ("id", "itip"): _piece,
        ("idpat", "itip"): _piece,
    }
)
