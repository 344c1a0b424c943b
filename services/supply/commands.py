"""The commands `supply-watch ledger …`: what an operator does with the ledger from a shell."""

from __future__ import annotations

import asyncio
import getpass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from services.supply.rebuild import Rebuilt

ledger = typer.Typer(help="The ledger: made anew from the journal, exported, verified.", no_args_is_help=True)
DatabaseUrl = Annotated[
    str,
    typer.Option(envvar="SUPPLY_WATCH_SUPPLY_DATABASE_URL", help="postgresql://… of the schema's owner."),
]
EXIT_DIFFERENT = 1
EXIT_IMPOSSIBLE = 2
MAX_VALUE_LENGTH = 60


@ledger.command("rebuild")
def ledger_rebuild(
    database_url: DatabaseUrl,
    check: Annotated[bool, typer.Option("--check", help="Only compare; exit 1 if anything differs.")] = False,
    reason: Annotated[str, typer.Option(help="Why; kept in the audit.")] = "",
    show: Annotated[int, typer.Option(min=0, max=1_000, help="Differences shown of each table.")] = 20,
) -> None:
    """Fold the journal anew beside the derived tables, compare, and replace what differs, while the service runs."""
    from services.supply.rebuild import CannotLock, UnderWay, rebuild
    from shared.audit import OWNER, SHELL, Author
    from shared.database import AWAY

    author = Author(SHELL, getpass.getuser(), OWNER, reason)
    console = Console()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("connect", total=None)

            def tell(step: str, done: int, total: int) -> None:
                progress.update(task, description=step, completed=done, total=total or None)

            done = asyncio.run(rebuild(database_url, tell, replace=not check, max_shown=show, author=author))
    except (UnderWay, CannotLock, *AWAY) as error:
        console.print(f"cannot rebuild: {error or type(error).__name__}", style="red", markup=False)
        raise typer.Exit(EXIT_IMPOSSIBLE) from None
    _show(console, done, check)
    raise typer.Exit(EXIT_DIFFERENT if (done.differing if check else done.beyond_repair) else 0)


def _show(console: Console, done: Rebuilt, check: bool) -> None:
    """The tables with their differences, then what was done about them."""
    table = Table("table", "rows", "differing", box=None)
    for item in done.compared:
        table.add_row(item.table, f"{item.rows:,}", f"{item.differing:,}")
    console.print(table)
    for item in done.compared:
        for found in item.differences:
            key = " ".join(str(part) for part in found.key.values())
            kept, rebuilt = (str(value)[:MAX_VALUE_LENGTH] for value in (found.kept, found.rebuilt))
            where = f"{found.table} {key} {found.column or 'row'}"
            console.print(f"{where}: kept {kept}, rebuilt {rebuilt}", markup=False, highlight=False, soft_wrap=True)
    outcome = "nothing differs" if done.differing == 0 else f"{done.differing:,} rows differ"
    if done.beyond_repair:
        outcome += f"; {done.beyond_repair:,} of them records of the journal itself: restore it, nothing was replaced"
    elif done.differing and not check:
        outcome += f"; replaced {done.lots:,} lots and {done.events:,} events"
    console.print(f"{outcome} ({done.seconds:.1f} s)", markup=False, highlight=False)
