"""Data that its type does not allow, beyond its numbers and its texts."""

from __future__ import annotations

from typing import Any, Final

from tests.corpus.hostile import GTIN, Classes, Given, event

# name, what, type, the fields that change (None takes one away), code
_DATA: Final[tuple[tuple[str, str, str, dict[str, Any], str], ...]] = (
    ("unknown_field", "a field that nobody knows", "batch.released", {"colour": "blue"}, "unknown_field"),
    ("prototype", "a field that poisons JavaScript", "batch.released", {"__proto__": {"admin": True}}, "unknown_field"),
    ("braces", "a field that looks like a template", "batch.released", {"{detail}": 1}, "unknown_field"),
    ("missing_field", "no lot", "batch.released", {"lot": None}, "missing"),
    ("wrong_check_digit", "a GTIN with a wrong check digit", "batch.released",
     {"gtin": GTIN[:-1] + str((int(GTIN[-1]) + 1) % 10)}, "check_digit"),
    ("number_gtin", "a GTIN as a number", "batch.released", {"gtin": int(GTIN)}, "type"),
    ("short_gtin", "a GTIN of 11 digits", "batch.released", {"gtin": "9" * 11}, "pattern"),
    ("long_lot", "a lot of 21 characters", "batch.released", {"lot": "A" * 21}, "pattern"),
    ("spaced_lot", "a lot with a space", "batch.released", {"lot": "A 1"}, "pattern"),
    ("empty_lot", "an empty lot", "batch.released", {"lot": ""}, "pattern"),
    ("no_such_day", "the 29th of February in a common year", "batch.released", {"released_on": "2026-02-29"}, "date"),
    ("day_with_time", "a day with a time", "batch.released", {"released_on": "2026-03-12T00:00:00Z"}, "date"),
    ("day_before_all", "a day of 1899", "batch.released", {"released_on": "1899-12-31"}, "range"),
    ("backwards", "expired before it was made", "batch.produced",
     {"produced_on": "2026-03-12", "expires_on": "2026-03-11"}, "order"),
    ("unknown_country", "a country that is none", "export.shipped", {"destination": "XX"}, "country"),
    ("small_country", "a country in small letters", "export.shipped", {"destination": "fr"}, "country"),
    ("unknown_choice", "a place that packs cannot come from", "batch.destroyed", {"from": "thin air"}, "choice"),
    ("no_change", "an adjustment by nothing", "stock.adjusted", {"delta": 0}, "range"),
    ("empty_reason", "an empty text", "batch.rejected", {"reason": ""}, "length"),
    ("long_reason", "a text of 1,001 characters", "batch.rejected", {"reason": "x" * 1_001}, "length"),
    ("bad_input", "an input without lot", "batch.produced", {"inputs": [{"gtin": GTIN, "quantity": 1}]}, "missing"),
    ("inputs_object", "an object where a list must be", "batch.produced", {"inputs": {"0": {}}}, "type"),
)  # fmt: skip


def classes(given: Given) -> Classes:
    for name, what, type_, changes, code in _DATA:
        told = given.event(name, type_, **changes)
        yield event(name, what, told, 422, code)
