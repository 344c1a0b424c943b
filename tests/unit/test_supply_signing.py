"""Checkpoints outside: what is signed, what is noticed of those that are kept, and how their files survive a crash."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec.structs import replace

from services.supply.checkpoint_files import CheckpointFiles, Unusable, files_in, read_file
from services.supply.evidence_signed import signed_heads
from services.supply.findings import Findings, Head
from services.supply.signing import BadKey, Signed, SignedPlace, Signer, public_keys, read_signed

SIGNER = Signer.fresh()
KEYS = public_keys([SIGNER.public_pem()])
START = datetime(2026, 11, 24, 23, 59, 58, tzinfo=UTC)


def signed(count: int, signer: Signer = SIGNER, before: Signed | None = None) -> list[Signed]:
    """The next checkpoints after `before`, one a second."""
    found: list[Signed] = []
    first = 1 if before is None else before.n + 1
    for n in range(first, first + count):
        place = SignedPlace("supply.movements.v1", 2, 10 * n, f"{n:064x}")
        previous = None if before is None else before.digest
        before = signer.sign(n, START + timedelta(seconds=n), [place], previous)
        found.append(before)
    return found


def heads(told: Sequence[Signed], keys: Any = KEYS) -> tuple[list[Head], list[tuple[str, str]]]:
    """What they say, and (kind, place) of what was found."""
    found = Findings()
    said = list(signed_heads([(f"line {number}", item) for number, item in enumerate(told, 1)], keys, found))
    return said, [(item.kind, item.place) for item in found.kept]


def test_the_signed_bytes_are_sorted_json_that_anybody_can_make_again() -> None:
    (one,) = signed(1)
    line = json.loads(one.line())
    signature = base64.b64decode(line.pop("signature"))
    again = json.dumps(line, sort_keys=True, separators=(",", ":")).encode()
    key = load_pem_public_key(SIGNER.public_pem())
    assert isinstance(key, Ed25519PublicKey)
    key.verify(signature, again)
    assert again == (
        b'{"at":"2026-11-24T23:59:59.000000Z","key":"%b","n":1,"places":[{"chain":"%064x","next_offset":10,'
        b'"partition":2,"topic":"supply.movements.v1"}],"previous":null,"type":"supply.checkpoint.v1"}'
        % (SIGNER.key_id.encode(), 1)
    )


def test_a_moment_is_signed_in_utc_whatever_its_offset() -> None:
    local = START.astimezone(timezone(timedelta(hours=7)))
    assert SIGNER.sign(1, local, [], None) == SIGNER.sign(1, START, [], None)


def test_whole_checkpoints_say_where_the_partitions_stood() -> None:
    told = signed(3)
    assert heads(told) == ([Head(1, 2, 10 * n, n.to_bytes(32, "big"), n) for n in (1, 2, 3)], [])


def test_order_and_repetition_are_nothing_to_find() -> None:
    told = signed(4)
    assert heads([*told[2:], *told, told[1]])[1] == []


def test_they_may_begin_later_than_the_ledger() -> None:
    assert heads(signed(5)[2:])[1] == []


def test_one_that_is_left_out_is_missing() -> None:
    one, _, three = signed(3)
    assert heads([one, three])[1] == [("missing", "checkpoint 3 (line 2)")]


@pytest.mark.parametrize(
    "changed",
    [
        {"n": 4},
        {"at": "2026-11-24T00:00:00.000000Z"},
        {"places": (SignedPlace("supply.movements.v1", 2, 20, "00" * 32),)},
        {"previous": None},
        {"signature": base64.b64encode(bytes(64)).decode()},
        {"signature": "?"},
    ],
)
def test_a_changed_one_does_not_bear_its_signature_and_says_nothing(changed: dict[str, Any]) -> None:
    one, two, three = signed(3)
    said, found = heads([one, replace(two, **changed), three])
    assert found[0][0] == "bad_signature"
    assert {head.n for head in said} == {1, 3}


def test_another_key_is_nobodys_and_after_a_rotation_both_are_known() -> None:
    successor = Signer.fresh()
    old = signed(2)
    told = [*old, *signed(2, successor, old[-1])]
    assert [kind for kind, _ in heads(told)[1]] == ["bad_signature", "bad_signature"]
    assert heads(told, public_keys([SIGNER.public_pem(), successor.public_pem()]))[1] == []


def test_two_with_one_number_are_a_mismatch() -> None:
    one, two = signed(2)
    other = SIGNER.sign(2, START, [], one.digest)
    assert heads([one, two, other])[1] == [("checkpoint_mismatch", "checkpoint 2 (line 3)")]


def test_one_about_a_topic_that_the_ledger_has_not_is_a_mismatch() -> None:
    odd = SIGNER.sign(1, START, [SignedPlace("supply.other.v1", 0, 1, "00" * 32)], None)
    assert heads([odd]) == ([], [("checkpoint_mismatch", "checkpoint 1 (line 1)")])


@pytest.mark.parametrize("pem", [b"", b"no key", SIGNER.public_pem()])
def test_what_is_no_private_key_is_refused(pem: bytes) -> None:
    with pytest.raises(BadKey):
        Signer.from_pem(pem)
    assert Signer.from_pem(SIGNER.private_pem()).key_id == SIGNER.key_id


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"\xff", b'{"n":1}'])
def test_what_is_no_checkpoint_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="no signed checkpoint"):
        read_signed(line)
    with pytest.raises(ValueError, match="nobody here can read"):
        read_signed(replace(signed(1)[0], type="supply.checkpoint.v2").line())


def test_files_hold_a_day_each_and_go_on_after_a_torn_line(tmp_path: Path) -> None:
    told = signed(5)
    files = CheckpointFiles(tmp_path / "kept")
    assert files.newest() is None
    files.append(told[:3])
    first, second = files_in(files.folder)
    assert (first.name, second.name) == ("checkpoints-2026-11-24.jsonl", "checkpoints-2026-11-25.jsonl")
    with open(second, "ab") as torn:
        torn.write(told[3].line()[:50])
    assert [item for _, item in read_file(second)] == told[1:3]
    again = CheckpointFiles(files.folder)
    assert again.newest() == told[2]
    again.append(told[3:])
    assert [item for path in files_in(files.folder) for _, item in read_file(path)] == told


def test_a_file_of_which_nothing_whole_was_written_counts_as_none(tmp_path: Path) -> None:
    files = CheckpointFiles(tmp_path)
    files.append(signed(1)[:1])
    (tmp_path / "checkpoints-2026-11-30.jsonl").write_bytes(b'{"n"')
    assert files.newest() == signed(1)[0]


def test_a_file_with_something_else_in_it_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints-2026-11-30.jsonl"
    path.write_bytes(signed(1)[0].line() + b"\n{}\n")
    with pytest.raises(Unusable, match=r"checkpoints-2026-11-30.jsonl, line 2: no signed checkpoint"):
        list(read_file(path))
    with pytest.raises(Unusable, match="No such file"):
        list(read_file(tmp_path / "none"))
