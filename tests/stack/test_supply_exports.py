"""Exports: the same figures as the answers in JSON, whole, exact, bounded, and told as known at their checkpoint."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import aiohttp
import asyncpg
import pyarrow
import pytest
from pyarrow import parquet

from deploy.local.postgres import SUPERUSER
from deploy.local.stack import Stack
from tests.reference import Book
from tests.stack.supply_flood import flood
from tests.stack.supply_given import EFFECTIVE, PLACES, Ledger, Sender, fresh_gtins
from tests.stack.waiting import eventually
from tests.supply_given import correction, event

JSON = dict[str, Any]
KINDS: Final = ("batch.produced", "batch.released", "export.shipped", "batch.destroyed", "stock.adjusted")
MAX_EXPORTS: Final = 2  # the default of the setting


class Exports:
    """What GET /exports/… answers a viewer."""

    def __init__(self, http: aiohttp.ClientSession, credentials: JSON, key: str = "") -> None:
        self._http = http
        self._url = f"{credentials['supply']}/exports/"
        self._headers = {"Authorization": f"Bearer {key or credentials['keys']['viewer']}"}

    def ask(self, file: str, **query: str) -> Any:
        """A request, to be entered."""
        return self._http.get(self._url + file, params=query, headers=self._headers)

    async def get(self, file: str, **query: str) -> tuple[bytes, Any]:
        """The body and headers of a good answer."""
        async with self.ask(file, **query) as answer:
            body = await answer.read()
            assert answer.status == 200, body
            return body, answer.headers

    async def csv(self, file: str, **query: str) -> list[dict[str, str]]:
        body, _ = await self.get(f"{file}.csv", **query)
        return list(csv.DictReader(io.StringIO(body.decode(), newline="")))

    async def parquet(self, file: str, **query: str) -> Any:
        body, _ = await self.get(f"{file}.parquet", **query)
        return parquet.read_table(io.BytesIO(body))


@pytest.fixture
def exports(http: aiohttp.ClientSession, credentials: JSON) -> Exports:
    return Exports(http, credentials)


@pytest.fixture
def ledger(http: aiohttp.ClientSession, credentials: JSON) -> Ledger:
    return Ledger(http, credentials)


@pytest.fixture
def maker(http: aiohttp.ClientSession, credentials: JSON) -> Sender:
    return Sender(http, credentials, "manufacturer-1")


@asynccontextmanager
async def nobody_reads_the_journal(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    """Whoever reads the journal waits until this ends."""
    server = await asyncpg.connect(stack.postgres.url(SUPERUSER))
    try:
        async with server.transaction():
            await server.execute("LOCK TABLE supply.journal IN ACCESS EXCLUSIVE MODE")
            yield server
    finally:
        await server.close()


async def waiting_for_the_journal(server: asyncpg.Connection) -> int:
    """Exports whose query is under way."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'supply' AND state = 'active' AND query ~ 'leaves'"
    await server.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees one moment of the sessions
    found: int = await server.fetchval(query)
    return found


async def test_balances_are_exported_as_they_are_answered(exports: Exports, maker: Sender, ledger: Ledger) -> None:
    (product,) = fresh_gtins(1)
    odd = 'A,"1"\u00e9'.replace("\u00e9", "")
    made = event("batch.produced", f"{product}/m", source=maker.source, gtin=product, lot=odd, quantity=10**12)
    made["data"]["manufacturer"] = maker.gln
    released = event("batch.released", f"{product}/r", source=maker.source, gtin=product, lot=odd, quantity=7)
    unknown = event("batch.released", f"{product}/u", source=maker.source, gtin=product, lot="U", quantity=7)
    await maker.send(made, released, unknown)
    known = await ledger.holds(maker)
    asked = {"gtin": product, "effective": EFFECTIVE, "known": known}
    items = (await ledger.get("/balances", **asked))["items"]
    expected = [
        {**{name: item[name] for name in ("gtin", "lot", "origin", "usable", "blocked", "expired")}, **item["places"]}
        for item in items
    ]
    assert len(expected) == 2
    rows = await exports.csv("balances", **asked)
    assert rows == [{name: str(value) for name, value in item.items()} for item in map(in_order(rows), expected)]
    table = await exports.parquet("balances", **asked)
    assert [dict(row) for row in table.to_pylist()] == expected
    assert {str(table.schema.field(place).type) for place in PLACES} == {"int64"}
    assert [row["lot"] for row in await exports.csv("balances", **asked, origin="domestic")] == [odd]
    assert await exports.csv("balances", **asked, lot="none") == []
    assert (await exports.parquet("balances", **asked, atc="Z")).num_rows == 0


async def test_what_was_only_packed_here_is_import_in_every_answer(
    http: aiohttp.ClientSession, credentials: JSON, exports: Exports, maker: Sender, ledger: Ledger
) -> None:
    regulator = Sender(http, credentials, "regulator-1")
    (product,) = fresh_gtins(1)
    made = event("batch.produced", f"{product}/m", source=maker.source, gtin=product, manufacturer=maker.gln)
    await maker.send(made)
    data = {
        "authorisation": f"VD-{product}",
        "product": {"name": "M", "substance": "m", "atc": "A10BA02", "form": "tablet", "class": "generic"},
        "packs": [{"gtin": product, "pack_size": 30}],
        "origin": "domestic",
        "local_step": "packaging",
        "holder": maker.gln,
        "manufacturer": maker.gln,
        "granted_on": "2026-03-01",
        "expires_on": "2029-01-01",
    }
    head = {name: made[name] for name in ("specversion", "time")}
    told = {**head, "type": "supply.registration.granted.v1", "id": f"{product}/g", "source": regulator.source}
    await regulator.send({**told, "data": data})
    asked = {"gtin": product, "effective": "2026-01-31", "known": await ledger.holds(maker, regulator)}
    answers = [await ledger.get("/balances", **asked, **more) for more in ({}, {"by": "gtin"}, {"origin": "import"})]
    assert [[item["origin"] for item in answer["items"]] for answer in answers] == [["import"]] * 3
    assert (await ledger.get("/balances", **asked, origin="domestic"))["items"] == []
    assert (await ledger.get(f"/lots/{product}/L1", effective="2026-01-31"))["origin"] == "import"
    assert [row["origin"] for row in await exports.csv("balances", **asked)] == ["import"]


def in_order(rows: list[dict[str, str]]) -> Any:
    """The columns of an item in the order of the file."""
    return lambda item: {name: item[name] for name in rows[0]}


async def test_flows_are_those_of_the_plain_fold_at_every_checkpoint(
    exports: Exports, maker: Sender, ledger: Ledger
) -> None:
    products = fresh_gtins(3)
    events = flood(maker.source, maker.gln, KINDS, products, 300, seed=3)
    moments: list[tuple[str, list[JSON]]] = []
    for upto in (100, 200, len(events)):
        await maker.send(*events[len(moments) and [100, 200][len(moments) - 1] : upto])
        moments.append((await ledger.holds(maker), events[:upto]))
    for known, recorded in moments:
        book = Book(recorded)
        for product in products:
            rows = await exports.csv("flows", gtin=product, known=known, to="2027-01-01")
            found = {
                (row["gtin"], row["lot"], row["effective_on"], row["debit"], row["credit"]): int(row["packs"])
                for row in rows
            }
            assert len(found) == len(rows)
            assert found == {key: packs for key, packs in book.flows.items() if packs and key[0] == product}


async def test_flows_of_some_days_are_those_of_these_days(exports: Exports, maker: Sender, ledger: Ledger) -> None:
    (product,) = fresh_gtins(1)
    days = ["2026-01-05", "2026-01-06", "2026-01-07"]
    told = [
        event("batch.released", f"{product}/{day}", source=maker.source, gtin=product, released_on=day, quantity=3)
        for day in days
    ]
    undone = correction(f"{product}/c", told[1], source=maker.source)
    await maker.send(*told, undone)
    await ledger.holds(maker)
    table = await exports.parquet("flows", gtin=product, **{"from": days[1], "to": days[2]})
    assert [(str(row["effective_on"]), row["packs"]) for row in table.to_pylist()] == [(days[2], 3)]
    assert [row["effective_on"] for row in await exports.csv("flows", gtin=product, effective=days[0])] == days[:1]


async def test_indicators_are_exported_with_their_exact_values(exports: Exports, maker: Sender, ledger: Ledger) -> None:
    (product,) = fresh_gtins(1)
    made = event("batch.produced", f"{product}/m", source=maker.source, gtin=product, quantity=10)
    made["data"]["manufacturer"] = maker.gln
    await maker.send(made, event("batch.released", f"{product}/r", source=maker.source, gtin=product, quantity=10))
    known = await ledger.holds(maker)
    asked = {"scope": f"gtin:{product}", "known": known, "from": "2026-01-04", "to": "2026-01-06"}
    items = (await ledger.get("/indicators", **asked))["items"]
    rows = await exports.csv("indicators", **asked)
    shown = ("name", "scope", "on", "value", "why", "coverage")
    assert [[row[name] for name in shown] for row in rows] == [[item[name] or "" for name in shown] for item in items]
    table = await exports.parquet("indicators", **asked)
    assert table.schema.field("value").type == pyarrow.decimal128(38, 12)
    values = [None if item["value"] is None else Decimal(item["value"]) for item in items]
    assert table.column("value").to_pylist() == values
    assert Decimal(1) in values and None in values


async def test_an_export_tells_what_it_rests_on(exports: Exports, ledger: Ledger) -> None:
    answer = await ledger.get("/indicators", name="domestic_share_volume")
    asked = {"known": answer["known"], "effective": EFFECTIVE}
    for file in ("balances", "flows", "indicators"):
        body, headers = await exports.get(f"{file}.parquet", **asked)
        about = {name: str(answer[name]) for name in ("checkpoint", "known", "goals_hash")}
        metadata = parquet.read_schema(io.BytesIO(body)).metadata
        assert {name: metadata[name.encode()].decode() for name in about} == about
        told = {name: headers[f"Supply-Watch-{name.replace('_', '-')}"] for name in about}
        assert told == about
        expected = f'attachment; filename="{file}-{EFFECTIVE}-checkpoint-{answer["checkpoint"]}.parquet"'
        assert headers["Content-Disposition"] == expected
        body, headers = await exports.get(f"{file}.csv", **asked)
        assert headers["Content-Type"].startswith("text/csv")
        assert headers["Supply-Watch-Checkpoint"] == about["checkpoint"]


@pytest.mark.parametrize(
    ("file", "query", "status"),
    [
        ("balances.csv", {"known": "2100-01-01T00:00:00Z"}, 409),
        ("balances.xlsx", {}, 422),
        ("nothing.csv", {}, 404),
        ("flows.csv", {"from": "2026-01-02", "to": "2026-01-01"}, 422),
        ("flows.csv", {"gtin": "x"}, 422),
        ("indicators.parquet", {"name": "unknown"}, 422),
        ("indicators.csv", {"from": "2000-01-01", "to": "2026-01-01"}, 422),
        ("flows.parquet", {"from": "0001-01-01", "to": "9999-12-31"}, 200),
    ],
)
async def test_what_cannot_be_exported_is_told_as_a_problem(
    exports: Exports, file: str, query: dict[str, str], status: int
) -> None:
    async with exports.ask(file, **query) as answer:
        body = await answer.read()
        assert answer.status == status, body
        kind = "application/problem+json" if status != 200 else "application/vnd.apache.parquet"
        assert answer.headers["Content-Type"] == kind


async def test_a_producer_exports_nothing(http: aiohttp.ClientSession, credentials: JSON) -> None:
    exports = Exports(http, credentials, credentials["producers"]["manufacturer-1"]["key"])
    async with exports.ask("balances.csv") as answer:
        assert answer.status == 403


async def test_only_so_many_exports_are_under_way_at_once(stack: Stack, exports: Exports) -> None:
    async with asyncio.TaskGroup() as under_way, nobody_reads_the_journal(stack) as server:
        begun = [under_way.create_task(exports.get("flows.csv")) for _ in range(MAX_EXPORTS)]

        async def all_wait() -> bool:
            return await waiting_for_the_journal(server) == MAX_EXPORTS

        await eventually(all_wait)
        async with exports.ask("flows.csv") as answer:
            assert (answer.status, int(answer.headers["Retry-After"]) > 0) == (429, True), await answer.text()
    assert len({task.result()[0] for task in begun}) == 1
    await exports.get("flows.csv")


async def test_a_caller_who_goes_away_ends_the_query(stack: Stack, exports: Exports) -> None:
    async with nobody_reads_the_journal(stack) as server:
        begun = [asyncio.create_task(exports.get("flows.csv")) for _ in range(MAX_EXPORTS)]

        async def all_wait() -> bool:
            return await waiting_for_the_journal(server) == MAX_EXPORTS

        await eventually(all_wait)
        for task in begun:
            task.cancel()

        async def none_waits() -> bool:
            return await waiting_for_the_journal(server) == 0

        await eventually(none_waits)
    await asyncio.gather(*(exports.get("flows.csv") for _ in range(MAX_EXPORTS)))
