"""Numbers that are none, too large, too exact, or of another kind than packs are."""

from __future__ import annotations

from typing import Final

from tests.corpus.hostile import Classes, Given, structured, with_raw

# name, what, the quantity as it is written, status, code
_QUANTITIES: Final = (
    ("nan", "not a number", "NaN", 400, "json"),
    ("infinity", "infinity", "-Infinity", 400, "json"),
    ("leading_zero", "a leading zero, octal to some", "007", 400, "json"),
    ("hexadecimal", "a hexadecimal number", "0x10", 400, "json"),
    ("plus_sign", "a plus sign", "+5", 400, "json"),
    ("bare_point", "a number that begins with its point", ".5", 400, "json"),
    ("beyond_a_double", "1e400, infinity to most parsers", "1e400", 400, "number"),
    ("41_digits", "one digit more than any number has", "1" * 41, 400, "number"),
    ("a_million_digits", "digits that take a second to convert", "9" * 900_000, 400, "number"),
    ("minus_zero", "-0, which is 0", "-0", 422, "range"),
    ("minus_zero_float", "-0.0, equal to 0 and written otherwise", "-0.0", 422, "type"),
    ("negative", "packs below nothing", "-1", 422, "range"),
    ("beyond_64_bits", "2^64, 0 where integers wrap around", str(2**64), 422, "range"),
    ("beyond_the_limit", "one pack more than 10^12", str(10**12 + 1), 422, "range"),
    ("float", "whole packs as 5.0", "5.0", 422, "type"),
    ("exponent", "whole packs as 5e0", "5e0", 422, "type"),
    ("underflow", "a number so small that it is 0", "1e-400", 422, "type"),
    ("quoted", "packs as a text", '"5"', 422, "type"),
    ("true", "true, which is 1 in Python", "true", 422, "type"),
    ("null", "null", "null", 422, "type"),
    ("list", "a list with one number", "[5]", 422, "type"),
)


def classes(given: Given) -> Classes:
    for name, what, quantity, status, code in _QUANTITIES:
        name = f"quantity_{name}"
        yield structured(name, what, with_raw(given.event(name), "quantity", quantity), status, code)
