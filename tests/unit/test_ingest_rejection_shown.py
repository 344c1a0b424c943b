"""What a person is shown of a refused record: text, or its bytes, and never more than fits a page."""

from __future__ import annotations

import pytest

from services.ingest.inbound import Header
from services.ingest.rejection import pack_headers
from services.ingest.rejection_shown import SHOWN_BYTES, SHOWN_HEADERS, Part, part, sent
from services.ingest.tables import Rejection


def test_what_can_be_printed_is_shown_as_it_is() -> None:
    assert part("Thuốc\n<b>".encode()) == Part(11, "Thuốc\n<b>")


@pytest.mark.parametrize("raw", [b"\xff", "a\u202eb".encode(), b"a\x00", b"\x1b[31m", "\ufeff{}".encode()])
def test_what_a_reader_would_not_see_is_shown_byte_by_byte(raw: bytes) -> None:
    shown = part(raw)
    assert (shown.size, shown.text) == (len(raw), None)
    assert shown.dump is not None
    assert shown.dump.startswith("000000  " + raw.hex(" "))
    assert shown.dump.isascii()


def test_bytes_stand_sixteen_a_line_with_their_place_and_their_letters() -> None:
    assert part(bytes(range(0x38, 0x49)) + b"\x00").dump == (
        "000000  38 39 3a 3b 3c 3d 3e 3f 40 41 42 43 44 45 46 47  89:;<=>?@ABCDEFG\n"
        "000010  48 00                                            H."
    )


def test_nothing_and_emptiness_are_not_the_same() -> None:
    assert (part(None), part(b"")) == (Part(None), Part(0, ""))


@pytest.mark.parametrize("raw", [b"x", "ế".encode(), b"\xff"])
def test_of_what_is_large_the_beginning_is_shown_and_how_much_is_not(raw: bytes) -> None:
    shown = part(raw * SHOWN_BYTES)
    assert shown.left_out == len(raw) * SHOWN_BYTES - SHOWN_BYTES
    assert len(shown.text or shown.dump or "") <= 5 * SHOWN_BYTES


def test_of_many_headers_the_first_are_shown() -> None:
    headers: list[Header] = [(f"h{number}", None) for number in range(SHOWN_HEADERS + 5)]
    shown = sent(Rejection(kind="rejected", producer="p", code="c", detail="d", raw_headers=pack_headers(headers)))
    assert (len(shown.headers), shown.more_headers) == (SHOWN_HEADERS, 5)
    assert shown.headers[0] == (Part(2, "h0"), Part(None))
