"""Starts, watches, restarts and ends the processes of a stack; one thread owns them all.

PR_SET_PDEATHSIG speaks of the thread that forked, so every child is forked by a thread that lives as long as the stack.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.local import records
from deploy.local.faults import Cancelled, CannotStart

LAUNCHER: Final = Path(__file__).with_name("launch.py")
RESTART_AFTER_SECONDS: Final = 1.0
WATCH_EVERY_SECONDS: Final = 0.05
STOP_TIMEOUT_SECONDS: Final = 12.0
KILLED_TIMEOUT_SECONDS: Final = 5.0
LOG_BYTES: Final = 32 * 1024 * 1024
LOG_CHECK_EVERY_SECONDS: Final = 5.0


@dataclass(frozen=True)
class ChildSpec:
    """How one child is run. `death_signal` is what it gets when the supervisor dies."""

    name: str
    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: int = signal.SIGTERM
    stop_timeout_seconds: float = STOP_TIMEOUT_SECONDS
    death_signal: int = signal.SIGKILL
    restarts_after_success: bool = True


@dataclass
class _Child:
    spec: ChildSpec
    process: subprocess.Popen[bytes]
    wanted: bool = True
    restart_at: float | None = None
    deaths: int = 0
    last_exit: int | None = None


def launch_command(spec_user: str | None, death_signal: int, command: tuple[str, ...]) -> list[str]:
    """The command line that starts `command` by the launcher."""
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(death_signal), str(os.getpid()), spec_user or "-"]
    return [*launcher, *command]


class Children(threading.Thread):
    """The processes of one stack. Every public call may come from any thread and returns when it is done."""

    def __init__(self, record_file: Path, logs: Path, on_death: Callable[[str, int], None]) -> None:
        super().__init__(name="children", daemon=True)
        self._record_file = record_file
        self._logs = logs
        self._on_death = on_death
        self._children: dict[str, _Child] = {}
        self._orders: queue.Queue[tuple[Callable[[], None], Future[None]] | None] = queue.Queue()
        self._next_log_check = 0.0

    def run(self) -> None:
        while True:
            try:
                order = self._orders.get(timeout=WATCH_EVERY_SECONDS)
            except queue.Empty:
                self._watch()
                continue
            if order is None:
                return
            action, done = order
            try:
                action()
            except Exception as error:  # noqa: BLE001 - raised again in the thread that gave the order
                done.set_exception(error)
            else:
                done.set_result(None)

    def _order(self, action: Callable[[], None]) -> None:
        done: Future[None] = Future()
        self._orders.put((action, done))
        done.result()

    # What others ask for.

    def start_child(self, spec: ChildSpec) -> None:
        """Starts a child, or starts it again with this specification. Running already: no effect."""
        self._order(lambda: self._start(spec))

    def start_again(self, name: str) -> None:
        """Starts a stopped child as it was."""
        self._order(lambda: self._start(self._children[name].spec))

    def stop_child(self, name: str) -> None:
        """Asks the child to end, kills it if it does not within its time; it stays down."""
        child = self._children[name]
        self._order(lambda: self._unwant(child))
        self._signal(child, child.spec.stop_signal)
        self._signal(child, signal.SIGCONT)
        try:
            child.process.wait(child.spec.stop_timeout_seconds)
        except subprocess.TimeoutExpired:
            self._signal(child, signal.SIGKILL)
            child.process.wait(KILLED_TIMEOUT_SECONDS)

    def kill_child(self, name: str, number: int = signal.SIGKILL, *, stays_down: bool = False) -> None:
        """Sends `number`. A child that dies of it is started again after a second unless it `stays_down`."""
        child = self._children[name]
        if stays_down:
            self._order(lambda: self._unwant(child))
        self._signal(child, number)
        if number == signal.SIGKILL:
            child.process.wait(KILLED_TIMEOUT_SECONDS)

    def forget(self, name: str) -> None:
        """Stops a child and drops its specification."""
        self.stop_child(name)
        self._order(lambda: self._drop(name))

    def pid(self, name: str) -> int | None:
        """The pid of a running child; None if it is down."""
        child = self._children.get(name)
        return child.process.pid if child is not None and child.process.poll() is None else None

    def names(self) -> list[str]:
        return list(self._children)

    def deaths(self, name: str) -> int:
        """How often the child has ended without being asked to."""
        return self._children[name].deaths

    def last_exit(self, name: str) -> int | None:
        """The exit code of the last such end (negative: a signal)."""
        return self._children[name].last_exit

    def wanted(self, name: str) -> bool:
        return name in self._children and self._children[name].wanted

    def close(self) -> None:
        """Ends the watching thread; call when every child has been stopped."""
        self._orders.put(None)
        self.join()
        self._record_file.unlink(missing_ok=True)

    # What the owning thread does.

    def _start(self, spec: ChildSpec) -> None:
        before = self._children.get(spec.name)
        if before is not None and before.process.poll() is None:
            before.wanted = True
            return
        deaths = before.deaths if before else 0
        self._children[spec.name] = _Child(spec, self._spawn(spec), deaths=deaths)
        self._save()

    def _spawn(self, spec: ChildSpec) -> subprocess.Popen[bytes]:
        with open(self._logs / f"{spec.name}.log", "ab") as log:
            return subprocess.Popen(
                launch_command(spec.user, spec.death_signal, spec.command),
                cwd=spec.directory,
                env={**os.environ, **spec.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _unwant(self, child: _Child) -> None:
        child.wanted = False
        child.restart_at = None

    def _drop(self, name: str) -> None:
        self._children.pop(name, None)
        self._save()

    def _signal(self, child: _Child, number: int) -> None:
        with suppress(ProcessLookupError):
            child.process.send_signal(number)

    def _watch(self) -> None:
        now = time.monotonic()
        for child in list(self._children.values()):
            code = child.process.poll()
            if code is None or not child.wanted:
                continue
            if child.restart_at is None:
                self._died(child, code, now)
            elif now >= child.restart_at:
                child.restart_at = None
                child.process = self._spawn(child.spec)
                self._save()
        if now >= self._next_log_check:
            self._next_log_check = now + LOG_CHECK_EVERY_SECONDS
            self._bound_logs()

    def _died(self, child: _Child, code: int, now: float) -> None:
        if code == 0 and not child.spec.restarts_after_success:
            child.wanted = False
            return
        child.deaths += 1
        child.last_exit = code
        child.restart_at = now + RESTART_AFTER_SECONDS
        self._on_death(child.spec.name, code)

    def _save(self) -> None:
        found = {
            name: records.record_of(child.process.pid, child.spec.death_signal)
            for name, child in self._children.items()
            if child.process.poll() is None
        }
        records.save(self._record_file, {name: record for name, record in found.items() if record is not None})

    def _bound_logs(self) -> None:
        """A log that has grown too long is moved aside under its writer, who appends to what is left."""
        for name in self._children:
            log = self._logs / f"{name}.log"
            if log.exists() and log.stat().st_size > LOG_BYTES:
                shutil.copyfile(log, log.with_name(log.name + ".1"))
                os.truncate(log, 0)


def rotate_logs(logs: Path) -> None:
    """Moves the logs of the last run aside, so that each file tells of one run."""
    for log in logs.glob("*.log"):
        log.replace(log.with_name(log.name + ".1"))


def run_to_end(
    command: list[str],
    *,
    directory: Path,
    timeout_seconds: float,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    on_line: Callable[[str], None] = lambda line: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[int, list[str]]:
    """Runs a short command that dies with this thread. Returns its exit code and its lines.

    Raises CannotStart if it does not end in time, Cancelled if it was cancelled.
    """
    process = subprocess.Popen(
        launch_command(user, signal.SIGKILL, tuple(command)),
        cwd=directory,
        env={**os.environ, **(environment or {})},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    lines: list[str] = []
    reader = threading.Thread(target=_read_lines, args=(process, lines, on_line), daemon=True)
    reader.start()
    end = time.monotonic() + timeout_seconds
    while process.poll() is None:
        if cancelled() or time.monotonic() > end:
            process.kill()
            process.wait()
            if cancelled():
                raise Cancelled
            raise CannotStart(f"{Path(command[0]).name} did not end within {timeout_seconds:.0f} s")
        time.sleep(WATCH_EVERY_SECONDS)
    reader.join(KILLED_TIMEOUT_SECONDS)
    return process.returncode, lines


def _read_lines(process: subprocess.Popen[str], lines: list[str], on_line: Callable[[str], None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip())
        on_line(line.rstrip())
