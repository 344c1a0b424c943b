"""Describes the machine and the versions on which something was measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil

from deploy.local.specs import ROOT

PACKAGES: Final = (
    "aiokafka",
    "asyncpg",
    "confluent-kafka",
    "faststream",
    "msgspec",
    "pydantic",
    "sqlalchemy",
    "starlette",
    "uvicorn",
    "uvloop",
)
GIT_TIMEOUT_SECONDS: Final = 10.0


def describe() -> dict[str, Any]:
    """Processor, memory, kernel, versions, and which revision of the sources."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "revision": _git("rev-parse", "HEAD"),
        "uncommitted_files": len(_git("status", "--porcelain").splitlines()),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_before": os.getloadavg()[0],
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor() or platform.machine()


def _git(*words: str) -> str:
    """What git says, or "unknown" where the sources are no repository."""
    try:
        told = subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, timeout=GIT_TIMEOUT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return told.stdout.strip()
