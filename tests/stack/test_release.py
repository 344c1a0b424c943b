"""The built wheel, installed by hashes into an empty environment, brings the system and each service up by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from pytest_socket import enable_socket

from deploy.local.http import wait_for_200
from deploy.local.ports import HOST, Ports
from deploy.release import build
from shared.json_http import call
from tests.stack.foreground import Foreground, foreground
from tests.stack.places import free_port_base
from tests.tools import need_release_tools

pytestmark = pytest.mark.proof

SERVICES: Final = ("ingest", "supply", "alerts")
READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 12.0


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that holds the wheel and what it needs, and nothing else."""
    need_release_tools()
    enable_socket()
    place = tmp_path_factory.mktemp("release")
    wheel = build.package(place)
    build.requirements(place)
    return build.install(place / "environment", wheel, place / "requirements-local.txt")


@pytest.fixture(scope="module")
def running(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreground]:
    """`supply-watch local run`, in a folder with nothing in it."""
    place, empty = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("empty")
    program = (str(programs / "supply-watch"),)
    with foreground(place / "run", free_port_base(), ",".join(SERVICES), program, empty) as started:
        started.wait_until_ready()
        yield started


def _ports(running: Foreground) -> Ports:
    file = running.run_dir / "credentials.json"
    return Ports(int(json.loads(file.read_bytes())["ingest"].rpartition(":")[2]) - 10)


def test_the_whole_system_runs_from_what_is_installed(running: Foreground, programs: Path) -> None:
    children, ports = running.children(), _ports(running)
    for name in SERVICES:
        assert Path(f"/proc/{children[name].pid}/cwd").resolve().is_relative_to(programs.parent), name
    key = json.loads((running.run_dir / "credentials.json").read_bytes())["keys"]["viewer"]
    goals = call("GET", f"{ports.url('supply')}/goals", key)
    assert goals is not None
    rules = call("GET", f"{ports.url('alerts')}/rules", key)
    assert len(rules["items"]) > 5
    catalogue = call("GET", f"{ports.url('ingest')}/catalogue", key)
    assert catalogue


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_starts_by_its_own_command_and_stops_in_time(
    running: Foreground, programs: Path, name: str, tmp_path: Path
) -> None:
    """Beside the one that runs, with the same settings but a port and a name of its own."""
    text = Path(f"/proc/{running.children()[name].pid}/environ").read_bytes().decode()
    settings = dict(pair.split("=", 1) for pair in text.split("\0") if pair.startswith("SUPPLY_WATCH_"))
    port, prefix = _ports(running).of(name) + 1, f"SUPPLY_WATCH_{name.upper()}_"
    own = {f"{prefix}HTTP_PORT": str(port), f"{prefix}INSTANCE": f"{name}-by-itself"}
    (tmp_path / "services").mkdir()  # what lies where somebody starts it is not taken for ours
    (tmp_path / "services" / "__init__.py").write_text("raise SystemExit('another package')")
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [programs / "supply-watch", name],
            cwd=tmp_path,
            env=os.environ | settings | own,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        ended = lambda: process.poll() is not None  # noqa: E731
        ready = wait_for_200(f"http://{HOST}:{port}/health/ready", READY_SECONDS, ended)
        assert ready, (tmp_path / "log").read_text("utf-8", "replace")[-3000:]
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == 0
    finally:
        process.kill()
        process.wait()


def test_the_source_distribution_builds_the_same_package(tmp_path: Path) -> None:
    need_release_tools()
    wheel = build.package(tmp_path / "first")
    (sources,) = (tmp_path / "first").glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", sources, "-C", tmp_path], check=True)
    (unpacked,) = (folder for folder in tmp_path.glob("supply_watch-*") if folder.is_dir())
    command = [str(build.TOOLS / "python"), "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "second")]
    moment = {"SOURCE_DATE_EPOCH": build.commit_time()}
    subprocess.run(command, check=True, cwd=unpacked, env=os.environ | moment, capture_output=True)
    (again,) = (tmp_path / "second").glob("*.whl")
    assert again.read_bytes() == wheel.read_bytes()
