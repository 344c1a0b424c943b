"""Tools beside Python that a test needs: skipped where they are missing, but not in CI."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def need(tool: str, package: str = "") -> None:
    """Skips the test where `tool` (of Debian's `package`) is not installed; under CI=true that is a failure."""
    if not shutil.which(tool):
        missing(f"{tool} is not installed (Debian: apt-get install {package or tool})")


def missing(why: str) -> NoReturn:
    """Skips the test for something that is not there; under CI=true that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)
