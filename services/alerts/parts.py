"""Holds the parts of a running service, so that routes and loops find them; app.py puts them together."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from services.alerts.delivery import Deliveries
from services.alerts.destination import Policy
from services.alerts.names import Names
from services.alerts.queries import Queries
from services.alerts.relay import Relay
from services.alerts.rule_watch import RuleWatch
from services.alerts.sender import Sender
from services.alerts.settings import AlertsSettings
from services.alerts.signals import CaughtUp, Signals
from services.alerts.store.alerts import AlertStore
from services.alerts.store.endpoints import EndpointStore
from services.alerts.store.outbox import Outbox
from services.alerts.store.recovery import Recovery
from services.alerts.store.silences import SilenceStore
from services.alerts.timers import Timers
from shared.clock import Clock


@dataclass(frozen=True, slots=True)
class Parts:
    settings: AlertsSettings
    clock: Clock
    policy: Policy
    names: Names
    queries: Queries
    alerts: AlertStore
    endpoints: EndpointStore
    silences: SilenceStore
    recovery: Recovery
    outbox: Outbox
    sender: Sender
    signals: Signals
    caught_up: CaughtUp
    rule_watch: RuleWatch
    timers: Timers
    deliveries: Deliveries
    relay: Relay


def parts(request: Request) -> Parts:
    """A FastAPI dependency."""
    found: Parts = request.app.state.parts
    return found
