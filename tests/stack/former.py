"""The code of a service from before its newest migration, taken from the history and run as it was."""

from __future__ import annotations

import io
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
    """What the main line was when `file` came into it. Branches are passed over: what they held need not run.

    Where the history does not reach so far, as in a shallow clone, the test is skipped.
    """
    line = ("log", "--first-parent", "-m", "--diff-filter=A", "--format=%H", "-1")
    brought = _git(*line, "--", str(file)).decode().strip()
    before = _git("rev-parse", "--verify", f"{brought}^1").decode().strip() if brought else ""
    if before:
        return before
    pytest.skip(f"the history does not tell what was before {file}")


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
    """How the code from before the newest migration of `service` is run on this stack: with goals and rules of its own,
    and else with the settings of today's."""
    code = unpack(commit_before(newest_migration(service)), folder)
    spec = stack.service_spec(service)
    own = {name: value.replace(f"{ROOT}/deploy/", f"{code}/deploy/") for name, value in spec.environment.items()}
    return replace(spec, directory=code, environment={**own, "PYTHONPATH": str(code)})
