"""Verifies the ledger in one snapshot: the journal by its chains and what was signed of them, the laws, the derived
tables by a fold. It is a process of its own, so that its memory and its processor time are not those of the service.

    python -m services.supply.verification        reads an Order from its input, writes a Verdict or a Failure

How it is begun and ends: services.supply.child.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import asyncpg
import msgspec

from services.supply import checkpoints
from services.supply.checkpoint_files import Unusable, files_in, read_file
from services.supply.child import take_order, tell
from services.supply.evidence_signed import signed_heads
from services.supply.findings import Finding, Findings
from services.supply.ledger_rows import CONNECT_TIMEOUT_SECONDS, examine
from services.supply.places import NAMES
from services.supply.rebuild import GONE_IS_NOTICED, UnderWay
from services.supply.refold import Comparison, refold
from services.supply.signing import Signed, public_keys
from shared.database import AWAY

VERIFY_LOCK: Final = 0x5357_5645_5249  # the advisory lock of whoever verifies
MAX_FINDINGS: Final = 200
# Signed checkpoints of the table that are not in the files here: more than these are left to the offline verifier.
MAX_FROM_TABLE: Final = 10_000

_UNBALANCED: Final = f"""
SELECT gtin, lot, sum FROM (SELECT gtin, lot, {" + ".join(NAMES)} AS sum FROM lots) sums WHERE sum <> 0
ORDER BY gtin, lot LIMIT {MAX_FINDINGS}
"""
_COUNTS: Final = "SELECT (SELECT count(*) FROM journal WHERE debit IS NOT NULL), (SELECT count(*) FROM lots)"


class Order(msgspec.Struct):
    """What is to be verified: the database, the folder of signed checkpoints, and the public keys (PEM)."""

    database_url: str
    checkpoint_dir: str
    public_keys: list[str]


class Fault(msgspec.Struct, frozen=True):
    """One thing that is not as it must be; `kind` is one of findings.Kind, `derived` or `unbalanced`."""

    kind: str
    place: str
    detail: str


class Verdict(msgspec.Struct, tag=True):
    """The outcome at `checkpoint`, the newest of the snapshot. `findings` are the first MAX_FINDINGS, `more` the rest.

    `signed` checkpoints were compared with the chains.
    """

    ok: bool
    checkpoint: int
    records: int
    entries: int
    lots: int
    signed: int
    seconds: float
    findings: list[Fault]
    more: int


class Failure(msgspec.Struct, tag=True):
    """Why there is no verdict: somebody else is verifying, or the database is away."""

    why: Literal["under_way", "away"]
    detail: str


async def verify(order: Order) -> Verdict:
    """Raises UnderWay, BadKey, and the database's errors."""
    began = time.monotonic()
    keys = public_keys(pem.encode() for pem in order.public_keys)
    folder = Path(order.checkpoint_dir)
    # Before the snapshot: what stands in the files by now is in the ledger by then.
    in_files = _newest_in(folder)
    async with _alone(order.database_url) as connection:
        cut = await checkpoints.newest(connection)
        fresh = await checkpoints.signed_after(connection, in_files, MAX_FROM_TABLE)
        signed = Findings()
        told = _Counted(_told(folder, in_files, fresh, signed))
        report = await examine(connection, signed_heads(told, keys, signed))
        compared = await refold(connection, MAX_FINDINGS)
        unbalanced = [_unbalanced(*row) for row in await connection.fetch(_UNBALANCED)]
        entries, lots = await connection.fetchrow(_COUNTS) or (0, 0)
    faults = [*_of_journal(signed.kept), *_of_journal(report.findings), *unbalanced, *_of_tables(compared)]
    untold = signed.more + report.more + sum(item.untold for item in compared)
    return Verdict(
        ok=not faults,
        checkpoint=cut.n,
        records=report.records,
        entries=entries,
        lots=lots,
        signed=told.count,
        seconds=round(time.monotonic() - began, 3),
        findings=faults[:MAX_FINDINGS],
        more=untold + max(0, len(faults) - MAX_FINDINGS),
    )


@asynccontextmanager
async def _alone(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A snapshot of the ledger, for one verification at a time; nothing that is made in it is kept."""
    settings = {"search_path": "supply", "application_name": "supply-verify", **GONE_IS_NOTICED}
    connection = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_SECONDS, server_settings=settings)
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", VERIFY_LOCK):
            raise UnderWay("a verification is under way")
        transaction = connection.transaction(isolation="repeatable_read")
        await transaction.start()
        yield connection
        await transaction.rollback()
    finally:
        await connection.close()


class _Counted:
    """What the checkpoints say, counted as they are read."""

    def __init__(self, told: Iterator[tuple[str, Signed]]) -> None:
        self._told = told
        self.count = 0

    def __iter__(self) -> Iterator[tuple[str, Signed]]:
        for item in self._told:
            self.count += 1
            yield item


def _newest_in(folder: Path) -> int:
    """The greatest number in the last file that has any; 0 if there is none."""
    for path in reversed(files_in(folder)):
        newest = max((signed.n for _, signed in _whole(path, Findings())), default=0)
        if newest:
            return newest
    return 0


def _told(folder: Path, newest: int, fresh: Sequence[Signed], found: Findings) -> Iterator[tuple[str, Signed]]:
    """Those of the files up to `newest`, then those that only the table has yet."""
    for path in files_in(folder):
        yield from ((where, signed) for where, signed in _whole(path, found) if signed.n <= newest)
    yield from (("the table", signed) for signed in fresh)


def _whole(path: Path, found: Findings) -> Iterator[tuple[str, Signed]]:
    """The checkpoints of a file, up to what is none: that is a finding."""
    try:
        yield from read_file(path)
    except Unusable as error:
        found.add("bad_signature", str(error), place=path.name)


def _of_journal(findings: Iterable[Finding]) -> Iterator[Fault]:
    for item in findings:
        doubt = f" (or rows from {item.doubt} were rewritten together with their hashes)" if item.doubt else ""
        yield Fault(item.kind, item.place, item.detail + doubt)


def _unbalanced(gtin: int, lot: str, total: int) -> Fault:
    return Fault("unbalanced", f"lot {gtin:014d}/{lot}", f"its places add up to {total}, not 0")


def _of_tables(compared: Iterable[Comparison]) -> Iterator[Fault]:
    for table in compared:
        for found in table.differences:
            key = " ".join(str(part) for part in found.key.values())
            where = f"{found.table} {key} {found.column}".rstrip()
            yield Fault("derived", where, f"kept {found.kept}, the journal gives {found.rebuilt}")


def main() -> None:
    order = take_order(Order)
    outcome: Verdict | Failure
    try:
        outcome = asyncio.run(verify(order))
    except UnderWay as error:
        outcome = Failure("under_way", str(error))
    except AWAY as error:
        outcome = Failure("away", str(error) or type(error).__name__)
    tell(outcome)


if __name__ == "__main__":
    main()
