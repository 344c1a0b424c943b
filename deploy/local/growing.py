"""Reads on in a file that another process appends lines to."""

from __future__ import annotations

import os
from pathlib import Path


class GrowingFile:
    """The whole lines that have been added since the last look; at first since the start, or since `only_new` began."""

    def __init__(self, path: Path, *, only_new: bool = False) -> None:
        self._path = path
        self._read = self._size() if only_new else 0

    def lines(self) -> list[bytes]:
        """Without their ends. What is written of a line that has no end yet comes with a later look."""
        if self._size() < self._read:
            self._read = 0  # another file, or cut off
        try:
            with open(self._path, "rb") as source:
                source.seek(self._read)
                added = source.read()
        except FileNotFoundError:
            return []
        whole = added[: added.rfind(b"\n") + 1]
        self._read += len(whole)
        return whole.splitlines()

    def _size(self) -> int:
        """0 where there is nothing to be read, also if nothing can be."""
        try:
            return os.stat(self._path).st_size
        except OSError:
            return 0
