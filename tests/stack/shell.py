"""Runs a line that the catalogue prints, as a producer's engineer would."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import files
from pathlib import Path
from typing import Final

TIMEOUT_SECONDS: Final = 20.0


def run(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail\n{line}"],
        check=False,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )


def newer_librdkafka(folder: Path) -> str:
    """A LD_LIBRARY_PATH by which kcat finds the library of the confluent-kafka wheel: Debian's cannot log in."""
    found = [file for file in files("confluent-kafka") or () if file.name.startswith("librdkafka")]
    (folder / "librdkafka.so.1").symlink_to(Path(str(found[0].locate())).resolve())
    return str(folder)
