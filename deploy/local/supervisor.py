"""Runs a stack in the foreground: how it starts, the addresses, each webhook; stops it at Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Final

from rich.console import Console

from deploy.local.faults import Cancelled, CannotStart
from deploy.local.growing import GrowingFile
from deploy.local.progress import shown
from deploy.local.receiver import told_of
from deploy.local.sign_in_link import HOME, sign_in_link
from deploy.local.stack import Stack, StackOptions
from deploy.local.watching import ABSENT, GRAFANA, PROGRAMS
from shared.keys import ADMIN

STOPPED_BY: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OK: Final = 0
CANNOT_START: Final = 2
LOOK_EVERY_SECONDS: Final = 0.5


def run(options: StackOptions, console: Console) -> int:
    """Runs until it is told to stop, and prints each webhook that arrives meanwhile.

    The exit code: 0, or 2 with one line if it cannot start.
    """
    asked = threading.Event()
    try:
        stack = Stack(options)
    except CannotStart as reason:
        return refuse(reason)

    def stop(number: int, frame: FrameType | None) -> None:
        asked.set()
        stack.cancel()

    webhooks = GrowingFile(stack.run_dir.webhooks, only_new=True)
    for number in STOPPED_BY:
        signal.signal(number, stop)
    try:
        with shown(console) as steps:
            stack.show_on(steps)
            stack.start()
        tell(stack, console)
        while not asked.wait(LOOK_EVERY_SECONDS):
            show(webhooks, console)
        show(webhooks, console)
        console.print("stopping …", highlight=False)
    except CannotStart as reason:
        return refuse(reason)
    except Cancelled:
        pass
    finally:
        stack.stop()
    console.print("everything is stopped; the next run goes on with the data", highlight=False)
    return OK


def show(webhooks: GrowingFile, console: Console) -> None:
    """A line for each webhook that has arrived since the last look."""
    for line in webhooks.lines():
        console.print(told_of(line), highlight=False, markup=False, soft_wrap=True)


def refuse(reason: CannotStart) -> int:
    """Says in one line why the stack does not start."""
    print(f"cannot start: {reason}", file=sys.stderr, flush=True)
    return CANNOT_START


def _where(stack: Stack, name: str) -> str:
    """The address of Prometheus or Grafana, or why there is none."""
    if name in stack.watching:
        password = f"  (admin, by grafana-admin in {stack.run_dir / 'secrets.json'})" if name == GRAFANA else ""
        return stack.ports.url(name) + password
    return "does not run: see its log" if name in stack.watchers.installed() else ABSENT[name]


def _way_in(stack: Stack) -> list[tuple[str, str]]:
    """The link that opens the pages; whoever comes too late signs in with a key."""
    admin, url = stack.credentials["keys"].get(ADMIN), stack.credentials[HOME]
    if admin is None or HOME not in stack.options.services:
        return []
    return [("sign in (once, soon)", sign_in_link(stack.session_secret, admin, url))]


def tell(stack: Stack, console: Console) -> None:
    """Where everything is."""
    found = stack.credentials
    lines = [
        *((name, found[name]) for name in stack.options.services),
        ("kafka", found["kafka"]["bootstrap"]),
        ("postgresql", stack.ports.address("postgres")),
        ("webhooks arrive at", found["receiver"]["url"]),
        *((name, _where(stack, name)) for name in PROGRAMS),
        ("clock", stack.clock),
        *_way_in(stack),
        ("keys and passwords", str(stack.run_dir.credentials)),
        ("logs", str(stack.run_dir.logs)),
    ]
    console.print()
    for name, value in lines:
        console.print(f"  {name:<20} {value}", highlight=False, markup=False, soft_wrap=True)
    console.print("\nCtrl-C stops everything.", highlight=False)
