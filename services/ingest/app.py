"""Wires ingest: settings, database, Kafka, keys and routes; the life of the process."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import uvloop
from fastapi import FastAPI
from fastapi.routing import APIRoute

from services.ingest import access, access_pages, catalogue_pages, events, home_page, parties, rejections_api
from services.ingest.access import Access
from services.ingest.announcement import Announcer
from services.ingest.capture import api as capture_api
from services.ingest.capture.capturer import Capturer
from services.ingest.capture.jobs import Jobs
from services.ingest.capture.records import RecordCapture
from services.ingest.capture.store import Captures
from services.ingest.capture.worker import Worker
from services.ingest.edge import Edge
from services.ingest.kafka_admin import KafkaAdmin
from services.ingest.producers import Producers
from services.ingest.publisher import Publisher
from services.ingest.rejections import Rejections
from services.ingest.replay import Replayer
from services.ingest.settings import IngestSettings
from services.ingest.store import Store
from services.ingest.words import LINKS, WORDS
from shared import audit_api, openapi, pages, sign_in
from shared.access import AccessCache
from shared.audit import AuditLog
from shared.database import engine, migrate
from shared.pages import Pages
from shared.telemetry import logger, set_up_logging
from shared.transactions import transaction
from shared.web import create_app, serve, stop_tasks

TEMPLATES: Final = Path(__file__).parent / "templates"
# As many as a few hundred events make: most are gone by then.
COLLECTED_AFTER_OBJECTS: Final = 20_000

log = logger(__name__)


def _essential(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task without which the service is none: if a bug ends it, the process ends too."""
    task = asyncio.create_task(work)
    task.add_done_callback(_end_with)
    return task


def _end_with(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("a bug ended the service", exc_info=error)
        os._exit(1)


def build(settings: IngestSettings) -> FastAPI:
    """The application; its lifespan opens and closes everything it needs."""
    database = engine(settings)
    store, cache, publisher, admin = Store(database), AccessCache(), Publisher(settings), KafkaAdmin(settings)
    announcer = Announcer(settings, store, publisher, admin)
    keys = Access(settings, store, cache, announcer, admin)
    clock, producers, rejections = settings.domain_clock(), Producers(cache, store), Rejections(database)
    jobs, captures = Jobs(database, settings), Captures(database)
    capturer = Capturer(settings, clock, publisher, captures)
    worker = Worker(settings, store, jobs, captures, capturer)
    documents = RecordCapture(capturer, captures, settings.capture_limit_events)
    edge = Edge(settings, clock, producers, publisher, rejections, documents)
    replayer = Replayer(settings, clock, producers, publisher, rejections, documents)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await migrate(settings)
        await keys.open()
        parts = (publisher.run(), announcer.run(), cache.follow(settings), edge.run(), worker.run())
        tasks = [_essential(part) for part in parts]
        try:
            yield
        finally:
            await stop_tasks(*tasks)
            await database.dispose()

    def readiness() -> dict[str, bool]:
        return {"kafka": publisher.connected, "keys": cache.ready.is_set(), "inbound": edge.joined}

    app = create_app(settings, "Supply Watch: ingest", life, readiness)
    app.state.access, app.state.audit = cache, AuditLog(lambda: transaction(database))
    shown = Pages("ingest", TEMPLATES, LINKS, settings.services(), WORDS)
    for_events = events.router(settings, publisher, clock)
    app.router.routes.insert(0, events.Direct(cast(APIRoute, for_events.routes[0])))
    pages.add_to(app, shown)
    sign_in.add_to(app)
    app.include_router(home_page.router(rejections, shown))
    app.include_router(access_pages.router(store, keys, shown))
    app.include_router(for_events)
    app.include_router(rejections_api.router(settings, rejections, replayer, shown))
    app.include_router(capture_api.router(settings, jobs, captures, worker))
    app.include_router(access.router(store, keys))
    app.include_router(parties.router(store))
    app.include_router(catalogue_pages.router(settings, clock, shown))
    audit_api.add_to(app)
    openapi.add_route(app)
    return app


def main() -> None:
    settings = IngestSettings.load()
    set_up_logging(settings.SERVICE, settings.instance, settings.log_level)
    app = build(settings)
    _spare_the_collector()
    uvloop.run(serve(app, settings))


def _spare_the_collector() -> None:
    """What is loaded stays for good. To look through it again after every few events took a third of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER_OBJECTS)
