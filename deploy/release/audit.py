"""Asks whether anything of a release has a known vulnerability, and tells "no" from "could not ask"."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.release.requirements import read_lock, written

TIMEOUT_SECONDS: Final = 180.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the audit came to, in a line or a few; `asked` is False where the database could not be reached."""

    asked: bool
    vulnerable: bool
    said: str


def audit(program: Path, requirements: Path, report: Path) -> Verdict:
    """Runs pip-audit on hashed requirements, which it need not install; keeps its answer in `report`, if it has one.

    The first package is asked about by itself: where that cannot be answered, the others are not asked.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as one:
        one.write(written(read_lock(requirements.read_text(encoding="utf-8"))[:1]))
        one.flush()
        _, verdict = _asked(program, Path(one.name))
    if verdict.asked:
        told, verdict = _asked(program, requirements)
        report.write_text(told, encoding="utf-8")
    return verdict


def _asked(program: Path, requirements: Path) -> tuple[str, Verdict]:
    options = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json")
    command = [str(program), "--requirement", str(requirements), *options]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return "", unasked(f"no answer within {TIMEOUT_SECONDS:.0f} s")
    return done.stdout, judged(done.stdout, done.stderr)


def judged(stdout: str, stderr: str) -> Verdict:
    """What pip-audit said: JSON on standard output if it could ask, else a reason on standard error.

    It ends well, too, if a mirror of the index answered that it knows nothing of a package: that is no "no".
    """
    try:
        packages: list[dict[str, Any]] = json.loads(stdout)["dependencies"]
    except (ValueError, KeyError):
        lines = stderr.strip().splitlines() or ["it said nothing"]
        return unasked(lines[-1])
    skipped = [item["skip_reason"] for item in packages if "skip_reason" in item]
    if len(skipped) == len(packages):
        return unasked(skipped[0] if skipped else "nothing was asked")
    found = [(item["name"], item["version"], fault) for item in packages for fault in item.get("vulns", ())]
    lines = [f"audit: {len(found) or 'no'} known vulnerabilities in {len(packages) - len(skipped)} packages"]
    lines += [f"  {name} {version}: {fault['id']}, mended in {_mended(fault)}" for name, version, fault in found]
    lines += [f"  NOT ASKED: {reason}" for reason in skipped]
    return Verdict(True, bool(found), "\n".join(lines))


def _mended(fault: dict[str, Any]) -> str:
    return ", ".join(fault.get("fix_versions", ())) or "no version"


def unasked(why: str) -> Verdict:
    return Verdict(False, False, f"audit: NOT DONE, the database of vulnerabilities could not be asked: {why}")
