"""Keeps signed checkpoints in files that are only ever appended to, one a day (UTC), a line each; and reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from services.supply.signing import Signed, read_signed

PATTERN: Final = "checkpoints-*.jsonl"
# More than a line can have: the limit of a record of the topic is 1 MiB.
TAIL_BYTES: Final = 2 * 1024 * 1024


class Unusable(Exception):
    """A file that cannot be read as what it should be; the text names it, the line and the reason."""


class CheckpointFiles:
    """The files of one instance. What was not whole when the machine stopped is cut off before the next line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def newest(self) -> Signed | None:
        """The last checkpoint that was written; what is not a whole line is cut off. Raises Unusable, OSError."""
        for path in reversed(files_in(self.folder)):
            _mend(path)
            tail = _tail(path)
            if tail:
                return _read(path, "the last line", tail.splitlines()[-1])
        return None

    def append(self, signed: Sequence[Signed]) -> None:
        """Writes and syncs. Raises OSError; then some of the lines may stand there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for day, checkpoints in groupby(signed, lambda item: item.at[:10]):
            path = self.folder / f"checkpoints-{day}.jsonl"
            fresh = not path.exists()
            with open(path, "ab") as out:
                out.writelines(item.line() + b"\n" for item in checkpoints)
                out.flush()
                os.fsync(out.fileno())
            if fresh:
                _sync_folder(self.folder)


def files_in(folder: Path) -> list[Path]:
    """The files of a folder in the order of their days."""
    return sorted(folder.glob(PATTERN))


def read_file(path: Path) -> Iterator[tuple[str, Signed]]:
    """(where it stands, checkpoint) of each line; one that is still being written is left out. Raises Unusable."""
    try:
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.endswith(b"\n"):
                    yield f"{path.name} line {number}", _read(path, f"line {number}", line)
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None


def _read(path: Path, which: str, line: bytes) -> Signed:
    try:
        return read_signed(line)
    except ValueError as error:
        raise Unusable(f"{path}, {which}: {error}") from None


def _mend(path: Path) -> None:
    """Cuts off an unfinished last line."""
    tail = _tail(path)
    torn = len(tail) - (tail.rfind(b"\n") + 1)
    if torn:
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size - torn)
            os.fsync(file.fileno())


def _tail(path: Path) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return file.read()


def _sync_folder(folder: Path) -> None:
    """So that a new file's name survives a power cut too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
