"""Decides where an alert leads: supply's addresses of the goal, indicator, obligation and events behind it. Pure."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from services.alerts.facts import Signal


def links(signal: Signal, supply_url: str) -> dict[str, Any]:
    """Named addresses in supply's API; `events` is a list of addresses."""
    build = _BY_KIND.get(signal.kind)
    return {} if build is None else build(signal.data, supply_url.rstrip("/"))


def _goal(data: dict[str, Any], base: str) -> dict[str, Any]:
    return {
        "goal": f"{base}/goals/{quote(data['goal'], safe='')}",
        **_measured(data["indicator"], data, base),
    }


def _indicator(data: dict[str, Any], base: str) -> dict[str, Any]:
    return _measured(data["name"], data, base)


def _measured(name: str, data: dict[str, Any], base: str) -> dict[str, Any]:
    """The value on its day, and what it was made from, down to each event."""
    about = {"scope": data["scope"], "effective": data["on"]}
    explain = urlencode({**about, **({"window": data["window"]} if "window" in data else {})})
    return {
        "indicator": f"{base}/indicators?{urlencode({'name': name, **about})}",
        "explain": f"{base}/indicators/{quote(name, safe='')}/explain?{explain}",
    }


def _obligation(data: dict[str, Any], base: str) -> dict[str, Any]:
    found: dict[str, Any] = {"obligation": f"{base}/obligations?{urlencode({'obligation': data['obligation']})}"}
    return {**found, "events": _events(data, base)} if data.get("events") else found


def _anomaly(data: dict[str, Any], base: str) -> dict[str, Any]:
    asked = urlencode({"kind": data["kind"], "subject": data["subject"]})
    return {"anomaly": f"{base}/anomalies?{asked}", "events": _events(data, base)}


def _events(data: dict[str, Any], base: str) -> list[str]:
    """The events behind it, each by its own address."""
    told = data["events"]
    return [f"{base}/events/{quote(item['source'], safe='')}/{quote(item['id'], safe='')}" for item in told]


_BY_KIND = {
    "goal": _goal,
    "indicator": _indicator,
    "obligation": _obligation,
    "anomaly": _anomaly,
}
