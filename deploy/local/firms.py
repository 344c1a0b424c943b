"""Names the producers that a stack starts with: a few for an empty system, or the firms of a scenario."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.local.faults import CannotStart

NONE: Final = "none"
MARKETS: Final = {"vietnam": Path(__file__).with_name("scenario") / "market.yaml"}


@dataclass(frozen=True, slots=True)
class Firm:
    """One producer of events: its GLNs (13 digits) and what it may say."""

    name: str
    gln: tuple[str, ...]
    roles: tuple[str, ...]


# GS1's prefix for demonstrations, 952.
DEMONSTRATION: Final = (
    Firm("manufacturer-1", ("9521000000018", "9521000000025"), ("manufacturer",)),
    Firm("manufacturer-2", ("9521000000032",), ("manufacturer",)),
    Firm("importer-1", ("9521000000049",), ("importer",)),
    Firm("distributor-1", ("9521000000056",), ("distributor",)),
    Firm("regulator-1", ("9521000000063",), ("regulator",)),
)


def firms_of(scenario: str) -> tuple[Firm, ...]:
    """The producers of a scenario. Raises CannotStart for one that does not exist."""
    if scenario == NONE:
        return DEMONSTRATION
    market = MARKETS.get(scenario)
    if market is None or not market.exists():
        raise CannotStart(f"there is no scenario {scenario!r}; there are: {', '.join((NONE, *MARKETS))}")
    data: dict[str, Any] = yaml.safe_load(market.read_text(encoding="utf-8"))
    return tuple(Firm(firm["name"], tuple(firm["gln"]), tuple(firm["roles"])) for firm in data["firms"])
