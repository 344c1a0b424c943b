"""Moves the definitions inside JSON Schemas to one table, as OpenAPI and AsyncAPI documents keep them. Pure."""

from __future__ import annotations

from typing import Any, Final

COMPONENTS: Final = "#/components/schemas/"
_OWN: Final = "#/$defs/"


def hoisted(value: Any, table: dict[str, Any]) -> Any:
    """`value` without `$defs`, its references leading to `table`, which takes them in.

    Raises ValueError if two definitions of one name differ.
    """
    if isinstance(value, list):
        return [hoisted(item, table) for item in value]
    if not isinstance(value, dict):
        return value
    for name, definition in value.get("$defs", {}).items():
        moved = hoisted(definition, table)
        if table.setdefault(name, moved) != moved:
            raise ValueError(f"two definitions of {name}")
    kept = {name: hoisted(item, table) for name, item in value.items() if name != "$defs"}
    if isinstance(reference := kept.get("$ref"), str):
        kept["$ref"] = reference.replace(_OWN, COMPONENTS)
    return kept
