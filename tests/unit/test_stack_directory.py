"""RUN_DIR: one stack at a time, nobody else's files, secrets for their owner alone."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import records
from deploy.local.faults import CannotStart
from deploy.local.firms import firms_of
from deploy.local.ports import OFFSETS, Ports, parse_port_base
from deploy.local.rundir import RunDir, write_private
from shared.events.fields import gln as checked_gln

SLEEPER = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]


def test_a_fresh_or_empty_directory_becomes_ours(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "new" / "run")
    run_dir.claim()
    run_dir.release()
    run_dir.claim()


def test_two_stacks_cannot_have_one_directory(tmp_path: Path) -> None:
    first = RunDir(tmp_path)
    first.claim()
    with pytest.raises(CannotStart, match="in use by another stack"):
        RunDir(tmp_path).claim()
    first.release()
    RunDir(tmp_path).claim()


def test_a_directory_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(CannotStart, match="not a Supply Watch directory"):
        RunDir(tmp_path).claim()


def test_passwords_are_random_private_and_the_same_at_every_run(tmp_path: Path) -> None:
    first = RunDir(tmp_path).passwords(["a", "b"])
    assert first["a"] != first["b"]
    assert RunDir(tmp_path).passwords(["a", "b", "c"]).items() >= first.items()
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_a_damaged_file_is_named_instead_of_trusted(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text('{"a": "x')
    with pytest.raises(CannotStart, match=r"secrets\.json is damaged"):
        RunDir(tmp_path).passwords(["a"])


def test_a_leftover_is_ended_and_a_stranger_with_its_pid_is_not(tmp_path: Path) -> None:
    children = [subprocess.Popen(SLEEPER, stdout=subprocess.PIPE) for _ in range(2)]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    leftover, stranger = (records.record_of(child.pid, signal.SIGTERM) for child in children)
    assert leftover is not None
    assert stranger is not None
    former = records.Record(stranger.pid, stranger.started_ticks - 1, stranger.boot, signal.SIGTERM)
    file = tmp_path / "children.json"
    try:
        records.save(file, {"kafka": leftover, "supply": former})
        assert records.end_leftovers(file) == ["kafka"]
        assert children[0].wait(5) == -signal.SIGTERM
        assert children[1].poll() is None
        assert not file.exists()
    finally:
        for child in children:
            child.kill()
            child.communicate()


def test_no_record_is_no_leftover(tmp_path: Path) -> None:
    assert records.end_leftovers(tmp_path / "children.json") == []


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    write_private(file, {"a": 1})
    write_private(file, {"a": 2})
    assert [found.name for found in tmp_path.iterdir()] == ["x.json"]


def test_no_two_parts_share_a_port() -> None:
    ports = Ports(8000)
    assert len({ports.of(name) for name in OFFSETS}) == len(OFFSETS)
    assert [ports.of(name) for name in ("ingest", "supply", "alerts")] == [8010, 8020, 8030]


@pytest.mark.parametrize("base", ["65500", "-20", "900", "eight"])
def test_a_port_base_without_room_is_refused(base: str) -> None:
    with pytest.raises(CannotStart, match="PORT_BASE"):
        Ports(parse_port_base(base))


@pytest.mark.parametrize("scenario", ["none", "vietnam"])
def test_every_gln_of_a_firm_is_valid_and_belongs_to_it_alone(scenario: str) -> None:
    glns = [gln for firm in firms_of(scenario) for gln in firm.gln]
    assert len(set(glns)) == len(glns)
    assert all(gln.startswith("952") and checked_gln(gln) == gln for gln in glns)


def test_a_scenario_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CannotStart, match="none, vietnam"):
        firms_of("mars")
