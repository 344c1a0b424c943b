"""Makes what is handed out, in build/release: the package, what it needs by hash, what is in it, whether that is safe.

1. sdist and wheel, from the tools that tools.lock pins, with the time of the commit: the same commit, the same bytes.
2. requirements.txt (the services) and requirements-local.txt (the embedded stack too), taken from requirements.lock.
3. Both are installed into an empty environment, every package by its hash, and it starts.
4. sbom.cdx.json (CycloneDX) and licences.md, of that environment; audit.json, or the plain word that there is none.
5. The Dockerfile beside it, so that `docker build build/release` makes the image; SHA256SUMS of all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from deploy.release import audit
from deploy.release.requirements import needed, read_lock, roots_of, written

ROOT: Final = Path(__file__).resolve().parent.parent.parent
OUT: Final = ROOT / "build" / "release"
TOOLS: Final = ROOT / "build" / "tools" / "bin"
ENVIRONMENT: Final = ROOT / "build" / "release-environment"
REQUIREMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "requirements.txt": (),
    "requirements-local.txt": ("local",),
}
STEP_TIMEOUT_SECONDS: Final = 600.0
# No tool runs with what the caller's own environment says of packages beside where the index is.
UNSET: Final = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


class CannotRelease(Exception):
    """A step failed; what it said has been printed."""


def package(out: Path) -> Path:
    """Writes sdist and wheel of this source into `out`; the wheel."""
    run(str(TOOLS / "python"), "-m", "hatchling", "build", "-d", str(out), quiet=True, SOURCE_DATE_EPOCH=commit_time())
    (wheel,) = out.glob("*.whl")
    return wheel


def commit_time() -> str:
    """Seconds of the commit that is built; outside a checkout a fixed moment that a zip archive can hold."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "1577836800"


def requirements(out: Path) -> None:
    """Writes what an installation needs, each package with its hashes."""
    lock = read_lock((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for name, extras in REQUIREMENTS.items():
        (out / name).write_text(written(needed(lock, roots_of(project, extras))), encoding="utf-8")


def install(environment: Path, wheel: Path, requirements_file: Path) -> Path:
    """Makes `environment` anew, with what the file pins and the wheel, and nothing else; its folder of programs."""
    uv = str(TOOLS / "uv")
    python = environment / "bin" / "python"
    run(uv, "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, str(environment))
    into = ("pip", "install", "--quiet", "--python", str(python))
    run(uv, *into, "--require-hashes", "-r", str(requirements_file))
    run(uv, *into, "--no-deps", "--no-index", str(wheel))
    run(uv, "pip", "check", "--quiet", "--python", str(python))
    run(str(python.with_name("supply-watch")), "--help", quiet=True)
    return python.parent


def describe(out: Path, programs: Path) -> None:
    """What is in an installation: a bill of materials and the licences."""
    python = str(programs / "python")
    project = ("--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application")
    bill = ("--output-reproducible", "--spec-version", "1.6", "--output-file", str(out / "sbom.cdx.json"))
    run(str(TOOLS / "cyclonedx-py"), "environment", *project, *bill, python)
    table = ("--format=markdown", "--with-urls", "--order=license", "--ignore-packages", "supply-watch")
    run(str(TOOLS / "pip-licenses"), f"--python={python}", *table, f"--output-file={out / 'licences.md'}", quiet=True)


def run(*command: str, quiet: bool = False, **environment: str) -> None:
    """Raises CannotRelease."""
    surroundings = {name: value for name, value in os.environ.items() if name not in UNSET} | environment
    done = subprocess.run(
        command, check=False, cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=STEP_TIMEOUT_SECONDS
    )
    if done.returncode != 0:
        raise CannotRelease(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    if not quiet and done.stderr.strip():
        print(done.stderr.strip(), file=sys.stderr)


def checksums(files: Iterable[Path]) -> str:
    """As `sha256sum --check` reads it."""
    return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(files))


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    try:
        wheel = package(OUT)
        requirements(OUT)
        describe(OUT, install(ENVIRONMENT, wheel, OUT / "requirements.txt"))
        verdict = audit.audit(TOOLS / "pip-audit", OUT / "requirements-local.txt", OUT / "audit.json")
    except CannotRelease as failure:
        sys.exit(f"cannot release: {failure}")
    shutil.copy(ROOT / "deploy" / "Dockerfile", OUT)
    (OUT / "SHA256SUMS").write_text(checksums(OUT.iterdir()), encoding="utf-8")
    for file in sorted(OUT.iterdir()):
        print(f"{file.stat().st_size:>9,}  {file.relative_to(ROOT)}")
    print(verdict.said)
    sys.exit(1 if verdict.vulnerable else 0)


if __name__ == "__main__":
    main()
