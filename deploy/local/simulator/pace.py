"""Decides how fast a product is supplied on a day: its usual pace, an interrupted plant, catching up, buying more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from deploy.local.simulator.data import Product
from deploy.local.simulator.story import Interruption, Pace, Story


class Paces:
    """What the story does to the pace of each product."""

    def __init__(self, story: Story) -> None:
        self._interruptions: Sequence[Interruption] = story.interruptions
        self._paces: Sequence[Pace] = story.pace

    def on(self, product: Product, day: date) -> float:
        """1 is the usual pace, 0 is standing still."""
        for stop in self._interruptions:
            if stop.site == product.manufacturer and stop.started_on <= day < stop.resolved_on:
                return 0.0
        factor = 1.0
        for pace in self._paces:
            concerned = pace.site == product.manufacturer or product.gtin in pace.gtins
            if concerned and pace.since <= day < pace.until:
                factor *= pace.factor
        return factor
