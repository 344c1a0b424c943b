"""Takes from a lock the packages that some need, with their hashes: what is installed is what was tested.

Reads what `uv pip compile --generate-hashes` writes, where the comment after each package says what wants it. Needs the
standard library alone, so that it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SEPARATORS: Final = re.compile(r"[-_.]+")


class NotLocked(Exception):
    """A package is wanted that the lock does not have."""


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of a lock: its requirement with marker and hashes as it stands there, and what wants it."""

    name: str
    text: str
    wanted_by: frozenset[str]


def read_lock(text: str) -> tuple[Locked, ...]:
    """Every package of a lock, in its order."""
    return tuple(_locked(block) for block in _blocks(text))


def _blocks(text: str) -> Iterator[list[str]]:
    block: list[str] = []
    for line in text.splitlines():
        if line and not line[0].isspace() and not line.startswith("#") and block:
            yield block
            block = []
        if line.strip():
            block.append(line)
    if block:
        yield block


def _locked(block: list[str]) -> Locked:
    comments = [line.strip().lstrip("# ").removeprefix("via").strip() for line in block if line.strip().startswith("#")]
    kept = [line for line in block if not line.strip().startswith("#")]
    wanted_by = frozenset(_name(comment) for comment in comments if _NAME.match(comment))
    return Locked(_name(kept[0]), "\n".join(kept) + "\n", wanted_by)


def _name(requirement: str) -> str:
    """The normalised name at the beginning of a requirement or comment."""
    found = _NAME.match(requirement)
    if found is None:
        raise NotLocked(f"not a requirement: {requirement!r}")
    return _SEPARATORS.sub("-", found.group()).lower()


def needed(lock: Iterable[Locked], roots: Iterable[str]) -> tuple[Locked, ...]:
    """`roots` and all that they want, and what that wants, in the order of the lock. Raises NotLocked."""
    packages = tuple(lock)
    taken = {_name(root) for root in roots}
    if missing := taken - {package.name for package in packages}:
        raise NotLocked(f"not in the lock: {', '.join(sorted(missing))}")
    while more := {package.name for package in packages if package.name not in taken and package.wanted_by & taken}:
        taken |= more
    return tuple(package for package in packages if package.name in taken)


def roots_of(project: str, extras: Iterable[str] = ()) -> tuple[str, ...]:
    """What a pyproject.toml wants by itself, and by some of its extras."""
    table = tomllib.loads(project)["project"]
    wanted = [*table["dependencies"], *(item for extra in extras for item in table["optional-dependencies"][extra])]
    return tuple(_name(item) for item in wanted)


def written(packages: Iterable[Locked]) -> str:
    return "".join(package.text for package in packages)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.release.requirements", description=__doc__)
    parser.add_argument("lock", type=Path)
    parser.add_argument("--project", type=Path, help="take what this pyproject.toml wants")
    parser.add_argument("--extra", action="append", default=[], help="and this extra of it")
    parser.add_argument("--only", action="append", default=[], help="take this package and what it wants")
    chosen = parser.parse_args()
    roots = roots_of(chosen.project.read_text(encoding="utf-8"), chosen.extra) if chosen.project else ()
    print(written(needed(read_lock(chosen.lock.read_text(encoding="utf-8")), [*roots, *chosen.only])), end="")


if __name__ == "__main__":
    main()
