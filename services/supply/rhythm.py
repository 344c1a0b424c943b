"""Decides which producers have fallen silent, each against its own rhythm. Pure.

A producer's rhythm are the gaps between the days on which it said anything, over the year before its last word. Who has
spoken on few days has none. Silent is who has said nothing for twice the longest of these gaps, at least for a week.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from itertools import pairwise
from typing import Final, NamedTuple
from urllib.parse import quote

from services.supply.anomalies import Anomaly, Behind

KIND: Final = "producer_silent"
MIN_DAYS: Final = 10  # of words, to have a rhythm
LONGEST_GAPS: Final = 2
AT_LEAST_DAYS: Final = 7
YEAR: Final = timedelta(days=365)

Place = tuple[int, int, int]  # topic id, partition, offset


class LastWord(NamedTuple):
    """The last thing that a producer said on a day: when (microseconds since 1970), and where it lies."""

    at: int
    place: Place


class Rhythms:
    """By source, the days on which it said anything, as known."""

    def __init__(self) -> None:
        self._days: dict[str, dict[date, LastWord]] = defaultdict(dict)

    def take(self, rows: Iterable[tuple[str, date, LastWord]]) -> None:
        """More of what was said; in any order."""
        for source, day, word in rows:
            days = self._days[source]
            days[day] = max(word, days.get(day, word))

    def silent(self, on: date) -> dict[str, tuple[date, int, LastWord]]:
        """Those who are silent on a day, by source: since when, after how many days of silence, and their last word."""
        found = {}
        for source, days in self._days.items():
            past = sorted(day for day in days if day <= on)
            longest = longest_gap(past)
            if longest is None:
                continue
            allowed = max(AT_LEAST_DAYS, LONGEST_GAPS * longest)
            if (on - past[-1]).days > allowed:
                found[source] = (past[-1] + timedelta(days=allowed + 1), allowed, days[past[-1]])
        return found

    def spoke_again(self, source: str, since: date) -> date | None:
        """The first day from `since` on, on which a producer said anything."""
        return min((day for day in self._days.get(source, ()) if day >= since), default=None)


def longest_gap(days: list[date]) -> int | None:
    """Of rising days, in the year before the last one; None where there are too few for a rhythm."""
    if not days:
        return None
    recent = [day for day in days if day > days[-1] - YEAR]
    return max((after - before).days for before, after in pairwise(recent)) if len(recent) >= MIN_DAYS else None


def subject(source: str) -> str:
    return quote(source, safe="")


def anomalies(
    silent: Mapping[str, tuple[date, int, LastWord]], named: Mapping[Place, tuple[str, str]]
) -> list[Anomaly]:
    """What is odd about producers; `named` are the source and id of their last words by place."""
    found = []
    for source, (since, allowed, word) in sorted(silent.items()):
        detail = f"nothing was said for more than {allowed} days, twice the longest gap of the year before"
        behind = (Behind(*named[word.place]),) if word.place in named else ()
        found.append(Anomaly(KIND, subject(source), since, detail, behind))
    return found
