"""The command line `supply-watch`: the embedded stack, its demo, each service by itself, the ledger's tools, access."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, NoReturn

try:
    import typer
    from rich.console import Console

    import services.supply.evidence_commands  # noqa: F401  (adds its commands to `ledger`)
    from deploy.local.anchor import parse_wanted
    from deploy.local.faults import CannotStart
    from deploy.local.ports import parse_port_base
    from deploy.local.stack import SERVICES, StackOptions
    from deploy.local.supervisor import refuse, run
    from services.ingest.commands import keys, producers
    from services.supply.commands import ledger
except ModuleNotFoundError as missing:
    print(f"cannot start: the package {missing.name} is missing: use `make run`, which installs it", file=sys.stderr)
    raise SystemExit(2) from None

app = typer.Typer(
    name="supply-watch",
    help="Watches a nation's medicine supply: an exact ledger, goals, and alerts that reach people.",
    no_args_is_help=True,
    add_completion=False,
)
local = typer.Typer(help="The whole system on this machine, with real Kafka and PostgreSQL.", no_args_is_help=True)
app.add_typer(local, name="local")
app.add_typer(ledger, name="ledger")
app.add_typer(producers, name="producers")
app.add_typer(keys, name="keys")
DEFAULT_PORT_BASE = "8000"
PortBase = Annotated[
    str, typer.Option(envvar="PORT_BASE", help="Every port is this plus an offset: ingest +10, supply +20, alerts +30.")
]


@local.command("run")
def local_run(
    scenario: Annotated[
        str, typer.Option(envvar="SCENARIO", help="vietnam: a simulated market. none: an empty system.")
    ] = "vietnam",
    port_base: PortBase = DEFAULT_PORT_BASE,
    run_dir: Annotated[Path, typer.Option(envvar="RUN_DIR", help="Holds data, secrets and logs between runs.")] = Path(
        ".run"
    ),
    clock: Annotated[
        str, typer.Option(envvar="CLOCK", help="real, or <domain start, RFC 3339>@<domain seconds a second>.")
    ] = "real",
    services: Annotated[str, typer.Option(hidden=True, help="Which services to start, comma-separated.")] = ",".join(
        SERVICES
    ),
) -> None:
    """Start everything; Ctrl-C stops everything. A second run goes on with the data."""
    try:
        chosen = tuple(name for name in services.split(",") if name)
        options = StackOptions(run_dir, parse_port_base(port_base), scenario, parse_wanted(clock), chosen, watched=True)
    except CannotStart as reason:
        raise typer.Exit(refuse(reason)) from None
    raise typer.Exit(run(options, Console()))


@local.command("demo")
def local_demo(port_base: PortBase = DEFAULT_PORT_BASE) -> None:
    """Play the scenario on a scaled clock in a fresh directory; exit 1 if an alert that it provokes does not arrive."""
    from deploy.local import demo

    run_dir = Path(tempfile.mkdtemp(prefix="supply-watch-demo-"))
    try:
        code = demo.main(run_dir / "run", parse_port_base(port_base))
    except CannotStart as reason:
        code = refuse(reason)
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)
    raise typer.Exit(code)


@app.command()
def ingest() -> None:
    """Start the ingest service; its settings are SUPPLY_WATCH_INGEST_* (services/ingest/defaults.toml)."""
    become("services.ingest")


@app.command()
def supply() -> None:
    """Start the supply service; its settings are SUPPLY_WATCH_SUPPLY_* (services/supply/defaults.toml)."""
    become("services.supply")


@app.command()
def alerts() -> None:
    """Start the alerts service; its settings are SUPPLY_WATCH_ALERTS_* (services/alerts/defaults.toml)."""
    become("services.alerts")


def become(module: str) -> NoReturn:
    """This process turns into the service, so that signals reach it. -P: what lies in this folder is no module."""
    os.execv(sys.executable, [sys.executable, "-P", "-m", module])


def main() -> None:
    app(prog_name="supply-watch")


if __name__ == "__main__":
    main()
