"""What CloudEvents forbids, headers that no one reads alike, and content types that are not ours."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Final

from shared.events.cloudevent import BATCH, BINARY, STRUCTURED
from tests.corpus.compressed import zeros_in_gzip
from tests.corpus.hostile import (
    GTIN,
    JSON,
    Classes,
    Given,
    Record,
    attributes_of,
    binary,
    event,
    over_http,
    over_kafka,
    structured,
    text_of,
)

ID_CHARACTERS: Final = 512

# name, what, the attributes that change (None takes one away), status, code
_ATTRIBUTES: Final[tuple[tuple[str, str, JSON, int, str], ...]] = (
    ("no_specversion", "no version", {"specversion": None}, 400, "no_cloudevent"),
    ("old_specversion", "a version before 1.0", {"specversion": "0.3"}, 400, "no_cloudevent"),
    ("number_specversion", "the version as a number", {"specversion": 1.0}, 400, "no_cloudevent"),
    ("no_id", "no id", {"id": None}, 400, "no_cloudevent"),
    ("empty_id", "an empty id", {"id": ""}, 400, "no_cloudevent"),
    ("number_id", "a number as id", {"id": 7}, 400, "no_cloudevent"),
    ("long_id", "an id of 513 characters", {"id": "x" * (ID_CHARACTERS + 1)}, 422, "length"),
    ("no_source", "no source", {"source": None}, 400, "no_cloudevent"),
    ("relative_source", "a source that is no URI of ours", {"source": "/plants/1"}, 422, "pattern"),
    ("capital_source", "a source in capitals", {"source": "URN:GLN:9521000000018"}, 422, "pattern"),
    ("wrong_source", "a source with a wrong check digit", {"source": "urn:gln:9521000000011"}, 422, "check_digit"),
    ("no_type", "no type", {"type": None}, 400, "no_cloudevent"),
    ("unknown_type", "a type that nobody knows", {"type": "supply.batch.eaten.v1"}, 422, "unknown_type"),
    ("later_type", "a version of a type to come", {"type": "supply.batch.released.v2"}, 422, "unknown_type"),
    ("path_type", "a type that climbs out of a folder", {"type": "supply/../../etc/passwd"}, 422, "unknown_type"),
    ("no_time", "no time", {"time": None}, 422, "missing"),
    ("local_time", "a time without offset", {"time": "2026-03-12T09:30:00"}, 422, "time"),
    ("day_as_time", "a day where a time must be", {"time": "2026-03-12"}, 422, "time"),
    ("unix_time", "seconds since 1970", {"time": 1_773_000_000}, 422, "time"),
    ("leap_second", "a second that was not", {"time": "2026-03-12T09:30:60Z"}, 422, "time"),
    ("no_such_moment", "the 30th of February", {"time": "2026-02-30T09:30:00Z"}, 422, "time"),
    ("wild_offset", "an offset of 99 hours", {"time": "2026-03-12T09:30:00+99:00"}, 422, "time"),
    ("before_all_time", "the year 1, with an offset that leads out of it", {"time": "0001-01-01T00:00:00+14:00"},
     422, "time"),
    ("far_past", "the year 1066", {"time": "1066-10-14T09:00:00Z"}, 422, "range"),
    ("future", "a time to come", {"time": "2150-01-01T00:00:00Z"}, 422, "future_time"),
    ("no_data", "no data", {"data": None}, 422, "type"),
    ("text_data", "data as a text", {"data": "{}"}, 422, "type"),
    ("list_data", "data as a list", {"data": []}, 422, "type"),
    ("xml_data", "data that says it is XML", {"datacontenttype": "text/xml"}, 422, "choice"),
    ("no_base64", "data_base64 that is not base64", {"data": None, "data_base64": "%"}, 422, "base64"),
    ("data_twice", "data and data_base64", {"data_base64": "e30="}, 422, "one_of"),
)  # fmt: skip
_CAPITALS: Final = ("Specversion", "ID", "Source", "Type", "Time")


def classes(given: Given) -> Classes:
    for name, what, changes, status, code in _ATTRIBUTES:
        told = {**given.event(name), **changes}
        yield event(name, what, {key: value for key, value in told.items() if value is not None}, status, code)
    capitals = {name: "x" for name in _CAPITALS}
    yield event("capital_attributes", "attributes in capitals, which are others", capitals, 400, "no_cloudevent")
    yield from _encoded(given)
    yield from _headers(given)
    yield from _kafka_headers(given)
    yield from _content_types(given)


def _encoded(given: Given) -> Classes:
    def encoded(name: str, data: bytes) -> JSON:
        told = given.event(name)
        return {key: value for key, value in told.items() if key != "data"} | {
            "data_base64": base64.b64encode(data).decode()
        }

    for name, what, data, code in (
        ("base64_noise", "base64 of random bytes", b"\xff" + given.random.randbytes(64), "encoding"),
        ("base64_gzip", "base64 of a bomb: 16 MiB in some KB", zeros_in_gzip(16 * 2**20), "encoding"),
        ("base64_text", "base64 of what is no JSON", b"hello", "json"),
        ("base64_deep", "base64 of JSON that is too deep", b"[" * 100 + b"]" * 100, "depth"),
        ("base64_twice", "base64 of JSON with a key twice", b'{"a": 1, "a": 2}', "duplicate_key"),
    ):
        yield event(name, what, encoded(name, data), 422, code)


def _headers(given: Given) -> Classes:
    plain = given.event("binary")
    for name, what, changed, status, codes in (
        ("header_bytes", "an id that is no UTF-8", {"id": b"\xff\xfe"}, 400, ("encoding",)),
        ("empty_header", "an empty id", {"id": b""}, 400, ("no_cloudevent",)),
        ("long_header", "an id of 4,000 characters", {"id": b"x" * 4_000}, 422, ("length",)),
        ("unknown_extension", "an extension attribute: legal, and not kept", {"traceparent": b"00-a-b-01"}, 202, ()),
    ):
        told = {**plain, "id": f"{given.run}/{name}"}
        yield binary(name, what, told, status, *codes, changed=changed)
    twice = {**plain, "id": f"{given.run}/header_twice"}
    foreign = [("source", given.foreign_source.encode())]
    yield binary("header_twice", "two sources, of which one is another's", twice, 400, "duplicate_header", more=foreign)
    for name, what, id, status, codes in (
        ("percent_nul", "a NUL in percent-encoding", b"a%00b", 422, ("control_character",)),
        ("percent_bytes", "percent-encoding of what is no UTF-8", b"%ff", 400, ("encoding",)),
    ):
        changed = {**attributes_of(plain), "id": id}
        headers = [(b"content-type", BINARY.encode()), *((f"ce-{key}".encode(), text) for key, text in changed.items())]
        yield over_http(name, what, headers, text_of(plain["data"]), status, *codes)
    both = given.event("both_modes")
    headers = [(b"content-type", STRUCTURED.encode()), (b"ce-source", given.foreign_source.encode())]
    yield over_http("both_modes", "attributes beside a structured event, which counts", headers, text_of(both), 202)


def _kafka_headers(given: Given) -> Classes:
    def record(name: str, key: bytes | None, *more: tuple[bytes, bytes | None]) -> Record:
        content_type = (b"content-type", STRUCTURED.encode())
        return Record(key, text_of(given.event(name)), (content_type, *more))

    plain = given.event("null_header")
    attributes = ((f"ce_{name}".encode(), value) for name, value in attributes_of(plain).items() if name != "id")
    null = Record(GTIN.encode(), text_of(plain["data"]), (*attributes, (b"ce_id", None)))
    gtin = GTIN.encode()
    yield over_kafka("null_header", "an id without value", null, "no_cloudevent")
    for name, what, found, code in (
        ("header_name_bytes", "the name of a header is no UTF-8", record("a", gtin, (b"\xff\xfe", b"x")), "encoding"),
        ("header_value_bytes", "a header is no UTF-8", record("b", gtin, (b"trace", b"\xff\xfe")), "encoding"),
        ("header_no_name", "a header without name: odd, and legal", record("c", gtin, (b"", b"x")), None),
        ("huge_header", "a header of 100 KB", record("d", gtin, (b"trace", b"x" * 100_000)), "size"),
        ("many_headers", "20,000 headers", record("e", gtin, *[(b"trace", b"x")] * 20_000), "size"),
        ("no_key", "no key: any is legal", record("f", None), None),
        ("key_bytes", "a key that is no UTF-8: any is legal", record("g", b"\xff\x00\xfe"), None),
        ("foreign_key", "the key of another product: what the event says counts", record("h", b"95200000"), None),
        ("huge_key", "a key of 100 KB", record("i", b"x" * 100_000), "size"),
    ):
        yield over_kafka(name, what, found, code)


def _content_types(given: Given) -> Classes:
    for name, what, content_type in (
        ("type_xml", "XML by its content type", b"text/xml"),
        ("type_avro", "Avro by its content type", b"application/cloudevents+avro"),
        ("type_protobuf", "Protobuf by its content type", b"application/protobuf"),
        ("type_form", "a form by its content type", b"application/x-www-form-urlencoded"),
        ("type_list", "two content types in one", b"application/cloudevents+json, text/xml"),
        ("type_noise", "a content type that is none", b";;;=\xff"),
    ):
        content = text_of(given.event(name))
        code = "encoding" if name == "type_noise" else "media_type"
        found = structured(name, what, content, 415, "media_type", content_type=content_type)
        yield replace(found, rejection=code)
    content = text_of(given.event("charset"))
    lie = STRUCTURED.encode() + b"; charset=utf-16"
    yield structured("charset", "another charset by its name, UTF-8 in truth: legal", content, 202, content_type=lie)
    batch = Record(GTIN.encode(), b"[]", ((b"content-type", BATCH.encode()),))
    yield over_kafka("batch_record", "a batch in one record", batch, "media_type")
    yield over_http("no_type_at_all", "no content type", [], text_of(given.event("no_type")), 415, "media_type")
