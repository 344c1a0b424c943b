"""Says what pydantic finds wrong in the words that we promise to callers, at every door alike. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from shared.errors import Fault, path

# The type of an error that holds those of an inner object.
NESTED: Final = "nested"
# What pydantic calls an error -> what we promise to call it. Codes of our own raise under their own names.
CODES: Final[Mapping[str, str]] = {
    "missing": "missing",
    "extra_forbidden": "unknown_field",
    "literal_error": "choice",
    "enum": "choice",
    "string_too_short": "length",
    "string_too_long": "length",
    "too_short": "length",
    "too_long": "length",
    "greater_than": "range",
    "greater_than_equal": "range",
    "less_than": "range",
    "less_than_equal": "range",
    "finite_number": "range",
    "string_pattern_mismatch": "pattern",
    "uuid_parsing": "pattern",
    "string_unicode": "control_character",
    "int_from_float": "type",
    "int_parsing": "type",
    "int_parsing_size": "range",
    "bool_parsing": "type",
    "float_parsing": "type",
    "date_parsing": "date",
    "date_from_datetime_parsing": "date",
    "date_from_datetime_inexact": "date",
    "datetime_parsing": "time",
    "datetime_from_date_parsing": "time",
}
OWN_CODES: Final = frozenset(
    {
        "check_digit",
        "control_character",
        "country",
        "date",
        "decimal",
        "duplicate",
        "key_mismatch",
        "length",
        "nothing_changed",
        "one_of",
        "order",
        "pattern",
        "range",
        "topic_mismatch",
        "type",
        "unknown_type",
    }
)
OTHER: Final = "invalid"
# Where pydantic's own words say too little to an engineer.
_DETAILS: Final = {"unknown_field": "there is no such field", "missing": "the field is required"}


def code(kind: str) -> str:
    """What we call an error of pydantic's type `kind`."""
    if kind in OWN_CODES:
        return kind
    if kind in CODES:
        return CODES[kind]
    return "type" if kind.endswith("_type") else OTHER


def faults(
    error: ValidationError, index: int | None = None, id: str | None = None, at: tuple[int | str, ...] = ()
) -> list[Fault]:
    """Everything that `error` says; `at` is where the model stands."""
    return list(_faults(error.errors(include_url=False, include_input=False), index, id, at))


def of_parameters(errors: Iterable[Any]) -> list[Fault]:
    """What FastAPI's RequestValidationError says of the parameters of a request; `query` and the like are left out."""
    return list(_faults(({**item, "loc": item["loc"][1:]} for item in errors), None, None, ()))


def _faults(errors: Iterable[Any], index: int | None, id: str | None, at: tuple[int | str, ...]) -> Iterator[Fault]:
    for item in errors:
        where = (*at, *item["loc"])
        if item["type"] == NESTED:
            inner: ValidationError = item["ctx"]["error"]
            yield from _faults(inner.errors(include_url=False, include_input=False), index, id, where)
        else:
            named = code(item["type"])
            yield Fault(path(where) or None, named, _DETAILS.get(named, item["msg"]), index, id)
