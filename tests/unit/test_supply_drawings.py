"""Charts are kept as they were drawn last: no page waits for one that only has to be drawn anew."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from markupsafe import Markup

from services.supply.pages import drawings
from services.supply.pages.drawings import Drawings


def plain(shown: Any, language: str) -> Markup:
    return Markup(f"{shown} in {language}")


async def turned(kept: Drawings, what: str, shown: Any, language: str = "en") -> str:
    """What is there once nothing is under way."""
    async with asyncio.timeout(5):
        while (found := await kept.of(what, shown, plain, language)) != f"{shown} in {language}":
            await asyncio.sleep(0)
    return found


async def test_the_first_time_a_page_waits_for_its_chart() -> None:
    kept = Drawings()
    assert await kept.of("goal", 1, plain, "en") == "1 in en"
    assert await kept.of("goal", 1, plain, "vi") == "1 in vi"


async def test_what_has_changed_is_shown_as_it_was_until_it_is_drawn_anew() -> None:
    kept, may_go_on = Drawings(), threading.Event()

    def slow(shown: Any, language: str) -> Markup:
        may_go_on.wait(5)
        return plain(shown, language)

    assert await kept.of("goal", 1, plain, "en") == "1 in en"
    assert await kept.of("goal", 2, slow, "en") == "1 in en"
    assert await kept.of("goal", 2, slow, "en") == "1 in en"
    may_go_on.set()
    assert await turned(kept, "goal", 2) == "2 in en"


async def test_several_pages_wait_for_one_drawing() -> None:
    kept, drawn = Drawings(), []

    def counted(shown: Any, language: str) -> Markup:
        drawn.append(shown)
        return plain(shown, language)

    found = await asyncio.gather(*(kept.of("goal", 1, counted, "en") for _ in range(5)))
    assert (set(found), drawn) == ({"1 in en"}, [1])


async def test_a_drawing_that_fails_is_no_secret() -> None:
    kept = Drawings()

    def broken(shown: Any, language: str) -> Markup:
        raise ValueError("no such thing")

    assert await kept.of("goal", 1, plain, "en") == "1 in en"
    with pytest.raises(ValueError, match="no such thing"):
        await kept.of("other", 1, broken, "en")


async def test_only_so_many_charts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawings, "MAX_HELD", 2)
    kept = Drawings()
    for what in ("a", "b", "c"):
        await kept.of(what, 1, plain, "en")
        await turned(kept, what, 1)
    assert [what for what, _ in kept._held] == ["b", "c"]
