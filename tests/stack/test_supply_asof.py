"""What was answered for a past moment is answered for ever: a thousand random answers, taken while events stream in."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from random import Random, SystemRandom
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import pytest

from deploy.local.stack import Stack
from tests.long_run import Say
from tests.reference import JSON
from tests.stack.supply_flood import flood
from tests.stack.supply_given import Ledger, Sender, fresh_gtins
from tests.stack.waiting import eventually
from tests.supply_given import event

QUESTIONS: Final = 1_000
ASKERS: Final = 4
PRODUCTS: Final = 6
ROUNDS: Final = 10
EVENTS_A_ROUND: Final = 80
KINDS: Final = (
    "batch.produced batch.released batch.rejected export.shipped stock.returned batch.destroyed stock.adjusted"
).split()
DAYS: Final = [f"2026-0{month}-{day:02d}" for month in range(1, 7) for day in (1, 15, 28)]
INDICATORS: Final = ("domestic_share_volume", "domestic_share_value")
Question = tuple[str, dict[str, str]]
Answer = tuple[int, Any]


class Asking:
    """Takes answers at random moments up to the newest checkpoint, and takes them again."""

    def __init__(self, ledger: Ledger, products: Sequence[str], source: str, drawn: Random) -> None:
        self.ledger = ledger
        self._products = products
        self._source = quote(source, safe="")
        self._drawn = drawn
        self.ids: list[str] = []
        self.moments: list[str] = []
        self.given: list[tuple[Question, Answer]] = []

    async def newest(self) -> str:
        return str((await self.ledger.get("/ledger/checkpoints", limit=1))["items"][0]["at"])

    def question(self) -> Question:
        """Of every kind; what has to read the whole journal is asked rarely."""
        drawn = self._drawn
        product = drawn.choice(self._products)
        about = {"known": drawn.choice(self.moments[-40:]), "effective": drawn.choice(DAYS)}
        chance = drawn.random()
        if chance < 0.20:
            return "/balances", {**about, "gtin": product}
        if chance < 0.35:
            return "/balances", {**about, "gtin": product, "by": "gtin"}
        if chance < 0.45:
            return "/balances", {**about, "gtin": product, "limit": str(drawn.randrange(1, 9))}
        if chance < 0.65:
            return f"/lots/{product}/L{drawn.randrange(12)}", {**about, "limit": str(drawn.choice([2, 100]))}
        if chance < 0.88:
            return f"/events/{self._source}/{quote(drawn.choice(self.ids), safe='')}", {"known": about["known"]}
        if chance < 0.94:
            return f"/registry/{drawn.choice(['products', 'authorisations', 'agreements'])}", {**about, "limit": "1000"}
        scope = f"gtin:{product}" if chance < 0.98 else "all"
        return "/indicators", {**about, "name": drawn.choice(INDICATORS), "scope": scope}

    async def answer(self, asked: Question) -> Answer:
        status, body, _ = await self.ledger.call(asked[0], **asked[1])
        assert status in (200, 404), (asked, body)
        return status, body

    async def ask(self, count: int) -> None:
        before = self.moments[-1:]

        async def fresh() -> str | None:
            newest = await self.newest()
            return None if [newest] == before else newest

        moment = await eventually(fresh)
        assert moment is not None
        self.moments.append(moment)
        questions = [self.question() for _ in range(count)]
        self.given += zip(questions, await self.all(questions), strict=True)

    async def all(self, questions: Sequence[Question]) -> list[Answer]:
        """A few at once, answers in the order of the questions."""
        found: dict[int, Answer] = {}

        async def part(first: int) -> None:
            for number in range(first, len(questions), ASKERS):
                found[number] = await self.answer(questions[number])

        await asyncio.gather(*(part(first) for first in range(ASKERS)))
        return [found[number] for number in range(len(questions))]


def facts(maker: Sender, source: str, products: Sequence[str], number: int, drawn: Random) -> list[JSON]:
    """What the regulator says in one round: an authorisation granted or suspended, a price, a recall."""
    product = drawn.choice(products)
    day = drawn.choice(DAYS)
    head = {"specversion": "1.0", "source": source, "time": f"{day}T03:00:00Z"}
    medicine = {"name": "M", "substance": "m", "atc": "A10BA02", "form": "tablet", "class": "generic"}
    granted = {
        "authorisation": f"VD-{product}",
        "product": medicine,
        "packs": [{"gtin": product, "pack_size": 30, "ddd_per_pack": str(number + 1)}],
        "origin": "domestic",
        "holder": maker.gln,
        "manufacturer": maker.gln,
        "granted_on": day,
        "expires_on": "2029-01-01",
    }
    suspended = {"authorisation": f"VD-{product}", "effective_on": day, "reason": "inspection"}
    price = {"gtin": product, "price": 1000 + number, "currency": "VND", "effective_on": day}
    said = {"registration.granted": granted, "registration.suspended": suspended, "price.declared": price}
    kind = drawn.choice(sorted(said))
    recall = event(
        "batch.recalled", f"{product}/recall{number}", source=source, gtin=product, lot="L1", recalled_on=day
    )
    return [{**head, "id": f"{product}/{number}", "type": f"supply.{kind}.v1", "data": said[kind]}, recall]


@pytest.mark.proof
async def test_a_thousand_answers_taken_while_events_stream_in_are_the_same_at_the_end(
    stack: Stack, http: aiohttp.ClientSession, credentials: dict[str, Any], say: Say
) -> None:
    seed = int(os.environ.get("LAWS_SEED") or SystemRandom().randrange(2**32))
    say(f"{QUESTIONS:,} answers asked again: LAWS_SEED={seed}")
    drawn, products = Random(seed), fresh_gtins(PRODUCTS)
    maker, regulator = (Sender(http, credentials, name) for name in ("manufacturer-1", "regulator-1"))
    asking = Asking(Ledger(http, credentials), products, maker.source, drawn)
    events = flood(maker.source, maker.gln, KINDS, products, ROUNDS * EVENTS_A_ROUND, seed)
    for told in events:
        told["id"] = f"{products[0]}/{told['id']}"
        if "corrects" in told["data"]:
            told["data"] = _renamed(told["data"], products[0])
    asking.ids = sorted({str(told["id"]) for told in events})
    for number in range(ROUNDS):
        await maker.send(*events[number::ROUNDS])
        await regulator.send(*facts(maker, regulator.source, products, number, drawn))
        await asking.ask(QUESTIONS // ROUNDS)
    await asking.ledger.holds(maker, regulator)
    stack.kill_child("supply")
    stack.start_child("supply")
    stack.wait_ready("supply")
    await eventually(asking.newest, timeout_seconds=30)

    again = await asking.all([asked for asked, _ in asking.given])
    differing = [
        (asked, answer, now) for (asked, answer), now in zip(asking.given, again, strict=True) if answer != now
    ]
    assert not differing, f"{len(differing)} of {len(again)}, the first: {json.dumps(differing[0], indent=1)[:4000]}"
    assert len(again) == QUESTIONS and sum(status == 200 for status, _ in again) > QUESTIONS // 2
    assert len({answer["checkpoint"] for status, answer in again if status == 200}) >= ROUNDS // 2


def _renamed(told: JSON, prefix: str) -> JSON:
    """A correction's data with the new id of what it corrects, however deep."""
    about = {**told["corrects"], "id": f"{prefix}/{told['corrects']['id']}"}
    found = {**told, "corrects": about}
    inner = told.get("replacement")
    if inner is not None and "corrects" in inner["data"]:
        found["replacement"] = {**inner, "data": _renamed(inner["data"], prefix)}
    return found
