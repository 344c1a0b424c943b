"""Runs `supply-watch local run` as a process of its own, as `make run` does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from deploy.local.records import Record, is_alive

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PROGRAM: Final = (sys.executable, "-m", "deploy.local.cli")
READY_TIMEOUT_SECONDS: Final = 120.0
END_TIMEOUT_SECONDS: Final = 45.0
POLL_SECONDS: Final = 0.05


class Foreground:
    """One supervisor and what it has said. `program` is `supply-watch`, run in `directory`."""

    def __init__(
        self,
        run_dir: Path,
        port_base: int,
        services: str = "",
        program: tuple[str, ...] = PROGRAM,
        directory: Path = ROOT,
    ) -> None:
        self.run_dir = run_dir
        self._before = self._credentials_made_at()  # a killed supervisor leaves its file behind
        environment = {**os.environ, "RUN_DIR": str(run_dir), "PORT_BASE": str(port_base), "SCENARIO": "none"}
        self.process = subprocess.Popen(
            [*program, "local", "run", "--services", services],
            cwd=directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _credentials_made_at(self) -> int | None:
        file = self.run_dir / "credentials.json"
        return file.stat().st_mtime_ns if file.exists() else None

    def wait_until_ready(self) -> dict[str, Any]:
        """What credentials.json holds once it is there."""
        file = self.run_dir / "credentials.json"
        end = time.monotonic() + READY_TIMEOUT_SECONDS
        while self._credentials_made_at() in (None, self._before):
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < end, "not ready in time"
            time.sleep(POLL_SECONDS)
        found: dict[str, Any] = json.loads(file.read_bytes())
        return found

    def children(self) -> dict[str, Record]:
        """The records of the children that it runs."""
        content = json.loads((self.run_dir / "children.json").read_bytes())
        return {name: Record(**fields) for name, fields in content.items()}

    def end(self, number: int) -> tuple[int, str]:
        """Sends a signal; the exit code and everything that it has said."""
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=END_TIMEOUT_SECONDS)
        return self.process.returncode, said

    def refusal(self) -> tuple[int, list[str]]:
        """For a start that must fail: the exit code and the lines that it said."""
        said, _ = self.process.communicate(timeout=END_TIMEOUT_SECONDS)
        return self.process.returncode, said.strip().splitlines()


@contextmanager
def foreground(
    run_dir: Path, port_base: int, services: str = "", program: tuple[str, ...] = PROGRAM, directory: Path = ROOT
) -> Iterator[Foreground]:
    """A supervisor that is gone in the end, whatever the test does."""
    running = Foreground(run_dir, port_base, services, program, directory)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.end(signal.SIGTERM)


def alive(records: dict[str, Record]) -> list[str]:
    """The names of the processes that are still there."""
    return [name for name, record in records.items() if is_alive(record)]
