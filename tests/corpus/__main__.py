"""`python -m tests.corpus` lists the classes; `python -m tests.corpus NAME` shows what one sends."""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console
from rich.table import Table

from shared.events.fields import check_digit
from tests.corpus.every import every, given
from tests.corpus.hostile import Answer, Hostile

SHOWN_BYTES: Final = 400


def main(wanted: list[str]) -> None:
    digits = ("952100000001", "952100000002")
    own, foreign = (text + check_digit(text) for text in digits)
    classes = every(given((own,), foreign, "shown"))
    if wanted:
        for found in classes:
            if found.name in wanted:
                _show(found)
        return
    table = Table("class", "what it is", "HTTP", "Kafka", box=None)
    count = 0
    for found in classes:
        count += 1
        kafka = "" if found.record is None else found.rejection or "accepted"
        table.add_row(found.name, found.what, _outcome(found.answer), kafka)
    console = Console(highlight=False, markup=False)
    console.print(table)
    console.print(f"{count} classes")


def _outcome(answer: Answer | None) -> str:
    return "" if answer is None else " ".join((str(answer.status), *sorted(answer.codes)))


def _show(found: Hostile) -> None:
    print(f"{found.name}: {found.what}")
    if found.request is not None:
        request = found.request
        print(f"HTTP: {_outcome(found.answer)}", request.method, request.target, *request.headers, sep="\n  ")
        print(f"  {len(request.body):,} bytes: {request.body[:SHOWN_BYTES]!r}")
    if found.record is not None:
        record = found.record
        print(f"Kafka: {found.rejection or 'accepted'}", f"key {(record.key or b'')[:SHOWN_BYTES]!r}", sep="\n  ")
        for name, content in record.headers[:10]:
            print(f"  {name!r}: {(content or b'')[:SHOWN_BYTES]!r}")
        value, packed = record.value or b"", record.compression or "no compression"
        print(f"  {len(value):,} bytes, {packed}: {value[:SHOWN_BYTES]!r}")


if __name__ == "__main__":
    main(sys.argv[1:])
