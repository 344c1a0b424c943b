"""Keeps what one stack knows between runs in its RUN_DIR, and lets one stack at a time have it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from deploy.local.faults import CannotStart

MARKER: Final = "supply-watch.json"
FORMAT: Final = 1
PASSWORD_BYTES: Final = 24


class RunDir:
    """The directory of one stack, held by a lock while the stack runs.

    Raises CannotStart for a directory that belongs to something else, cannot be written, or is in use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self._lock: int | None = None

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def credentials(self) -> Path:
        return self.path / "credentials.json"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def webhooks(self) -> Path:
        """What the receiver keeps: JSON lines, one a delivery."""
        return self.path / "webhooks.jsonl"

    @property
    def is_held(self) -> bool:
        return self._lock is not None

    def claim(self) -> None:
        """Makes the directory ours, or finds that it is; takes the lock."""
        try:
            self._make()
            self._take_lock()
        except OSError as error:
            raise CannotStart(f"RUN_DIR {self.path} cannot be used: {error.strerror}") from None

    def release(self) -> None:
        """Lets the next stack have the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _make(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        marker = self.path / MARKER
        if not marker.exists():
            if any(self.path.iterdir()):
                raise CannotStart(f"RUN_DIR {self.path} is not empty and not a Supply Watch directory: choose another")
            write_private(marker, {"format": FORMAT})
        self.logs.mkdir(exist_ok=True)

    def _take_lock(self) -> None:
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).decode().strip()
            os.close(lock)
            raise CannotStart(f"RUN_DIR {self.path} is in use by another stack (pid {holder or 'unknown'})") from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock

    def passwords(self, names: Iterable[str]) -> dict[str, str]:
        """A random password for each of `names`, the same at every run; kept with mode 0600."""
        file = self.path / "secrets.json"
        known: dict[str, str] = read_json(file) or {}
        wanted = {name: known.get(name) or secrets.token_urlsafe(PASSWORD_BYTES) for name in names}
        if wanted.items() - known.items():
            write_private(file, known | wanted)
        return wanted


def read_json(file: Path) -> Any:
    """What `file` holds, None if it is not there. Raises CannotStart if it is not JSON."""
    try:
        return json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        raise CannotStart(f"{file} is damaged: move it away or take another RUN_DIR") from None


def write_private(file: Path, value: Any) -> None:
    """Writes JSON with mode 0600, whole or not at all: to a neighbour, synced, renamed into place."""
    write_private_text(file, json.dumps(value, indent=2) + "\n")


def write_private_text(file: Path, text: str) -> None:
    """Writes text with mode 0600, whole or not at all."""
    neighbour = file.with_name(file.name + ".new")
    neighbour.unlink(missing_ok=True)
    descriptor = os.open(neighbour, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    neighbour.rename(file)
