"""Answers with whole tables as files: balances, flows and indicators, as CSV or Parquet, streamed from one snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from services.supply.asked import GTIN, NOT_FINAL, Asked, Effective, Known, reader
from services.supply.asof import Cut
from services.supply.balances import Wanted, products_of
from services.supply.export_files import MEDIA_TYPES, Column, File, Form, Row, file_of
from services.supply.exports import (
    BALANCES,
    FLOWS,
    INDICATOR_COLUMNS,
    Connection,
    Parts,
    balance_rows,
    flow_rows,
    indicator_rows,
)
from services.supply.figures_api import days_of, wanted_figures
from shared.errors import Fault, Invalid, Transient
from shared.telemetry import logger
from shared.web import while_connected

log = logger(__name__)
_FILES: dict[str, Any] = {media_type: {"schema": {"type": "string"}} for media_type in MEDIA_TYPES.values()}
router = APIRouter(
    prefix="/exports",
    dependencies=[Depends(reader)],
    responses={200: {"content": _FILES}, **NOT_FINAL, 429: {}},
    default_response_class=StreamingResponse,
)


class Export(StreamingResponse):
    """A file on its way. `held` (snapshot and slot) is let go when the last byte is sent, or cannot be."""

    def __init__(
        self, body: AsyncIterator[bytes], held: AsyncExitStack, asked: Asked, headers: dict[str, str], form: Form
    ) -> None:
        super().__init__(body, headers=headers, media_type=MEDIA_TYPES[form])
        self._held = held
        self._timeout_seconds = asked.settings.export_timeout_seconds
        self._stall_seconds = asked.settings.export_stall_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def bounded(message: Message) -> None:
            async with asyncio.timeout(self._stall_seconds):
                await send(message)

        try:
            async with self._held, asyncio.timeout(self._timeout_seconds):
                await super().__call__(scope, receive, bounded)
        except (TimeoutError, Transient) as error:
            # Half of the file is out: the reader learns by the end of the connection that it is not whole.
            log.warning("export cut off", path=scope["path"], why=str(error.__context__ or error))


@router.get("/balances.{form}")
async def export_balances(
    request: Request,
    form: Form,
    asked: Annotated[Asked, Depends()],
    gtin: Annotated[str | None, Query(pattern=GTIN)] = None,
    lot: Annotated[str | None, Query(max_length=20, pattern=r"^[^\x00]*$")] = None,
    origin: Literal["domestic", "import", "unknown"] | None = None,
    atc: Annotated[str | None, Query(pattern=r"^[A-Z0-9]{1,7}$")] = None,
    effective: Effective = None,
    known: Known = None,
) -> Export:
    """Every item of GET /balances, a lot a row."""
    on = asked.day(effective)

    async def rows(connection: Connection, cut: Cut) -> Parts:
        registry = await asked.facts.registry(connection, cut)
        products = None if atc is None else products_of(registry, atc, on)
        wanted = Wanted(None if gtin is None else int(gtin), lot, origin, products)
        return balance_rows(connection, cut, on, asked.origins(registry), wanted)

    return await _export(request, asked, f"balances-{on}", form, BALANCES, known, rows)


@router.get("/flows.{form}")
async def export_flows(
    request: Request,
    form: Form,
    asked: Annotated[Asked, Depends()],
    gtin: Annotated[str | None, Query(pattern=GTIN)] = None,
    effective: Effective = None,
    first: Annotated[date | None, Query(alias="from")] = None,
    last: Annotated[date | None, Query(alias="to")] = None,
    known: Known = None,
) -> Export:
    """Net packs that moved from one place of a lot to another on a day `from` … `to` (default: up to `effective`)."""
    start, end = first or date.min, last or asked.day(effective)
    if start > end:
        raise Invalid([Fault("from", "range", "'from' lies after 'to'")])

    async def rows(connection: Connection, cut: Cut) -> Parts:
        number = None if gtin is None else int(gtin)
        return flow_rows(connection, cut, start, end, number, asked.settings.export_timeout_seconds)

    return await _export(request, asked, f"flows-{end}", form, FLOWS, known, rows)


@router.get("/indicators.{form}")
async def export_indicators(
    request: Request,
    form: Form,
    asked: Annotated[Asked, Depends()],
    name: str | None = None,
    scope: str | None = None,
    effective: Effective = None,
    first: Annotated[date | None, Query(alias="from")] = None,
    last: Annotated[date | None, Query(alias="to")] = None,
    known: Known = None,
) -> Export:
    """Every item of GET /indicators, on a day or one a day `from` … `to`."""
    names, scopes = wanted_figures(name, scope, asked)
    days = days_of(asked.day(effective), first, last)

    async def rows(connection: Connection, cut: Cut) -> Parts:
        steps = frozenset(asked.settings.domestic_local_steps)
        timeout_seconds = asked.settings.export_timeout_seconds
        return indicator_rows(connection, cut, days, names, scopes, asked.facts, steps, timeout_seconds)

    return await _export(request, asked, f"indicators-{days[-1]}", form, INDICATOR_COLUMNS, known, rows)


async def _export(
    request: Request,
    asked: Asked,
    title: str,
    form: Form,
    columns: Sequence[Column],
    known: datetime | None,
    rows: Callable[[Connection, Cut], Awaitable[Parts]],
) -> Export:
    """The answer, begun: what fails before the first rows are there is told as a problem, not as half a file."""
    async with AsyncExitStack() as held:
        held.enter_context(request.app.state.exports.one())
        connection, cut = await held.enter_async_context(asked.at(known))
        # An idle session here is one whose reader is slow; that has a bound of its own.
        idle_ms = int(asked.settings.export_stall_seconds * 2_000)
        await connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = {idle_ms}")
        about = {name: "" if value is None else str(value) for name, value in asked.head(cut).items()}
        file = await asyncio.to_thread(file_of, form, columns, about)
        parts = await rows(connection, cut)
        first = await while_connected(request, _next(parts))
        headers = {
            "Content-Disposition": f'attachment; filename="{title}-checkpoint-{cut.n}.{form}"',
            "Cache-Control": "no-store",
            **{f"Supply-Watch-{name.replace('_', '-').title()}": value for name, value in about.items()},
        }
        kept = held.pop_all()
        return Export(_bytes_of(file, first, parts, kept), kept, asked, headers, form)
    raise AssertionError("an exit stack swallows nothing")


async def _next(parts: Parts) -> Sequence[Row]:
    return await anext(parts, None) or ()


async def _bytes_of(file: File, first: Sequence[Row], rest: Parts, held: AsyncExitStack) -> AsyncIterator[bytes]:
    """The last byte goes out when `held` is let go: whoever has read it may ask for the next export."""
    yield file.begin()
    if first:
        yield file.rows(first)
    async for part in rest:
        yield file.rows(part)
    end = file.end()
    await held.aclose()
    yield end
