"""A service with nothing but signing in and a page that tells who is signed in, served on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Response

from services.ingest.settings import IngestSettings
from shared import pages, sign_in
from shared.access import AccessCache, require
from shared.keys import ADMIN, OPERATOR, VIEWER, Principal
from shared.pages import Pages
from shared.web import create_app, json_response, serving
from tests.applications import NOWHERE


class Service:
    """An application with nothing but signing in, and a page that tells who is signed in; its clock can be moved."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.url = url
        self.app = self._made(
            IngestSettings.load(**NOWHERE, **{"kafka_admin_password": "x", "public_url": url, **settings})
        )
        self.late_seconds = 0.0
        real: Callable[[], float] = self.app.state.now_seconds
        self.app.state.now_seconds = lambda: real() + self.late_seconds

    def _made(self, settings: IngestSettings) -> FastAPI:
        @asynccontextmanager
        async def life(_: FastAPI) -> AsyncIterator[None]:
            yield

        app = create_app(settings, "test", life, dict)
        app.state.access = AccessCache()
        app.state.access.ready.set()
        pages.add_to(app, Pages("ingest", Path(__file__).parent, (("Who", "/who"),)))
        sign_in.add_to(app)

        @app.get("/who")
        async def who(principal: Annotated[Principal, Depends(require(VIEWER, OPERATOR, ADMIN))]) -> Response:
            return json_response({"name": principal.name, "role": principal.role, "key_id": principal.key_id})

        return app


@asynccontextmanager
async def served(listening: socket.socket, app: FastAPI) -> AsyncIterator[None]:
    server = uvicorn.Server(serving(app, app.state.settings))
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await running
