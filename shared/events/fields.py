"""Decides what a GTIN, a lot, a GLN, a date and every other field of an event may look like, and names each fault."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Final, NoReturn

import pycountry
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from shared.faults import NESTED

MAX_PACKS: Final = 10**12
MAX_VND: Final = 10**15
MAX_ITEMS: Final = 1_000
FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2199
ID_CHARACTERS: Final = 100
KEY_CHARACTERS: Final = 401
IDENTIFIER_CACHE_KEYS: Final = 32_768
DAY_CACHE_KEYS: Final = 8_192

COUNTRIES: Final = frozenset(country.alpha_2 for country in pycountry.countries)

_GTIN_DIGITS: Final = (8, 12, 13, 14)
_LOT: Final = re.compile(r"""[!"%&'()*+,\-./0-9:;<=>?A-Z_a-z]{1,20}""")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,12})?")
_ATC: Final = re.compile(r"[A-Z]([0-9]{2}([A-Z]([A-Z]([0-9]{2})?)?)?)?")
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class EventData(BaseModel):
    """The base of every model of the catalogue: nothing unknown, nothing coerced, nothing changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    def canonical(self) -> bytes:
        """Compact JSON with defaults left out: equal content gives equal bytes."""
        return type(self).__pydantic_serializer__.to_json(self, by_alias=True, exclude_defaults=True)


class Told(EventData):
    """The base of the data of one event type, as against the parts that such data has."""

    TYPE: ClassVar[str]

    def key(self) -> str:
        """The key in its topic, and the subject of the event."""
        raise NotImplementedError


def _refuse(code: str, detail: str) -> NoReturn:
    raise PydanticCustomError(code, "{detail}", {"detail": detail})


def check_digit(digits: str) -> str:
    """The GS1 check digit of `digits` (without it)."""
    odd = sum(map(int, digits[-1::-2]))
    even = sum(map(int, digits[-2::-2]))
    return str(-(3 * odd + even) % 10)


def _digits(value: str, lengths: tuple[int, ...], name: str) -> str:
    if not (value.isascii() and value.isdigit() and len(value) in lengths):
        _refuse("pattern", f"a {name} has {' or '.join(map(str, lengths))} digits")
    if check_digit(value[:-1]) != value[-1]:
        _refuse("check_digit", f"the check digit of this {name} should be {check_digit(value[:-1])}")
    return value


@lru_cache(IDENTIFIER_CACHE_KEYS)  # the same products come again and again; a fault is never cached
def gtin(value: str) -> str:
    """`value` padded to 14 digits. Raises PydanticCustomError `pattern` or `check_digit`."""
    return _digits(value, _GTIN_DIGITS, "GTIN").zfill(14)


@lru_cache(IDENTIFIER_CACHE_KEYS)
def gln(value: str) -> str:
    """`value`, a GLN. Raises PydanticCustomError `pattern` or `check_digit`."""
    return _digits(value, (13,), "GLN")


def is_gln(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(gln(value))
    except PydanticCustomError:
        return False


def _lot(value: str) -> str:
    if not _LOT.fullmatch(value):
        _refuse("pattern", "a lot has 1 to 20 characters of GS1 AI (10): letters, digits and !\"%&'()*+,-./:;<=>?_")
    return value


def _country(value: str) -> str:
    if value not in COUNTRIES:
        _refuse("country", "not an ISO 3166 alpha-2 country code")
    return value


def _atc(value: str) -> str:
    if not _ATC.fullmatch(value):
        _refuse("pattern", "an ATC code looks like A, A10, A10B, A10BA or A10BA02")
    return value


def _date(value: Any) -> Any:
    if isinstance(value, str):
        return _day(value)
    if type(value) is not date:
        _refuse("date", "a date is a string like 2026-11-23")
    return _in_range(value)


@lru_cache(DAY_CACHE_KEYS)  # the same days come again and again; a fault is never cached
def _day(value: str) -> date:
    if not _DATE.fullmatch(value):
        _refuse("date", "a date is a string like 2026-11-23")
    try:
        day = date.fromisoformat(value)
    except ValueError:
        _refuse("date", "there is no such day")
    return _in_range(day)


def _in_range(day: date) -> date:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        _refuse("range", f"the year is not within {FIRST_YEAR} to {LAST_YEAR}")
    return day


def _decimal(value: Any) -> Any:
    if isinstance(value, Decimal):
        value = f"{value:f}"
    if not isinstance(value, str):
        _refuse("type", 'a decimal is a string like "12.5"')
    if not _DECIMAL.fullmatch(value):
        _refuse("decimal", "a decimal has up to 15 digits, and up to 12 more after a point")
    # Without an exponent and without trailing zeros, so that equal values are written alike; and no negative zero.
    return Decimal(plain(Decimal(value))) + 0


def plain(value: Decimal) -> str:
    """`value` without exponent and trailing zeros, e.g. "12.5", "100"."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _above_zero(value: Decimal) -> Decimal:
    if value <= 0:
        _refuse("range", "must be above 0")
    return value


def _printable(value: str) -> str:
    if not value.isprintable() and _UNPRINTABLE.search(value):
        _refuse("control_character", "holds a control character or a lone surrogate")
    if value != value.strip():
        _refuse("pattern", "begins or ends with white space")
    return value


def _unique(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(value)) != len(value):
        _refuse("duplicate", "the same item stands twice")
    return value


_PRINTABLE = AfterValidator(_printable)

Gtin = Annotated[
    str,
    AfterValidator(gtin),
    WithJsonSchema({"type": "string", "pattern": "^([0-9]{8}|[0-9]{12}|[0-9]{13}|[0-9]{14})$", "title": "GTIN"}),
]
Gln = Annotated[str, AfterValidator(gln), WithJsonSchema({"type": "string", "pattern": "^[0-9]{13}$", "title": "GLN"})]
Lot = Annotated[
    str,
    AfterValidator(_lot),
    WithJsonSchema({"type": "string", "pattern": f"^{_LOT.pattern}$", "title": "Lot, GS1 AI (10)"}),
]
Country = Annotated[
    str,
    AfterValidator(_country),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{2}$", "title": "Country, ISO 3166 alpha-2"}),
]
Atc = Annotated[
    str, AfterValidator(_atc), WithJsonSchema({"type": "string", "pattern": f"^{_ATC.pattern}$", "title": "ATC code"})
]
Day = Annotated[date, BeforeValidator(_date)]
Figure = Annotated[
    Decimal,
    BeforeValidator(_decimal),
    PlainSerializer(plain, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_DECIMAL.pattern}$", "title": "Exact decimal"}),
]
PositiveFigure = Annotated[Figure, AfterValidator(_above_zero)]
Packs = Annotated[int, Field(ge=1, le=MAX_PACKS)]
PacksOrNone = Annotated[int, Field(ge=0, le=MAX_PACKS)]
Vnd = Annotated[int, Field(ge=0, le=MAX_VND)]
Year = Annotated[int, Field(ge=FIRST_YEAR, le=LAST_YEAR)]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=ID_CHARACTERS), _PRINTABLE]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200), _PRINTABLE]
Title = Annotated[str, StringConstraints(min_length=1, max_length=300), _PRINTABLE]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=1_000), _PRINTABLE]
Summary = Annotated[str, StringConstraints(min_length=1, max_length=5_000), _PRINTABLE]
TopicKey = Annotated[str, StringConstraints(min_length=1, max_length=KEY_CHARACTERS), _PRINTABLE]


def _as_tuple(value: Any) -> Any:
    """Counted before its items are looked at: pydantic would describe every one of a million wrong ones."""
    if not isinstance(value, list):
        return value
    if len(value) > MAX_ITEMS:
        _refuse("length", f"at most {MAX_ITEMS} items, not {len(value)}")
    return tuple(value)


AS_TUPLE: Final = BeforeValidator(_as_tuple)  # JSON knows lists only; a frozen model holds tuples


_OF_ITEMS: Final = {"minLength": "minItems", "maxLength": "maxItems"}


class _CountsItems:
    """Behind AS_TUPLE pydantic takes the bounds of a list for those of a text; its JSON Schema is put right here."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        return {
            {"minLength": "minItems", "maxLength": "maxItems"}.get(name, name): told for name, told in schema.items()
        }


COUNTED: Final = _CountsItems()
Gtins = Annotated[tuple[Gtin, ...], AS_TUPLE, Field(max_length=MAX_ITEMS), COUNTED, AfterValidator(_unique)]
Identifiers = Annotated[tuple[Identifier, ...], AS_TUPLE, Field(max_length=MAX_ITEMS), COUNTED, AfterValidator(_unique)]


def in_order(first: date | None, second: date | None, names: str) -> None:
    """Raises PydanticCustomError `order` if `second` is before `first`; `names` is "later < earlier" for people."""
    if first is not None and second is not None and second < first:
        _refuse("order", names)


def refuse(code: str, detail: str) -> NoReturn:
    """For a rule over several fields: a fault of the whole object with our own `code`."""
    _refuse(code, detail)


def refuse_nested(error: ValidationError) -> NoReturn:
    """Hands the faults of an inner object on, to be told one by one by shared.faults."""
    raise PydanticCustomError(NESTED, "the inner object is not valid", {"error": error})
