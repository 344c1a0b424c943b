"""Decides how a page tells of an alert: what it rests on, where that leads, what holds it back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from services.alerts.muting import SEPARATOR

EVENTS_SHOWN: Final = 20
# What the page says elsewhere, or what only programs need.
_LEFT_OUT: Final = frozenset({"formula", "events", "version", "title", "source"})
_SILENCE: Final = "silence:"


@dataclass(frozen=True, slots=True)
class EventLink:
    """An event at supply: who said it, and its id there."""

    source: str
    id: str
    url: str


@dataclass(frozen=True, slots=True)
class Mute:
    """What holds an alert back: a silence by its id, or an inhibition by its name."""

    silence: str | None
    inhibition: str | None


def plain_evidence(alert: dict[str, Any]) -> list[tuple[str, Any]]:
    """Names and values of what the alert rests on, as far as they are plain."""
    evidence: dict[str, Any] = alert["evidence"]
    return [
        (name, value)
        for name, value in evidence.items()
        if name not in _LEFT_OUT and value is not None and not isinstance(value, dict | list)
    ]


def nested_evidence(alert: dict[str, Any]) -> dict[str, Any]:
    """The rest: lists and objects, but for the events, which are linked."""
    evidence: dict[str, Any] = alert["evidence"]
    return {
        name: value
        for name, value in evidence.items()
        if name not in _LEFT_OUT and isinstance(value, dict | list) and value
    }


def events(alert: dict[str, Any]) -> tuple[Sequence[EventLink], int]:
    """The first events behind it, and how many more there are."""
    urls: list[str] = alert["links"].get("events", [])
    return [_event(url) for url in urls[:EVENTS_SHOWN]], max(0, len(urls) - EVENTS_SHOWN)


def mutes(alert: dict[str, Any]) -> list[Mute]:
    return [_mute(token) for token in alert["muted_by"]]


def _event(url: str) -> EventLink:
    *_, source, identity = urlsplit(url).path.split("/")
    return EventLink(unquote(source), unquote(identity), url)


def _mute(token: str) -> Mute:
    if token.startswith(_SILENCE):
        return Mute(token.removeprefix(_SILENCE), None)
    return Mute(None, token.split(SEPARATOR)[0].partition(":")[2])
