"""Wires ingest: settings, database, Kafka, keys and routes; the life of the process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from fastapi import FastAPI

from services.ingest import access, catalogue_pages, events, rejections_api
from services.ingest.access import Access
from services.ingest.announcement import Announcer
from services.ingest.documents import NoDocuments
from services.ingest.edge import Edge
from services.ingest.kafka_admin import KafkaAdmin
from services.ingest.producers import Producers
from services.ingest.publisher import Publisher
from services.ingest.rejections import Rejections
from services.ingest.replay import Replayer
from services.ingest.settings import IngestSettings
from services.ingest.store import Store
from shared.access import AccessCache
from shared.database import engine, migrate
from shared.telemetry import logger, set_up_logging
from shared.web import create_app, serve, stop_tasks

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
    documents = NoDocuments()
    edge = Edge(settings, clock, producers, publisher, rejections, documents)
    replayer = Replayer(settings, clock, producers, publisher, rejections, documents)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await migrate(settings)
        await keys.open()
        tasks = [_essential(part) for part in (publisher.run(), announcer.run(), cache.follow(settings), edge.run())]
        try:
            yield
        finally:
            await stop_tasks(*tasks)
            await database.dispose()

    def readiness() -> dict[str, bool]:
        return {"kafka": publisher.connected, "keys": cache.ready.is_set(), "inbound": edge.joined}

    app = create_app(settings, "Supply Watch: ingest", life, readiness)
    app.state.access = cache
    app.include_router(events.router(settings, publisher, clock))
    app.include_router(rejections_api.router(settings, rejections, replayer))
    app.include_router(access.router(settings, store, keys))
    app.include_router(catalogue_pages.router(settings))
    return app


def main() -> None:
    settings = IngestSettings.load()
    set_up_logging(settings.SERVICE, settings.instance, settings.log_level)
    uvloop.run(serve(build(settings), settings))
