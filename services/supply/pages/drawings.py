"""Keeps charts as they were drawn last: a page waits for a chart that was never drawn, and for no other.

What has changed since is drawn beside, one chart at a time, and stands on the page that is asked for next.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from markupsafe import Markup

MAX_HELD: Final = 500
Draw = Callable[[Any, str], Markup]
Place = tuple[str, str]


class Drawn(NamedTuple):
    """A chart, and what it shows."""

    shown: Any
    svg: Markup


class Drawings:
    """The charts of one instance, by what they are of and the language."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "charts")
        self._held: OrderedDict[Place, Drawn] = OrderedDict()
        self._under_way: dict[Place, asyncio.Future[Drawn]] = {}

    async def of(self, what: str, shown: Any, draw: Draw, language: str) -> Markup:
        """The chart of `what`, which is to show `shown`. Raises what drawing raised, be it for the page before."""
        place = (what, language)
        coming = self._under_way.get(place)
        if coming is not None and coming.done():
            self._take(place)
        held = self._held.get(place)
        if held is not None and held.shown == shown:
            self._held.move_to_end(place)
            return held.svg
        if place not in self._under_way:
            loop = asyncio.get_running_loop()
            self._under_way[place] = loop.run_in_executor(self._thread, _drawn, draw, shown, language)
        if held is not None:
            return held.svg
        first = await asyncio.shield(self._under_way[place])  # others may wait for it too
        return first.svg

    def _take(self, place: Place) -> None:
        self._held[place] = self._under_way.pop(place).result()
        if len(self._held) > MAX_HELD:
            self._held.popitem(last=False)


def _drawn(draw: Draw, shown: Any, language: str) -> Drawn:
    return Drawn(shown, draw(shown, language))
