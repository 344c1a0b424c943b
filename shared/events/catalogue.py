"""The table of event types as data: model, topic, key, who may say it and what it looks like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from shared import topics
from shared.events import movements, registry
from shared.events.corrections import TOPICS, EventCorrected
from shared.events.fields import Told

PREFIX: Final = "supply."
SAMPLES_DIR: Final = Path(__file__).parent / "samples"
SCHEMAS_DIR: Final = Path(__file__).parent / "schemas"

Role = Literal["manufacturer", "importer", "distributor", "regulator"]

# Which types a producer with this role may send, without the prefix.
ROLES: Final[Mapping[Role, tuple[str, ...]]] = MappingProxyType(
    {
        "manufacturer": ("batch.*", "recall.*", "export.*", "stock.*", "transfer.*", "interruption.*"),
        "importer": (
            "import.*",
            "batch.released.*",
            "batch.rejected.*",
            "batch.recalled.*",
            "batch.destroyed.*",
            "recall.*",
            "export.*",
            "stock.*",
            "interruption.*",
        ),
        "distributor": ("consumption.*", "stock.*", "interruption.*"),
        "regulator": (
            *(model.TYPE.removeprefix(PREFIX) for model in registry.MODELS),
            "batch.released.*",
            "batch.recalled.*",
            "recall.*",
            "stock.counted.*",
        ),
    }
)
# Fields that must hold one of the sender's own GLNs, unless a regulator speaks.
OWN_GLNS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        movements.BatchProduced.TYPE: ("manufacturer", "site"),
        movements.ImportReceived.TYPE: ("importer",),
        movements.ExportShipped.TYPE: ("exporter",),
        movements.StockCounted.TYPE: ("holder",),
        registry.InterruptionNotified.TYPE: ("site",),
        registry.TransferSigned.TYPE: ("recipient",),
    }
)


@dataclass(frozen=True, slots=True)
class EventType:
    """One row of the catalogue; `topic` is None for corrections, which follow the event they correct."""

    name: str
    model: type[Told]
    topic: str | None
    roles: frozenset[Role]
    own_glns: tuple[str, ...]
    description: str

    @property
    def title(self) -> str:
        """E.g. "Batch produced"."""
        return " ".join(self.name.removeprefix(PREFIX).split(".")[:2]).replace("_", " ").capitalize()


def _roles(name: str) -> frozenset[Role]:
    if name == EventCorrected.TYPE:
        return frozenset(ROLES)
    short = name.removeprefix(PREFIX)
    return frozenset(role for role, patterns in ROLES.items() if any(fnmatchcase(short, item) for item in patterns))


def _event_type(model: type[Told]) -> EventType:
    name = model.TYPE
    description = (model.__doc__ or "").strip()
    return EventType(name, model, TOPICS.get(name), _roles(name), OWN_GLNS.get(name, ()), description)


_MODELS: Final[tuple[type[Told], ...]] = (*movements.MODELS, *registry.MODELS, EventCorrected)
CATALOGUE: Final[Mapping[str, EventType]] = MappingProxyType({model.TYPE: _event_type(model) for model in _MODELS})


def route(type: str, data: Told) -> tuple[str, str]:
    """Topic and key of an event; the key is its subject too."""
    return TOPICS[data.corrects.type if isinstance(data, EventCorrected) else type], data.key()


def trusted_topics() -> tuple[str, str]:
    """The topics that hold the catalogue's events."""
    return topics.MOVEMENTS, topics.REGISTRY


@cache
def schema(type: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of the data of `type`. Check digits and rules over several fields are beyond it."""
    found = CATALOGUE[type].model.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:supply-watch:schema:{type}",
        **found,
    }


def sample(type: str) -> dict[str, Any]:
    """A valid event of `type` as a structured CloudEvent."""
    found: dict[str, Any] = json.loads((SAMPLES_DIR / f"{type}.json").read_text(encoding="utf-8"))
    return found
