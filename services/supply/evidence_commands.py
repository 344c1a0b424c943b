"""The commands by which anybody verifies the ledger: export it, fetch what was signed, check one by the other."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from services.supply.commands import EXIT_DIFFERENT, EXIT_IMPOSSIBLE, DatabaseUrl, ledger

if TYPE_CHECKING:
    from services.supply.findings import Findings, Report
    from services.supply.signing import Signed

ROWS_A_TELL = 2_000


class _Reach:
    """What the checkpoints cover, counted as they are read."""

    def __init__(self) -> None:
        self.count = 0
        self.newest = 0


@ledger.command("export")
def ledger_export(
    database_url: DatabaseUrl,
    out: Annotated[Path, typer.Option(help="The file to write; a name that ends in .gz is compressed.")],
) -> None:
    """Write the whole journal as it is at one moment to a file, from which it can be verified anywhere."""
    from services.supply.ledger_file import ExportHead, write_export
    from services.supply.ledger_rows import ends, journal_rows, snapshot
    from shared.database import AWAY

    async def export() -> int:
        async with snapshot(database_url) as connection:
            positions = await ends(connection)
            head = ExportHead(datetime.now(UTC).isoformat(timespec="seconds"), tuple(positions))
            progress.update(task, total=sum(end.next_offset for end in positions))
            return await write_export(out, head, journal_rows(connection), tell)

    def tell(rows: int) -> None:
        progress.update(task, completed=rows)

    progress, task = _progress("rows")
    try:
        with progress:
            rows = asyncio.run(export())
    except (*AWAY, ValueError) as error:
        _refuse(f"cannot export to {out}: {error or type(error).__name__}")
    print(f"{rows:,} rows in {out}")


@ledger.command("verify")
def ledger_verify(
    export: Annotated[Path, typer.Option(help="A file that `ledger export` wrote.")],
    checkpoints: Annotated[list[Path], typer.Option(help="Files of outside checkpoints, or folders of them.")],
    public_key: Annotated[list[Path], typer.Option(help="Public key (PEM); several after a rotation.")],
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Check an export against the outside checkpoints, offline: exit 0 if it is what was signed, 1 with what is not."""
    from services.supply.checkpoint_files import Unusable
    from services.supply.evidence import Examination
    from services.supply.evidence_signed import signed_heads
    from services.supply.findings import Findings
    from services.supply.ledger_file import read_export

    signed, reach = Findings(), _Reach()
    progress, task = _progress("rows")
    try:
        keys = _public_keys(public_key)
        head, rows = read_export(export)
        heads = signed_heads(_counted(_told(checkpoints), reach), keys, signed)
        with progress, Examination(head.positions, heads) as examination:
            progress.update(task, total=sum(end.next_offset for end in head.positions))
            for number, row in enumerate(rows, 1):
                examination.take(row)
                if number % ROWS_A_TELL == 0:
                    progress.update(task, completed=number)
            report = examination.end()
    except Unusable as error:
        _refuse(f"cannot verify: {error}")
    _tell(report, signed, reach, as_json)
    raise typer.Exit(EXIT_DIFFERENT if report.findings or signed.kept else 0)


def _tell(report: Report, signed: Findings, reach: _Reach, as_json: bool) -> None:
    import msgspec

    found = [*signed.kept, *report.findings]
    more = signed.more + report.more
    if as_json:
        body = {
            "clean": not found,
            "records": report.records,
            "rows": report.rows,
            "checkpoints": reach.count,
            "newest_checkpoint": reach.newest,
            "findings": found,
            "more": more,
        }
        print(msgspec.json.encode(body).decode())
        return
    for item in found:
        doubt = f" (or rows from {item.doubt} were rewritten together with their hashes)" if item.doubt else ""
        print(f"{item.kind}: {item.place}: {item.detail}{doubt}")
    if more:
        print(f"and {more:,} more")
    outcome = f"{len(found) + more:,} findings" if found else "clean"
    print(
        f"{outcome}: {report.records:,} records in {report.rows:,} rows,"
        f" {reach.count:,} checkpoints, the newest {reach.newest}"
    )


def _public_keys(paths: list[Path]) -> Any:
    from services.supply.checkpoint_files import Unusable
    from services.supply.signing import BadKey, public_keys

    found: dict[str, Any] = {}
    for path in paths:
        try:
            found |= public_keys([path.read_bytes()])
        except OSError as error:
            raise Unusable(f"{path}: {error.strerror}") from None
        except BadKey as error:
            raise Unusable(f"{path}: {error}") from None
    return found


def _told(paths: list[Path]) -> Iterator[tuple[str, Signed]]:
    from services.supply.checkpoint_files import Unusable, files_in, read_file

    for path in paths:
        files = files_in(path) if path.is_dir() else [path]
        if not files:
            raise Unusable(f"{path}: no file of checkpoints is in this folder")
        for file in files:
            yield from read_file(file)


def _counted(told: Iterator[tuple[str, Signed]], reach: _Reach) -> Iterator[tuple[str, Signed]]:
    for where, signed in told:
        reach.count += 1
        reach.newest = max(reach.newest, signed.n)
        yield where, signed


@ledger.command("checkpoints")
def ledger_checkpoints(
    out: Annotated[Path, typer.Option(help="The file to write, a line a checkpoint.")],
    bootstrap: Annotated[str, typer.Option(envvar="SUPPLY_WATCH_SUPPLY_KAFKA_BOOTSTRAP", help="host:port of Kafka.")],
    username: Annotated[str, typer.Option(envvar="SUPPLY_WATCH_SUPPLY_KAFKA_USERNAME")],
    password: Annotated[
        str, typer.Option(envvar="SUPPLY_WATCH_SUPPLY_KAFKA_PASSWORD", help="Best from the environment.")
    ],
    protocol: Annotated[str, typer.Option(envvar="SUPPLY_WATCH_SUPPLY_KAFKA_SECURITY_PROTOCOL")] = "SASL_SSL",
    mechanism: Annotated[str, typer.Option(envvar="SUPPLY_WATCH_SUPPLY_KAFKA_SASL_MECHANISM")] = "SCRAM-SHA-256",
    ca_file: Annotated[Path | None, typer.Option(envvar="SUPPLY_WATCH_SUPPLY_KAFKA_CA_FILE")] = None,
) -> None:
    """Fetch the outside checkpoints from Kafka into a file; the user needs the right to read supply.checkpoints.v1."""
    from aiokafka.errors import KafkaError

    from services.supply.checkpoint_topic import NoCheckpoint, everything

    login = {
        "bootstrap_servers": bootstrap,
        "security_protocol": protocol,
        "sasl_mechanism": mechanism,
        "sasl_plain_username": username,
        "sasl_plain_password": password,
        "ssl_context": ssl.create_default_context(cafile=ca_file) if protocol.endswith("SSL") else None,
    }

    async def fetch(lines: IO[bytes]) -> int:
        count = 0
        async for signed in everything(login):
            lines.write(signed.line() + b"\n")
            count += 1
        return count

    try:
        with open(out, "wb") as lines:
            count = asyncio.run(fetch(lines))
    except (KafkaError, NoCheckpoint, OSError) as error:
        _refuse(f"cannot fetch the checkpoints: {error or type(error).__name__}")
    print(f"{count:,} checkpoints in {out}")


@ledger.command("key")
def ledger_key(
    out: Annotated[Path, typer.Option(help="The private key to make; the public one is written to <name>.pub.pem.")],
) -> None:
    """Make a key that signs checkpoints. The private file is readable by its owner alone."""
    from services.supply.signing import Signer

    fresh = Signer.fresh()
    public = out.with_suffix(".pub.pem")
    try:
        for path, pem, mode in ((out, fresh.private_pem(), 0o600), (public, fresh.public_pem(), 0o644)):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(pem)
    except OSError as error:
        _refuse(f"cannot write {error.filename}: {error.strerror}")
    print(f"key {fresh.key_id}: {out}, public half {public}")


def _progress(unit: str) -> tuple[Progress, TaskID]:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn(unit), BarColumn(), TextColumn("{task.completed:,}"), TimeElapsedColumn())
    progress = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
    return progress, progress.add_task(unit, total=None)


def _refuse(reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    raise typer.Exit(EXIT_IMPOSSIBLE) from None
