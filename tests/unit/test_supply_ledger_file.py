"""Exports of the journal: what is read is what was written, and what is not whole is never taken for a journal."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from services.supply.checkpoint_files import Unusable
from services.supply.findings import Row
from services.supply.ledger_file import ExportHead, read_export, write_export
from tests.supply_given import event
from tests.unit.supply_journal import ends_of, journal
from tests.unit.supply_ledger import at_once

ROWS = journal([event("batch.produced", "1", inputs=[{"gtin": "09520000000028", "lot": "é", "quantity": 2}])] * 3)
HEAD = ExportHead("2026-11-24T00:00:00+00:00", tuple(ends_of(ROWS)))


async def told() -> AsyncIterator[Row]:
    for row in ROWS:
        yield row


@pytest.mark.parametrize("name", ["export.jsonl", "export.jsonl.gz"])
def test_what_is_read_is_what_was_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert at_once(write_export(path, HEAD, told())) == len(ROWS)
    head, rows = read_export(path)
    assert (head, list(rows)) == (HEAD, ROWS)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes().startswith(b"\x1f\x8b" if name.endswith("gz") else b'{"at"')


def test_an_export_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    path.write_text("earlier")

    async def broken() -> AsyncIterator[Row]:
        yield ROWS[0]
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        at_once(write_export(path, HEAD, broken()))
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda lines: lines[:-1], "not whole"),
        (
            lambda lines: [*lines[:2], *lines[3:]],
            r"line \d+: \d+ rows before the last line",
        ),
        (lambda lines: [*lines, lines[1]], "rows before the last line"),
        (lambda lines: [lines[0], b"[1,2]\n", *lines[1:]], "line 2: .*length"),
        (lambda lines: [b'{"type":"other"}\n', *lines[1:]], "line 1"),
        (lambda lines: [lines[0].replace(b"export.v1", b"export.v9"), *lines[1:]], "line 1: an export of another"),
        (lambda lines: [], "line 1"),
    ],
)
def test_what_is_not_whole_is_refused_with_the_line(
    tmp_path: Path, damage: Callable[[list[bytes]], list[bytes]], reason: str
) -> None:
    path = tmp_path / "export.jsonl"
    at_once(write_export(path, HEAD, told()))
    path.write_bytes(b"".join(damage(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(Unusable, match=reason):
        list(read_export(path)[1])


def test_a_compressed_export_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl.gz"
    at_once(write_export(path, HEAD, told()))
    assert gzip.decompress(path.read_bytes())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Unusable):
        list(read_export(path)[1])
