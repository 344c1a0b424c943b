"""Makes random events that the models accept, from the models' own annotations."""

from __future__ import annotations

import types
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from pydantic import ValidationError

from shared import faults
from shared.events import fields
from shared.events.catalogue import CATALOGUE, route
from shared.events.corrections import TOPICS, EventCorrected
from shared.events.fields import EventData, Told

LOT_CHARACTERS = "ABCabc019-/._+()&%\"'!"
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30).map(str.strip).filter(bool)


def _with_check_digit(digits: str) -> str:
    return digits + fields.check_digit(digits)


GTIN = st.sampled_from((7, 11, 12, 13)).flatmap(
    lambda size: st.integers(0, 10**size - 1).map(lambda n: _with_check_digit(f"{n:0{size}d}"))
)
GLN = st.integers(0, 10**12 - 1).map(lambda n: _with_check_digit(f"{n:012d}"))
LOT = st.text(LOT_CHARACTERS, min_size=1, max_size=20)
DAY = st.dates(date(1950, 1, 1), date(2150, 12, 31)).map(date.isoformat)
FIGURE = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9).map(
    lambda value: f"{value:f}"
)
POSITIVE = st.decimals(places=3, min_value="0.001", max_value=10**6).map(lambda value: f"{value:f}")
SOURCE = GLN.map(lambda gln: f"urn:gln:{gln}")
TIME = st.datetimes(datetime(1950, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC)).map(datetime.isoformat)

LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    fields.Gtin: GTIN,
    fields.Gln: GLN,
    fields.Lot: LOT,
    fields.Country: st.sampled_from(sorted(fields.COUNTRIES)),
    fields.Atc: st.sampled_from(["A", "A10", "A10B", "A10BA", "A10BA02"]),
    fields.Day: DAY,
    fields.Figure: FIGURE,
    fields.PositiveFigure: POSITIVE,
    fields.Packs: st.integers(1, fields.MAX_PACKS),
    fields.PacksOrNone: st.integers(0, fields.MAX_PACKS),
    fields.Vnd: st.integers(0, fields.MAX_VND),
    fields.Year: st.integers(fields.FIRST_YEAR, fields.LAST_YEAR),
    fields.Identifier: TEXT,
    fields.Name: TEXT,
    fields.Title: TEXT,
    fields.Reason: TEXT,
    fields.Summary: TEXT,
    fields.Gtins: st.lists(GTIN, max_size=3, unique_by=lambda gtin: gtin.zfill(14)),
    fields.Identifiers: st.lists(TEXT, max_size=3, unique=True),
    bool: st.booleans(),
}


def _value(hint: Any, name: str) -> st.SearchStrategy[Any]:
    if hint in LEAVES:
        return LEAVES[hint]
    if isinstance(hint, type) and issubclass(hint, EventData):
        return _data(hint)
    if name in ("level", "pack_size"):
        return st.integers(1, 3)
    if name == "delta":
        return st.integers(-fields.MAX_PACKS, fields.MAX_PACKS).filter(bool)
    arguments = get_args(hint)
    if get_origin(hint) is Literal:
        return st.sampled_from(arguments)
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of(*(st.none() if item is type(None) else _value(item, name) for item in arguments))
    if get_origin(hint) is tuple:
        return st.lists(_value(arguments[0], name), min_size=1, max_size=3)
    return _value(arguments[0], name)  # Annotated


@cache
def _data(model: type[EventData]) -> st.SearchStrategy[dict[str, Any]]:
    hints = get_type_hints(model, include_extras=True)
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, field in model.model_fields.items():
        strategy = _value(hints[name], name)
        (required if field.is_required() else optional)[field.alias or name] = strategy
    found = st.fixed_dictionaries(required, optional=optional)
    return found.map(_mend).filter(lambda data: _accepted(model, data))


def _mend(data: dict[str, Any]) -> dict[str, Any]:
    """Puts right what single fields cannot know: pairs of days, and items that must differ."""
    for first, last in (
        ("produced_on", "expires_on"),
        ("period_start", "period_end"),
        ("effective_on", "expires_on"),
        ("granted_on", "expires_on"),
        ("started_on", "expected_until"),
    ):
        if data.get(first) and data.get(last) and data[last] < data[first]:
            data[first], data[last] = data[last], data[first]
    for items, unique in (("packs", "gtin"), ("milestones", "milestone")):
        if data.get(items):
            data[items] = list({item[unique].zfill(14): item for item in data[items]}.values())
    if "year" in data:
        for name in ("gtin",) if data.get("substance") and data.get("form") else ("substance", "form"):
            data.pop(name, None)
    return data


def _accepted(model: type[EventData], data: dict[str, Any]) -> bool:
    """Only rules over several fields may fail here: what single fields must be, the strategies know."""
    try:
        model.model_validate(data)
    except ValidationError as error:
        codes = {fault.code for fault in faults.faults(error)}
        assert codes <= {"nothing_changed", "one_of"}, (model, data, codes)
        return False
    return True


PLAIN_TYPES = sorted(TOPICS)


@st.composite
def corrections_of(draw: st.DrawFn, type_: str, depth: int = 0) -> dict[str, Any]:
    """Data of a correction of an event of `type_`, nested up to three deep."""
    model = CATALOGUE[type_].model
    told = draw(_data(model))
    validated = model.model_validate(told)
    assert isinstance(validated, Told)
    key = route(type_, validated)[1]
    corrects = {"source": draw(SOURCE), "id": draw(TEXT), "type": type_}
    data = {"corrects": corrects, "key": key, "corrected_on": draw(DAY), "reason": draw(TEXT)}
    match draw(st.sampled_from(["none", "plain", "nested"])):
        case "plain":
            data["replacement"] = {"type": type_, "data": told}
        case "nested" if depth < 3:
            inner = draw(corrections_of(type_, depth + 1))
            inner["key"] = key
            inner.pop("replacement", None)
            data["replacement"] = {"type": EventCorrected.TYPE, "data": inner}
    return data


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """A structured CloudEvent of any type that ingest accepts."""
    type_ = draw(st.sampled_from(sorted(CATALOGUE)))
    if type_ == EventCorrected.TYPE:
        data = draw(corrections_of(draw(st.sampled_from(PLAIN_TYPES))))
    else:
        data = draw(_data(CATALOGUE[type_].model))
    return {
        "specversion": "1.0",
        "id": draw(TEXT),
        "source": draw(SOURCE),
        "type": type_,
        "time": draw(TIME),
        "data": data,
    }
