"""Writes tables part by part as CSV or Parquet, so that memory does not grow with the table. Pure but for pyarrow.

Figures stay exact: packs are integers, values decimals (in CSV their digits), never floats. An absent value is an empty
field of a CSV and a null of Parquet.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, Protocol

import msgspec

from services.supply.figures import text as plain

Row = Sequence[Any]
Kind = Literal["text", "integer", "day", "decimal"]
Form = Literal["csv", "parquet"]
# Wide enough for every figure: 26 digits before the point, and the 12 after it to which figures are rounded.
DECIMAL_DIGITS, DECIMAL_PLACES = 38, 12
MEDIA_TYPES: Final[dict[Form, str]] = {
    "csv": "text/csv; charset=utf-8; header=present",
    "parquet": "application/vnd.apache.parquet",
}


class Column(msgspec.Struct, frozen=True):
    name: str
    kind: Kind = "text"


class File(Protocol):
    """What is written of a file: `begin`, the `rows` of any number of parts, `end`. Each gives the bytes to send."""

    def begin(self) -> bytes: ...

    def rows(self, part: Sequence[Row]) -> bytes: ...

    def end(self) -> bytes: ...


class CsvFile:
    """RFC 4180 with a header row, in UTF-8. What the answer rests on stands in the response's headers alone."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns

    def begin(self) -> bytes:
        return self.rows([[column.name for column in self._columns]])

    def rows(self, part: Sequence[Row]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text).writerows([_digits(value) for value in row] for row in part)
        return text.getvalue().encode()

    def end(self) -> bytes:
        return b""


def _digits(value: Any) -> Any:
    """A decimal as the answers in JSON show it."""
    return plain(value) if isinstance(value, Decimal) else value


class ParquetFile:
    """A row group a part; `about` (checkpoint, known, …) is in the schema's metadata."""

    def __init__(self, columns: Sequence[Column], about: Mapping[str, str]) -> None:
        # Here and not above: it takes memory that a service which exports nothing does without.
        import pyarrow
        from pyarrow import parquet

        types = {
            "text": pyarrow.string(),
            "integer": pyarrow.int64(),
            "day": pyarrow.date32(),
            "decimal": pyarrow.decimal128(DECIMAL_DIGITS, DECIMAL_PLACES),
        }
        self._batch = pyarrow.RecordBatch
        self._schema = pyarrow.schema([(column.name, types[column.kind]) for column in columns], metadata=dict(about))
        self._sink = _Sink()
        self._writer = parquet.ParquetWriter(self._sink, self._schema)

    def begin(self) -> bytes:
        return self._sink.taken()

    def rows(self, part: Sequence[Row]) -> bytes:
        columns = {name: list(values) for name, values in zip(self._schema.names, zip(*part, strict=True), strict=True)}
        self._writer.write_batch(self._batch.from_pydict(columns, schema=self._schema))
        return self._sink.taken()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.taken()


class _Sink(io.RawIOBase):
    """Keeps what was written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        self._parts.append(bytes(part))
        return len(self._parts[-1])

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def file_of(form: Form, columns: Sequence[Column], about: Mapping[str, str]) -> File:
    return CsvFile(columns) if form == "csv" else ParquetFile(columns, about)
