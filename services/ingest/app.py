"""Wires ingest: settings, database, Kafka, keys and routes; the life of the process."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import uvloop
from fastapi import FastAPI
from fastapi.routing import APIRoute

from services.ingest import access, catalogue_pages, events
from services.ingest.access import Access
from services.ingest.announcement import Announcer
from services.ingest.kafka_admin import KafkaAdmin
from services.ingest.publisher import Publisher
from services.ingest.settings import IngestSettings
from services.ingest.store import Store
from shared.access import AccessCache
from shared.database import engine, migrate
from shared.telemetry import logger, set_up_logging
from shared.web import create_app, serve, stop_tasks

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

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await migrate(settings)
        await keys.open()
        tasks = [_essential(publisher.run()), _essential(announcer.run()), _essential(cache.follow(settings))]
        try:
            yield
        finally:
            await stop_tasks(*tasks)
            await database.dispose()

    def readiness() -> dict[str, bool]:
        return {"kafka": publisher.connected, "keys": cache.ready.is_set()}

    app = create_app(settings, "Supply Watch: ingest", life, readiness)
    app.state.access = cache
    for_events = events.router(settings, publisher, settings.domain_clock())
    app.router.routes.insert(0, events.Direct(cast(APIRoute, for_events.routes[0])))
    app.include_router(for_events)
    app.include_router(access.router(store, keys))
    app.include_router(catalogue_pages.router(settings))
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
