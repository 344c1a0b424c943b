"""Works out the course of the goals in one snapshot, by one fold of the journal, in a process of its own.

python -m services.supply.course_child        reads an Order from its input, writes a Course or Away
"""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path

import asyncpg
import msgspec

from services.supply import checkpoints
from services.supply.by_day import market_days_at
from services.supply.child import take_order, tell
from services.supply.course import Course, add, days_of, weigh
from services.supply.goal_files import load_goals
from services.supply.known_facts import KnownFacts
from services.supply.ledger_rows import CONNECT_TIMEOUT_SECONDS
from services.supply.measure import markets
from services.supply.origin import Origins
from services.supply.trades import ALL
from shared.database import AWAY

_FIRST = "SELECT min(introduced_on) FROM lots"


class Order(msgspec.Struct):
    """The database, the folder of goals, the local steps that count as domestic, today, how long a query may take."""

    database_url: str
    goals_dir: str
    domestic_local_steps: list[str]
    today: date
    timeout_seconds: float


class Outcome(msgspec.Struct):
    """The course, or why there is none: the database is away."""

    course: Course | None = None
    away: str | None = None


async def course_of(order: Order) -> Course:
    """Raises the database's errors."""
    goals, steps = load_goals(Path(order.goals_dir)), frozenset(order.domestic_local_steps)
    connection = await asyncpg.connect(
        order.database_url,
        timeout=CONNECT_TIMEOUT_SECONDS,
        server_settings={"search_path": "supply", "application_name": "supply-course"},
    )
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            cut = await checkpoints.newest(connection)
            registry = await KnownFacts().registry(connection, cut)
            days = days_of(await connection.fetchval(_FIRST), order.today)
            found = Course(cut.n, cut.at.isoformat() if cut.n else None, order.today.isoformat())
            origins = Origins(registry, steps)
            told = market_days_at(connection, cut, days, "days_365", origins, ALL, order.timeout_seconds)
            async for sold in told:
                over = markets(sold, goals, steps)
                add(found, over, goals)
                if sold.on == days[-1]:
                    weigh(found, over, goals)
            return found
    finally:
        await connection.close()


def main() -> None:
    order = take_order(Order)
    try:
        outcome = Outcome(asyncio.run(course_of(order)))
    except AWAY as error:
        outcome = Outcome(away=str(error) or type(error).__name__)
    tell(outcome)


if __name__ == "__main__":
    main()
