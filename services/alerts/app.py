"""Puts the service together: settings, parts, loops and routes; starts it and ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import uvloop
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts import alerts_api, deliveries_api, endpoints_api, silences_api
from services.alerts.delivery import Deliveries, Limits
from services.alerts.destination import Policy
from services.alerts.health import Health
from services.alerts.names import Names
from services.alerts.pages import alert, deliveries, endpoints, inbox, silences
from services.alerts.pages.words import LINKS, WORDS
from services.alerts.parts import Parts
from services.alerts.pipeline import Pipeline
from services.alerts.queries import Queries
from services.alerts.relay import Relay
from services.alerts.rule_files import load_rules
from services.alerts.rule_watch import RuleWatch
from services.alerts.rules import RuleSet
from services.alerts.sender import Sender
from services.alerts.settings import AlertsSettings
from services.alerts.signals import CaughtUp, Signals
from services.alerts.store.alerts import AlertStore, Grouping
from services.alerts.store.deliveries import DeliveryStore
from services.alerts.store.endpoints import EndpointStore
from services.alerts.store.outbox import Outbox
from services.alerts.store.recovery import Recovery
from services.alerts.store.silences import SilenceStore
from services.alerts.timers import Timers
from services.alerts.wakeups import Wakeups
from shared import audit_api, openapi, pages, sign_in
from shared.access import AccessCache
from shared.audit import AuditLog
from shared.database import engine as open_engine
from shared.database import migrate
from shared.errors import Invalid, Transient
from shared.lease import Lease
from shared.pages import Pages
from shared.patience import patiently
from shared.telemetry import logger, set_up_logging
from shared.transactions import transaction
from shared.web import create_app, serve, stop_tasks

RELAY_LEASE = "relay"
TEMPLATES: Final = Path(__file__).parent / "templates"

log = logger(__name__)


class Service:
    """One running instance. A bug in any loop ends the process, so that it is seen and started afresh."""

    def __init__(self, settings: AlertsSettings, rules: RuleSet) -> None:
        self.settings = settings
        self.rules = rules
        self.access = AccessCache()
        self.health = Health()
        self.parts: Parts | None = None
        self.failure: BaseException | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def app(self) -> FastAPI:
        app = create_app(self.settings, "Supply Watch: alerts", self.lifespan, self.readiness)
        app.state.access = self.access
        shown = Pages("alerts", TEMPLATES, LINKS, self.settings.services(), WORDS)
        pages.add_to(app, shown)
        sign_in.add_to(app)
        for browsers in (inbox, alert, silences, endpoints, deliveries):
            app.include_router(browsers.router(shown))
        for routes in (alerts_api, silences_api, endpoints_api, deliveries_api):
            app.include_router(routes.router)
        audit_api.add_to(app)
        openapi.add_route(app)
        return app

    def readiness(self) -> dict[str, bool]:
        return {
            "database": self.health.database,
            "kafka": self.health.kafka,
            "keys": self.access.ready.is_set(),
            "signals": self.parts is not None and self.parts.caught_up.done,
        }

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_exception_handler(self._on_exception)
        engine = open_engine(self.settings)
        self.parts = app.state.parts = self._assemble(engine)
        app.state.audit = AuditLog(lambda: transaction(engine))
        self._start(self.parts)
        try:
            yield
        finally:
            await self._stop(self.parts)
            await engine.dispose()

    def _assemble(self, engine: AsyncEngine) -> Parts:
        settings, clock, wakeups = self.settings, self.settings.domain_clock(), Wakeups()
        queries = Queries(engine)
        policy, names = Policy(settings.allowed_cidrs, settings.allow_http), Names()
        grouping = Grouping(
            timedelta(seconds=settings.group_wait_seconds), timedelta(seconds=settings.group_interval_seconds)
        )
        alerts = AlertStore(engine, self.rules, clock, settings.links_supply_url, wakeups, grouping)
        endpoints = EndpointStore(engine, alerts, clock, wakeups)
        caught_up = CaughtUp(queries, settings)
        sender = Sender(
            names,
            policy,
            clock,
            timeout_seconds=settings.delivery_timeout_seconds,
            connect_timeout_seconds=settings.delivery_connect_timeout_seconds,
        )
        outbox = Outbox(engine, Lease(RELAY_LEASE, settings.instance, settings.relay_lease_seconds))
        limits = Limits(
            settings.delivery_concurrency,
            settings.delivery_endpoint_concurrency,
            settings.delivery_poll_seconds,
            timedelta(seconds=settings.delivery_lease_seconds),
        )
        due = DeliveryStore(engine, endpoints, timedelta(days=settings.delivery_give_up_days))
        return Parts(
            settings=settings,
            clock=clock,
            policy=policy,
            names=names,
            queries=queries,
            alerts=alerts,
            endpoints=endpoints,
            silences=SilenceStore(engine, clock, wakeups),
            recovery=Recovery(engine, clock, wakeups),
            outbox=outbox,
            sender=sender,
            signals=Signals(alerts, queries, settings, self.fail),
            caught_up=caught_up,
            rule_watch=RuleWatch(
                settings.rules_dir,
                self.rules.digest,
                lambda rules: patiently("rules to adopt", lambda: alerts.change_rules(rules)),
                poll_seconds=settings.rules_poll_seconds,
            ),
            timers=Timers(
                alerts,
                clock,
                wakeups,
                caught_up.wait,
                poll_seconds=settings.timer_poll_seconds,
                batch=settings.timer_batch_subjects,
            ),
            deliveries=Deliveries(due, sender, clock, limits, wakeups),
            relay=Relay(outbox, settings, clock, wakeups),
        )

    def _start(self, parts: Parts) -> None:
        loops = {
            "access": self.access.follow(self.settings),
            "health": self.health.run(parts),
            "signals": self._read_signals(parts),
            "caught-up": parts.caught_up.run(),
            "timers": parts.timers.run(),
            "deliveries": parts.deliveries.run(),
            "relay": parts.relay.run(),
            "rules": parts.rule_watch.run(),
            "pipeline": self._watch_pipeline(parts),
        }
        for name, loop in loops.items():
            task = asyncio.create_task(loop, name=name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def _read_signals(self, parts: Parts) -> None:
        """Signals are only read once every held one is known to be judged by the rules in force."""
        if await patiently("the rules in force", parts.alerts.adopt_rules):
            log.info("the rules have changed: every signal is judged again")
        await parts.signals.run()

    async def _watch_pipeline(self, parts: Parts) -> None:
        """Once the signals that came while nobody listened are known: how late they are is told by them too."""
        await parts.caught_up.wait()
        await Pipeline(parts.settings, parts.clock, parts.alerts.signal).run()

    async def _stop(self, parts: Parts) -> None:
        """What is being sent is finished and recorded first, so that the next start sends nothing twice."""
        share_seconds = self.settings.shutdown_timeout_seconds / 4
        try:
            async with asyncio.timeout(2 * share_seconds):
                await parts.deliveries.stop(share_seconds)
        except (TimeoutError, Transient):
            log.warning("the database is away: what was being sent is sent again when its lease ends")
        await stop_tasks(*self._tasks)
        try:
            async with asyncio.timeout(share_seconds):
                await parts.outbox.release()
        except (TimeoutError, Transient):
            log.warning("the database is away: the lease of the relay ends by itself")
        await parts.signals.stop()
        await parts.sender.close()

    def fail(self, error: BaseException) -> None:
        """Ends the process because of a bug."""
        if self.failure is None:
            self.failure = error
            log.critical("a bug ends the process", exc_info=error)
            os.kill(os.getpid(), signal.SIGTERM)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception) and context.get("handle") is not None:
            self.fail(error)
        else:
            loop.default_exception_handler(context)


async def run(settings: AlertsSettings) -> int:
    """The exit code: 1 after a bug."""
    try:
        rules = load_rules(settings.rules_dir)
    except Invalid as error:
        for fault in error.faults:
            print(f"rule {fault.field}: {fault.detail}", file=sys.stderr)
        return 2
    await migrate(settings)
    service = Service(settings, rules)
    await serve(service.app(), settings)
    return 1 if service.failure is not None else 0


def main() -> None:
    settings = AlertsSettings.load()
    set_up_logging(settings.SERVICE, settings.instance, settings.log_level)
    sys.exit(uvloop.run(run(settings)))
