"""Reads the prefixes that JSON-LD contexts in a document bind; contexts behind an address are never fetched. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

# What GS1's own context binds, of which documents make use.
_STANDARD: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cbv": "https://ref.gs1.org/cbv/",
        "gs1": "https://ref.gs1.org/voc/",
        "cbvmda": "urn:epcglobal:cbv:mda",
    }
)
_CBVMDA: Final = "urn:epcglobal:cbv:mda:"  # the same namespace as contexts write it


@dataclass(frozen=True, slots=True)
class Contexts:
    """Which namespace a prefix stands for."""

    namespaces: Mapping[str, str]

    def expand(self, value: str) -> str:
        """A CURIE as the full URI; anything else as it is."""
        prefix, colon, rest = value.partition(":")
        namespace = self.namespaces.get(prefix)
        return value if namespace is None or not colon or rest.startswith("//") else namespace + rest

    def qualified(self, name: str) -> str:
        """The name of an extension as {namespace}name; as it is where its prefix is not bound."""
        prefix, colon, rest = name.partition(":")
        namespace = self.namespaces.get(prefix)
        return name if namespace is None or not colon or rest.startswith("//") else f"{{{namespace}}}{rest}"


def contexts(*said: Any) -> Contexts:
    """What the given `@context` values bind; a later one holds over an earlier one."""
    found = dict(_STANDARD)
    for value in said:
        found.update(_bindings(value))
    return Contexts(MappingProxyType(found))


def _bindings(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for one in value:
            yield from _bindings(one)
    elif isinstance(value, dict):
        for prefix, bound in value.items():
            namespace = bound.get("@id") if isinstance(bound, dict) else bound
            if isinstance(namespace, str) and not prefix.startswith("@"):
                yield prefix, namespace.removesuffix(":") if namespace == _CBVMDA else namespace
