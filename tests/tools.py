"""Tools beside Python that a test needs: skipped where they are missing, but not in CI."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

from deploy.release.build import TOOLS


def need(tool: str, package: str = "") -> None:
    """Skips the test where `tool` (of Debian's `package`) is not installed; under CI=true that is a failure."""
    if not shutil.which(tool):
        missing(f"{tool} is not installed (Debian: apt-get install {package or tool})")


def missing(why: str) -> NoReturn:
    """Skips the test for something that is not there; under CI=true that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def need_release_tools() -> None:
    """Skips the test where `make tools` has not been run; under CI=true that is a failure."""
    if (TOOLS / "uv").exists():
        return
    why = "the tools of deploy/release/tools.lock are not installed (make tools)"
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def need_kustomize() -> tuple[str, ...]:
    """The command that builds a kustomization; the test is skipped where there is none, and fails in CI."""
    if shutil.which("kubectl"):
        return ("kubectl", "kustomize")
    need("kustomize", "golang-go, then go install sigs.k8s.io/kustomize/kustomize/v5@v5.5.0")
    return ("kustomize", "build")
