"""Brings a model of the catalogue and a struct of the reader to plain values, so that they can be compared."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.events.fields import EventData


def values(data: Any) -> Any:
    """Nested dicts of field name (as in Python, without a trailing underscore) and value, in any order of fields."""
    if isinstance(data, EventData):
        return {name.rstrip("_"): values(getattr(data, name)) for name in type(data).model_fields}
    if isinstance(data, msgspec.Struct):
        return {name.rstrip("_"): values(getattr(data, name)) for name in data.__struct_fields__}
    return tuple(map(values, data)) if isinstance(data, tuple) else data
