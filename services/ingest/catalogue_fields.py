"""Says in words what a JSON Schema of the catalogue asks of each field. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_PLURALS = {"string": "texts", "integer": "whole numbers", "object": "objects"}
_WORDS = {"string": "text", "integer": "whole number", "boolean": "true or false", "object": "object"}


class FieldRow(NamedTuple):
    """One line of the table: `path` is dotted, `[]` stands for each item of a list."""

    path: str
    required: bool
    words: str
    own: bool


def rows(schema: Mapping[str, Any], own_glns: tuple[str, ...]) -> list[FieldRow]:
    """Every field of `schema`, inner ones after the one that holds them."""
    return list(_rows(schema, schema, "", own_glns))


def _rows(whole: Mapping[str, Any], part: Mapping[str, Any], at: str, own: tuple[str, ...]) -> Iterator[FieldRow]:
    for name, raw in part.get("properties", {}).items():
        told = _resolved(whole, raw)
        path = f"{at}{name}"
        yield FieldRow(path, name in part.get("required", ()), _words(whole, told), path in own)
        items = _resolved(whole, told.get("items", {}))
        inner, below = (items, f"{path}[].") if items else (told, f"{path}.")
        yield from _rows(whole, inner, below, own)


def _resolved(whole: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    """`part` with its reference followed, and without the null that an optional field may be."""
    if "$ref" in part:
        found: Any = whole
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return _resolved(whole, {**found, **{name: item for name, item in part.items() if name != "$ref"}})
    choices = [choice for choice in part.get("anyOf", ()) if choice.get("type") != "null"]
    return _resolved(whole, choices[0]) if len(choices) == 1 else part


def _words(whole: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    if "enum" in told or "const" in told:
        return " or ".join(map(str, told.get("enum", [told.get("const")])))
    if told.get("type") == "array":
        items = _resolved(whole, told["items"])
        return f"list of {items['title'] if _is_named(items) else _PLURALS.get(items.get('type', ''), 'items')}"
    if told.get("format") == "date":
        return "date"
    words = told["title"] if _is_named(told) else _WORDS.get(told.get("type", ""), "any")
    return f"{words}{_bounds(told)}"


def _is_named(told: Mapping[str, Any]) -> bool:
    """Whether the title is one that we gave (GTIN, GLN, …), not the field's name in capitals."""
    return "title" in told and "pattern" in told


def _bounds(told: Mapping[str, Any]) -> str:
    if "maxLength" in told:
        return f", {told.get('minLength', 0)} to {told['maxLength']} characters"
    if "minimum" in told or "maximum" in told:
        return f", {told.get('minimum', '…')} to {told.get('maximum', '…')}"
    return ""
