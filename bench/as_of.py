"""Measures answers about the past over a running service: random products, days and moments of knowledge.

Every answer about a product is compared with the reference fold of exactly the records that its checkpoint covers; of
the national indicator the one of the last moment is.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from random import Random
from typing import Any, Final

import aiohttp
import orjson

from bench.expected import Wrong
from bench.fill import PARTITIONS
from bench.ground import Ground
from bench.movements import DAYS, FIRST_DAY, SEED, gtins
from bench.recorded import Recorded, movements
from services.supply.fold import MOVEMENTS_TOPIC_ID, REGISTRY_TOPIC_ID
from tests.reference import Book

QUESTIONS: Final = 1_000
RECORDS_A_QUESTION: Final = 100  # fewer questions of a smaller ledger
INDICATORS: Final = 5
MOST_LOTS: Final = 1_000
WINDOW_DAYS: Final = 365
INDICATOR_DAY: Final = FIRST_DAY + timedelta(days=DAYS - 50)
HTTP_TIMEOUT_SECONDS: Final = 120.0
CAUGHT_UP_TIMEOUT_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.2
Places = dict[tuple[str, str], dict[str, int]]


class Checkpoint:
    """A moment, and how far each partition was recorded by then."""

    def __init__(self, n: int, at: datetime, places: Iterable[Mapping[str, Any]]) -> None:
        self.n, self.at = n, at
        self._ends = {(place["topic_id"], place["partition"]): int(place["next_offset"]) for place in places}

    def held(self, topic_id: int) -> int:
        """Records of a topic."""
        return sum(end for (topic, _), end in self._ends.items() if topic == topic_id)

    def holds(self, recorded: Recorded) -> bool:
        """Whether a movement had been recorded."""
        return recorded.offset < self._ends.get((MOVEMENTS_TOPIC_ID, recorded.partition), 0)


class Question:
    """One question about a product, and what came back."""

    def __init__(self, gtin: str, effective: date, known: datetime) -> None:
        self.gtin, self.effective, self.known = gtin, effective, known
        self.seconds = 0.0
        self.answer: dict[str, Any] = {}


def as_of(ground: Ground, name: str, records: int, products: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """The service `name` holds `records` movements. Raises Wrong."""
    questions, national, cuts = asyncio.run(_asked(ground, name, records, products, tell))
    tell("checking the answers")
    by_product: dict[str, list[Recorded]] = defaultdict(list)
    for found in movements(ground.kafka, PARTITIONS, frozenset(question.gtin for question in questions)):
        by_product[found.key].append(found)
    for question in questions:
        _check(question, by_product[question.gtin], cuts[question.answer["checkpoint"]])
    _check_national(ground, national[-1], cuts[national[-1].answer["checkpoint"]])
    return _figures(questions, national, records)


def _figures(questions: Sequence[Question], national: Sequence[Question], records: int) -> dict[str, Any]:
    took = sorted(question.seconds * 1000 for question in questions)
    seconds = [question.seconds for question in national]
    return {
        "what": "GET /balances?gtin&effective&known, one after the other over one connection; every answer checked",
        "movements": records,
        "questions": len(questions),
        "checkpoints_asked": len({question.answer["checkpoint"] for question in questions}),
        "p50_ms": round(statistics.median(took), 2),
        "p99_ms": round(took[min(len(took) - 1, int(len(took) * 0.99))], 2),
        "max_ms": round(took[-1], 2),
        "indicator_seconds": {
            "what": "GET /indicators?name=domestic_share_volume&scope=all&effective&known; the last one checked",
            "rounds": [round(one, 3) for one in seconds],
            "median": round(statistics.median(seconds), 3),
        },
    }


# Asking.


async def _asked(
    ground: Ground, name: str, records: int, products: int, tell: Callable[[str], None]
) -> tuple[list[Question], list[Question], dict[int, Checkpoint]]:
    checkpoints = await _checkpoints(ground, records)
    first, last = checkpoints[0].at, checkpoints[-1].at
    registered = next(
        one.at for one in checkpoints if one.held(REGISTRY_TOPIC_ID) == checkpoints[-1].held(REGISTRY_TOPIC_ID)
    )
    drawn, known = Random(SEED), gtins(products)
    days = [FIRST_DAY + timedelta(days=number) for number in range(DAYS + 200)]
    questions = [
        Question(drawn.choice(known), drawn.choice(days), _between(first, last, drawn))
        for _ in range(min(QUESTIONS, records // RECORDS_A_QUESTION))
    ]
    national = [Question("", INDICATOR_DAY, _between(registered, last, drawn)) for _ in range(INDICATORS)]
    timeout = aiohttp.ClientTimeout(total=HTTP_TIMEOUT_SECONDS)
    headers = {"Authorization": f"Bearer {ground.viewer}"}
    async with aiohttp.ClientSession(ground.url(name), timeout=timeout, headers=headers, trust_env=False) as http:
        for number, question in enumerate(questions, 1):
            tell(f"question {number:,} of {len(questions):,}")
            await _ask(http, question, "/balances", gtin=question.gtin, limit=MOST_LOTS)
        for question in national:
            tell("the national indicator")
            await _ask(http, question, "/indicators", name="domestic_share_volume", scope="all")
    return questions, national, {checkpoint.n: checkpoint for checkpoint in checkpoints}


async def _checkpoints(ground: Ground, records: int) -> list[Checkpoint]:
    """Those that hold something, up to the newest, which holds every movement; in the order of time."""
    limit = time.monotonic() + CAUGHT_UP_TIMEOUT_SECONDS
    async with ground.connected() as connection:
        while time.monotonic() < limit:
            rows = await connection.fetch("SELECT n, at, places::text FROM checkpoints ORDER BY n")
            found = [Checkpoint(row[0], row[1], orjson.loads(row[2])) for row in rows]
            if found and found[-1].held(MOVEMENTS_TOPIC_ID) >= records:
                return [checkpoint for checkpoint in found if checkpoint.held(MOVEMENTS_TOPIC_ID)]
            await asyncio.sleep(POLL_SECONDS)
    raise Wrong(f"no checkpoint holds all {records:,} movements")


def _between(first: datetime, last: datetime, drawn: Random) -> datetime:
    return first + drawn.random() * (last - first)


async def _ask(http: aiohttp.ClientSession, question: Question, path: str, **more: Any) -> None:
    asked = {**more, "effective": question.effective.isoformat(), "known": question.known.isoformat()}
    began = time.perf_counter()
    async with http.get(path, params=asked) as answer:
        body = await answer.read()
    question.seconds = time.perf_counter() - began
    if answer.status != 200:
        raise Wrong(f"{path} {asked}: {answer.status} {body[:300]!r}")
    question.answer = orjson.loads(body)


# Checking.


def _check(question: Question, recorded: Sequence[Recorded], cut: Checkpoint) -> None:
    """Raises Wrong unless each lot is as the reference fold of what was recorded by `cut` has it."""
    book = Book([item.event for item in recorded if cut.holds(item)])
    wanted = {lot: held for (_, lot), held in _held(book, question.effective).items()}
    found = {item["lot"] or "": item["places"] for item in question.answer["items"]}
    if question.answer["next"] is not None:
        raise Wrong(f"{question.gtin} has more than {MOST_LOTS} lots: nothing to compare a page with")
    for lot in wanted.keys() | found.keys():
        right = {place: packs for place, packs in wanted.get(lot, {}).items() if packs}
        held = {place: packs for place, packs in found.get(lot, {}).items() if packs}
        if right != held:
            about = f"{question.gtin}/{lot} effective {question.effective} known {question.known}"
            raise Wrong(f"{about}: the service says {held}, the reference fold {right}")


def _held(book: Book, effective: date) -> Places:
    """Packs by lot and place up to the day."""
    found: Places = defaultdict(lambda: defaultdict(int))
    for (gtin, lot, day, debit, credit), packs in book.flows.items():
        if day <= effective.isoformat():
            found[gtin, lot][debit] -= packs
            found[gtin, lot][credit] += packs
    return found


def _check_national(ground: Ground, question: Question, cut: Checkpoint) -> None:
    """The domestic share in doses, from the plain fold of all that the checkpoint covers."""
    book = Book([item.event for item in movements(ground.kafka, PARTITIONS) if cut.holds(item)])
    held, on = _held(book, question.effective), question.effective
    first, last = (on - timedelta(days=WINDOW_DAYS - 1)).isoformat(), on.isoformat()
    sums = {"domestic": 0, "import": 0, "unknown": 0}
    for lot, facts in book.facts.items():
        if first <= facts.get("supplied_on", "") <= last:
            places = held.get(lot, {})
            sums[book.origin(lot)] += sum(places.get(name, 0) for name in ("consumed", "adjusted", "available"))
    (item,) = question.answer["items"]
    right = _share(sums["domestic"], sums["import"])
    if (None if item["value"] is None else Decimal(item["value"])) != right:
        raise Wrong(f"the national share known at {question.known} is {item['value']}, by the reference fold {right}")


def _share(domestic: int, imported: int) -> Decimal | None:
    """To 12 decimals; None without supply, or where more went out than came in. Every pack has as many doses."""
    if domestic + imported == 0 or min(domestic, imported) < 0:
        return None
    share = Decimal(domestic) / Decimal(domestic + imported)
    return share.quantize(Decimal("1e-12"), rounding=ROUND_HALF_EVEN)
