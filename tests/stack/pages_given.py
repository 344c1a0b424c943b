"""A small market that fills every page: a goal off track, stock, an agreement, duties, something odd, refusals."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import aiohttp

from deploy.local.stack import Stack
from shared.clock import RealClock
from shared.events.fields import check_digit
from tests.stack.alerts_given import Alerts
from tests.stack.kafka_way import Way, record
from tests.stack.raw_kafka import RawKafka
from tests.stack.supply_given import Ledger, Sender, fresh_gtins
from tests.stack.waiting import eventually

JSON = dict[str, Any]
# Imports of cardiovascular medicines drown what is made here: this goal is off track from the first lot on.
GOAL: Final = "genuone-imexpharm-cardiovascular"
AGREEMENT: Final = "genuone-imexpharm"
PATIENCE_SECONDS: Final = 60
MONTHS: Final = 7
FOREIGN: Final = "9520000004019"  # a firm abroad that sends nothing


@dataclass(frozen=True)
class Market:
    """What was told, so that a test finds it again."""

    imported: str  # the GTIN of the medicine that comes from abroad
    lot: str
    alert: str  # the id of the alert on GOAL
    rejection: int  # of a record that a replay accepts
    refused: str  # the producer that it is of


def today() -> date:
    return RealClock().today()


def ago(days: int) -> str:
    return (today() - timedelta(days=days)).isoformat()


async def market(stack: Stack) -> Market:
    """Tells it, and waits until the alert is there."""
    credentials = stack.credentials
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as http, RawKafka.of_admin(stack) as kafka:
        names = ("regulator-1", "importer-1", "manufacturer-1", "distributor-1")
        regulator, importer, maker, shop = (Sender(http, credentials, name) for name in names)
        imported, made = fresh_gtins(2)
        await regulator.send(*_said(regulator, registered(imported, made, importer.gln, maker.gln)))
        await importer.send(*_said(importer, brought_in(imported, importer.gln)))
        await maker.send(*_said(maker, produced(made, maker.gln)))
        await shop.send(*_said(shop, used(imported, made)))
        rejection, refused = await refused_and_mended(http, credentials, kafka)
        await Ledger(http, credentials).holds(regulator, importer, maker, shop)
        alerts = Alerts(http, credentials)
        [alert] = await eventually(lambda: alerts.of(f"goal/{GOAL}", state="firing"), timeout_seconds=PATIENCE_SECONDS)
    return Market(imported, "D-2601", str(alert["id"]), rejection, refused)


Told = tuple[str, JSON]


def registered(imported: str, made: str, importer: str, maker: str) -> Iterator[Told]:
    """Two medicines of one field, one from abroad; a site whose certificate ends soon."""
    about = {"form": "tablet", "class": "originator"}
    common = {"granted_on": ago(900), "expires_on": ago(-300)}
    yield (
        "registration.granted",
        {
            "authorisation": f"300{imported[-9:]}",
            "product": {**about, "name": "Daflon 500", "substance": "diosmin", "atc": "C05CA53"},
            "packs": [{"gtin": imported, "pack_size": 60, "ddd_per_pack": "30"}],
            "origin": "import", "holder": importer, "manufacturer": FOREIGN, **common,
        },
    )  # fmt: skip
    yield (
        "registration.granted",
        {
            "authorisation": f"893{made[-9:]}",
            "product": {**about, "name": "Coveram 5/5", "substance": "perindopril", "atc": "C09BB04"},
            "packs": [{"gtin": made, "pack_size": 30, "ddd_per_pack": "30"}],
            "origin": "domestic", "local_step": "full", "holder": maker, "manufacturer": maker,
            "agreement": AGREEMENT, **common,
        },
    )  # fmt: skip
    for product, price in ((imported, 285_000), (made, 198_000)):
        yield "price.declared", {"gtin": product, "price": price, "currency": "VND", "effective_on": ago(800)}
    certificate = {"certificate": f"EU-{made[-6:]}", "site": maker, "holder": maker, "country": "VN"}
    yield "gmp.certified", {**certificate, "standard": "EU-GMP", "effective_on": ago(1000), "expires_on": ago(-60)}


def brought_in(product: str, importer: str) -> Iterator[Told]:
    for number, (days, packs) in enumerate([(200, 140_000), (120, 90_000), (40, 60_000)]):
        about = {"gtin": product, "lot": f"D-26{number:02}", "quantity": packs, "received_on": ago(days)}
        about |= {"expires_on": ago(-500), "importer": importer, "country_of_origin": "FR", "value": packs * 210_000}
        yield "import.received", about


def produced(product: str, maker: str) -> Iterator[Told]:
    """Three lots, one recalled, of one more leaves than is there; an agreement with a milestone that is late."""
    for number, (days, packs) in enumerate([(150, 4_000), (30, 2_000), (60, 3_000)]):
        lot = {"gtin": product, "lot": f"C-26{number:02}", "quantity": packs}
        yield "batch.produced", {**lot, "produced_on": ago(days), "expires_on": ago(-700), "manufacturer": maker}
        yield "batch.released", {**lot, "released_on": ago(days - 10)}
    lot = {"gtin": product, "lot": "C-2601"}
    yield "export.shipped", {**lot, "quantity": 2_500, "shipped_on": ago(9), "destination": "LA", "exporter": maker}
    yield "batch.recalled", {"gtin": product, "lot": "C-2600", "level": 2, "recalled_on": ago(20), "reason": "impurity"}
    due = [("signed-off", 300, "Technology handed over"), ("first", 12, "First product on the market"),
           ("second", -25, "Second product registered"), ("export", -400, "First export")]  # fmt: skip
    milestones = [{"milestone": name, "title": title, "owner": maker, "due_on": ago(days)} for name, days, title in due]
    goods = [{"name": "Coveram 5/5", "substance": "perindopril", "gtins": [product]}]
    agreement = {"agreement": AGREEMENT, "title": "Cardiovascular medicines made in Viet Nam"}
    parties = {"originator": FOREIGN, "recipient": maker, "signed_on": ago(500)}
    yield "transfer.signed", {**agreement, **parties, "products": goods, "milestones": milestones}
    yield "transfer.reached", {"agreement": AGREEMENT, "milestone": "signed-off", "reached_on": ago(290)}
    stop = {"interruption": f"stop-{product[-6:]}", "gtin": product, "cause": "coating line out of order"}
    yield "interruption.notified", {**stop, "started_on": ago(15), "expected_until": ago(-15)}


def used(*products: str) -> Iterator[Told]:
    """Reports of the last months, of both medicines."""
    for product, packs in zip(products, (21_000, 450), strict=True):
        end = today().replace(day=1) - timedelta(days=1)
        for _ in range(MONTHS):
            start = end.replace(day=1)
            period = {"period_start": start.isoformat(), "period_end": end.isoformat()}
            yield "consumption.reported", {"gtin": product, "quantity": packs, **period}
            end = start - timedelta(days=1)


async def refused_and_mended(http: aiohttp.ClientSession, credentials: JSON, kafka: RawKafka) -> tuple[int, str]:
    """A record of a producer without a key, which has one now; and one that nothing will mend."""
    admin = {"Authorization": f"Bearer {credentials['keys']['admin']}"}

    async def ask(method: str, path: str, body: JSON) -> JSON:
        async with http.request(method, credentials["ingest"] + path, json=body, headers=admin) as answer:
            return dict(await answer.json(content_type=None)) if answer.status != 204 else {}

    name, gln = f"laboratory-{uuid.uuid4().hex[:6]}", fresh_gln()
    way = Way(http, credentials, kafka, name, gln)
    await ask("POST", "/producers", {"name": name, "glns": [gln], "roles": ["manufacturer"]})
    issued = await ask("POST", f"/producers/{name}/keys", {})
    await ask("DELETE", f"/keys/{issued['key_id']}", {})
    await way.send(0, [way.good("sent-too-early"), record(b'{"not": "an event"')])
    found = await eventually(lambda: _two(way))
    await ask("POST", f"/producers/{name}/keys", {"label": "plant 2"})
    return min(int(one["id"]) for one in found), name


async def _two(way: Way) -> list[JSON]:
    found = await way.rejections()
    return found if len(found) == 2 else []


def fresh_gln() -> str:
    digits = f"952{uuid.uuid4().int % 10**9:09d}"
    return digits + check_digit(digits)


def _said(sender: Sender, told: Iterator[Told]) -> list[JSON]:
    """Events of `sender`, said now."""
    mark, now = uuid.uuid4().hex[:8], datetime.now(UTC).isoformat(timespec="seconds")
    return [
        {
            "specversion": "1.0",
            "id": f"{kind}-{mark}-{number}",
            "source": sender.source,
            "type": f"supply.{kind}.v1",
            "time": now,
            "data": data,
        }
        for number, (kind, data) in enumerate(told)
    ]
