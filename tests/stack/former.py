"""The code of a service from before its newest migration, taken from the history and run as it was."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from deploy.local.children import ChildSpec
from deploy.local.stack import Stack
from deploy.release.build import ROOT

FOLDERS: Final = ("services", "shared", "deploy")


def newest_migration(service: str) -> Path:
    """Relative to the root of the project."""
    folder = ROOT / "services" / service / "migrations" / "versions"
    return max(folder.glob("[0-9]*.py")).relative_to(ROOT)


def commit_before(file: Path) -> str:
    """The newest commit of those that led to the one that brought `file`, and had it not.

    Where the history does not reach so far the test is skipped; under CI=true that is a failure.
    """
    brought = _git("log", "--full-history", "-m", "--diff-filter=A", "--format=%H", "--", str(file)).decode().split()
    parents = _git("rev-list", "--parents", "-n1", brought[-1]).decode().split()[1:] if brought else []
    for parent in parents:
        if not _git("ls-tree", parent, "--", str(file)):
            return parent
    why = f"the history does not tell what was before {file}"
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def unpack(commit: str, into: Path) -> Path:
    """The packages of that commit, importable from `into`."""
    archive = _git("archive", "--format=tar", commit, *FOLDERS)
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(into, filter="data")
    return into


def _git(*words: str) -> bytes:
    done = subprocess.run(["git", "-C", str(ROOT), *words], check=False, capture_output=True)
    return done.stdout if done.returncode == 0 else b""


def spec_of(stack: Stack, service: str, folder: Path) -> ChildSpec:
    """How the code from before the newest migration of `service` is run on this stack, with the settings of today's."""
    code = unpack(commit_before(newest_migration(service)), folder)
    spec = stack.service_spec(service)
    return replace(spec, directory=code, environment={**spec.environment, "PYTHONPATH": str(code)})
