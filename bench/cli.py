"""The command of `make bench`: measures, checks, writes build/bench.json and prints a table."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console

from bench.expected import Wrong
from bench.fill import NotWritten
from bench.ground import Unsafe, ground
from bench.machine import describe
from bench.movements import SEED
from bench.plan import ALL, Asked, Bench
from bench.report import judged, show
from bench.watch import Failed
from deploy.local.faults import CannotStart
from deploy.local.jars import KAFKA
from deploy.local.progress import shown
from deploy.local.specs import ROOT

OUTPUT: Final = ROOT / "build" / "bench.json"


def main(
    events: Annotated[
        int, typer.Option(envvar="EVENTS", min=500, help="movements that the topic is filled with")
    ] = 500_000,
    rounds: Annotated[int, typer.Option(envvar="ROUNDS", min=1, help="rounds of every contestant")] = 3,
    only: Annotated[str, typer.Option(envvar="ONLY", help=f"some of {', '.join(ALL)}; default all")] = "",
    history: Annotated[
        int, typer.Option(envvar="HISTORY", help="movements already there, default ten times EVENTS")
    ] = 0,
    output: Annotated[Path, typer.Option(envvar="BENCH_OUTPUT", help="the file of the results")] = OUTPUT,
) -> None:
    """Measure on this machine; the numbers hold for it alone."""
    signal.signal(signal.SIGTERM, _stop)
    wanted = tuple(name for name in only.replace(" ", "").split(",") if name) or ALL
    if unknown := set(wanted) - set(ALL):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: there are {', '.join(ALL)}", param_hint="ONLY")
    asked = Asked(events, rounds, wanted, max(3, -(-(history or 10 * events) // events)))
    console = Console()
    try:
        report = _measured(asked, console, output.parent)
    except (CannotStart, Failed, NotWritten, Unsafe, Wrong) as reason:
        console.print(f"nothing is told: {reason}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    output.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    show(report, console)
    console.print(f"{output}, {report['took_seconds']} s", highlight=False)


def _stop(number: int, frame: object) -> NoReturn:
    """Unwinds what was started, as Ctrl-C does."""
    raise SystemExit(128 + number)


def _measured(asked: Asked, console: Console, build: Path) -> dict[str, Any]:
    began, machine = time.monotonic(), describe()
    with shown(console) as steps, ground(build, steps) as place:
        bench = Bench(place, asked, steps)
        bench.run()
    return {
        "machine": machine,
        "postgresql": bench.settings,
        "kafka": {"version": KAFKA.rpartition(":")[2], "replication": 1, "acks": "all"},
        "asked": {"events": asked.events, "rounds": asked.rounds, "only": list(asked.only)},
        "movements": {
            "events": asked.events,
            "products": bench.market.products,
            "lots": bench.market.lots,
            "duplicates": bench.market.duplicates,
            "corrections": bench.market.corrections,
            "seed": SEED,
        },
        "results": bench.results,
        "targets": judged(bench.results),
        "not_measured": bench.not_measured,
        "took_seconds": round(time.monotonic() - began),
    }


if __name__ == "__main__":
    typer.run(main)
