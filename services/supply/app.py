"""Wires the supply service: migrations, consumer, evaluation, access, HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
from aiokafka.errors import KafkaError
from fastapi import FastAPI

from services.supply import business, metrics
from services.supply.api import add_routes
from services.supply.consumer import LedgerConsumer
from services.supply.evaluation import Evaluation
from services.supply.goal_files import load_goals
from services.supply.known_facts import KnownFacts
from services.supply.lag import Lag, Stall
from services.supply.pages import add_pages
from services.supply.settings import SupplySettings
from services.supply.signing import BadKey, Signer
from shared.access import AccessCache
from shared.audit import AuditLog
from shared.database import AWAY, engine, migrate, pool
from shared.settings import ROOT
from shared.telemetry import logger
from shared.transactions import transaction
from shared.web import create_app, stop_tasks

WATCH_EVERY_SECONDS: Final = 5.0
EXIT_FATAL: Final = 70
TITLE: Final = "Supply Watch: supply"

log = logger(__name__)


class Supply:
    """Everything that runs in one instance."""

    def __init__(self, settings: SupplySettings) -> None:
        self.settings = settings
        self.clock = settings.domain_clock()
        self.goals = load_goals(ROOT / settings.goals_dir)
        self.signer = load_signer(ROOT / settings.checkpoint_key_file)
        self.access = AccessCache()
        self.failed = False
        self.consumer: LedgerConsumer | None = None
        self.database_answers = False

    def readiness(self) -> dict[str, bool]:
        return {
            "database": self.database_answers,
            "access": self.access.ready.is_set(),
            "consumer": self.consumer is not None and self.consumer.ready,
        }

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        settings = self.settings
        await migrate(settings)
        writer = await pool(
            settings,
            size=settings.database_pool_size,
            command_timeout_seconds=settings.write_timeout_seconds,
            idle_in_transaction_timeout_ms=settings.idle_in_transaction_timeout_ms,
        )
        readers = await pool(
            settings, size=settings.database_pool_size, command_timeout_seconds=settings.database_timeout_seconds
        )
        audited = engine(settings)  # for the audit; it opens no connection before somebody reads that
        self.database_answers = True
        lag = Lag(settings, writer)
        self.consumer = LedgerConsumer(settings, writer, self.fatal)
        facts = KnownFacts()
        evaluation = Evaluation(settings, writer, self.clock, self.signer, self.goals, facts, lag.records)
        app.state.access, app.state.clock, app.state.goals = self.access, self.clock, self.goals
        app.state.readers, app.state.facts = readers, facts
        app.state.audit = AuditLog(lambda: transaction(audited))
        tasks = [
            asyncio.create_task(self._watched(work), name=name)
            for name, work in {
                "access": self.access.follow(settings),
                "consumer": self.consumer.run(),
                "evaluation": evaluation.run(),
                "business": business.follow(readers),
                "watchdog": self._watch(writer, lag),
            }.items()
        ]
        try:
            yield
        finally:
            await self.consumer.stop()
            await stop_tasks(*tasks)
            await evaluation.stop()
            await lag.stop()
            await asyncio.gather(writer.close(), readers.close(), audited.dispose())

    def fatal(self, why: str, error: BaseException) -> None:
        """Ends the process: what cannot be right must not go on. A supervisor starts it again."""
        log.critical(why, error=str(error), exc_info=error)
        self.failed = True
        os.kill(os.getpid(), signal.SIGTERM)

    async def _watched(self, work: Any) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the process ends with it
            self.fatal("bug in a background task", error)

    async def _watch(self, writer: asyncpg.Pool, lag: Lag) -> None:
        """Ends the process when broker and database answer, there is lag, and no position has moved for long."""
        stall = Stall(self.settings.stall_after_seconds)
        while True:
            await asyncio.sleep(WATCH_EVERY_SECONDS)
            try:
                await writer.fetchval("SELECT 1")
                self.database_answers = True
                metrics.LAG.set(await lag.records())
            except AWAY:
                self.database_answers = False
                continue
            except KafkaError:
                continue
            assert self.consumer is not None
            own = stall.records(lag, self.consumer.assigned, time.monotonic())
            if own:
                self.fatal("stalled", RuntimeError(f"{own} records wait and no position moves"))


def load_signer(path: Path) -> Signer:
    """Raises BadKey for a file that is not there or holds no key."""
    try:
        return Signer.from_pem(path.read_bytes())
    except OSError as error:
        raise BadKey(f"{path}: {error.strerror}") from None


def create(settings: SupplySettings) -> tuple[FastAPI, Supply]:
    """The application and what runs behind it."""
    supply = Supply(settings)
    app = create_app(settings, TITLE, supply.lifespan, supply.readiness)
    add_pages(app)
    add_routes(app)
    return app, supply
