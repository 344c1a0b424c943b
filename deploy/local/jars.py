"""Finds the jars of Apache Kafka: resolved by jgo, without Java, Maven or Docker on the machine; once a user."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.local.children import run_to_end
from deploy.local.faults import Cancelled, CannotStart

KAFKA: Final = "org.apache.kafka:kafka_2.13:4.3.1"
# Without a binding Kafka logs nothing. Resolved by itself: jgo asked for both at once mixes older jars in.
LOG_BINDING: Final = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"
RESOLVE_TIMEOUT_SECONDS: Final = 300.0
LOCK_POLL_SECONDS: Final = 0.2
_DOWNLOADING: Final = re.compile(r"Downloading (\S+)")


def kafka_class_path(on_progress: Callable[[str], None], cancelled: Callable[[], bool]) -> str:
    """The class path of Kafka. Raises CannotStart if a repository is needed and cannot be reached.

    jgo empties and fills its own directories again now and then, so the jars are linked into one of ours, whole or not
    at all, by one process at a time.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "supply-watch")
    jars = cache / "-".join(coordinate.split(":", 1)[1].replace(":", "-") for coordinate in (KAFKA, LOG_BINDING))
    if not jars.exists():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with _locked(cache / "lock", cancelled):
                if not jars.exists():
                    _fetch(jars, on_progress, cancelled)
        except OSError as error:
            raise CannotStart(f"the jars of Kafka cannot be kept in {cache}: {error.strerror}") from None
    return f"{jars}/*"


@contextmanager
def _locked(file: Path, cancelled: Callable[[], bool]) -> Iterator[None]:
    with open(file, "w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if cancelled():
                    raise Cancelled from None
                time.sleep(LOCK_POLL_SECONDS)
        yield


def _fetch(target: Path, on_progress: Callable[[str], None], cancelled: Callable[[], bool]) -> None:
    on_progress("looking for the jars")
    kafka = _environment(KAFKA, on_progress, cancelled)
    binding = _environment(LOG_BINDING, on_progress, cancelled)
    wanted = [*kafka.rglob("*.jar"), *binding.rglob("log4j-slf4j-impl-*.jar")]
    for name in ("kafka_2.13-", "kafka-clients-", "log4j-slf4j-impl-"):
        if not any(jar.name.startswith(name) for jar in wanted):
            raise CannotStart(f"jgo has fetched no {name}*.jar into {kafka}: remove that directory and start again")
    fresh = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=target.parent))
    try:
        for jar in wanted:
            _link_or_copy(jar, fresh / jar.name)
        fresh.chmod(0o755)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def _environment(coordinate: str, on_progress: Callable[[str], None], cancelled: Callable[[], bool]) -> Path:
    """The directory into which jgo has put the jars of `coordinate`."""

    def show(line: str) -> None:
        if match := _DOWNLOADING.search(line):
            on_progress(match.group(1))

    command = [sys.executable, "-m", "jgo", "--resolver", "python", "info", "envdir", coordinate]
    code, lines = run_to_end(
        command,
        directory=Path.cwd(),
        timeout_seconds=RESOLVE_TIMEOUT_SECONDS,
        environment={"COLUMNS": "200", "NO_COLOR": "1"},
        on_line=show,
        cancelled=cancelled,
    )
    directory = Path(lines[-1].strip()) if code == 0 and lines else None
    if directory is None or not directory.is_dir():
        raise CannotStart(f"cannot fetch {coordinate}: {_reason(lines)}")
    return directory


def _reason(lines: list[str]) -> str:
    """The line of jgo's output that says most: the last that names an error, or the last."""
    spoken = [line.strip(" │╰╯─╭╮") for line in lines if line.strip(" │╰╯─╭╮")]
    errors = [line for line in spoken if re.search(r"error|refused|timed out|resolve|unreachable", line, re.IGNORECASE)]
    detail = (errors or spoken or ["jgo said nothing"])[-1]
    return f"is a Maven repository reachable? ({detail[:160]})"
