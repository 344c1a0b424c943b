"""What GS1's headers may ask of the capture interface, and what it answers."""

from __future__ import annotations

import pytest

from services.ingest.capture import negotiation
from shared.errors import Problem

JSON, JSON_LD = "application/json", "application/ld+json"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"gs1-epcis-version": "2.0", "gs1-cbv-version": "2.0"},
        {"gs1-epcis-min": "1.2", "gs1-epcis-max": "2.0"},
        {"gs1-epcis-min": "2", "gs1-epcis-max": "2.1"},
        {"gs1-cbv-min": "1.0", "gs1-cbv-max": "10.0"},
    ],
)
def test_headers_that_admit_2_0_are_served(headers: dict[str, str]) -> None:
    negotiation.check_versions(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"gs1-epcis-version": "1.2"},
        {"gs1-epcis-version": "2.0.0"},
        {"gs1-epcis-version": ""},
        {"gs1-cbv-version": "1.2"},
        {"gs1-epcis-min": "2.1"},
        {"gs1-epcis-max": "1.9"},
        {"gs1-cbv-min": "two"},
        {"gs1-epcis-max": "9" * 5000},
    ],
)
def test_another_version_is_not_acceptable(headers: dict[str, str]) -> None:
    with pytest.raises(Problem) as refused:
        negotiation.check_versions(headers)
    assert refused.value.status == 406
    assert [fault.code for fault in refused.value.faults] == [negotiation.UNSUPPORTED]


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("text/html, application/json;q=0.5", JSON),
        ("application/*", JSON),
        ("application/ld+json", JSON_LD),
        ("Application/LD+JSON; charset=utf-8, application/json", JSON),
        ("text/html", None),
        ("application/xml", None),
        ("", None),
    ],
)
def test_the_answer_is_json_in_one_of_its_names(accept: str | None, answered: str | None) -> None:
    headers = {} if accept is None else {"accept": accept}
    if answered is not None:
        assert negotiation.answer_type(headers) == answered
        return
    with pytest.raises(Problem) as refused:
        negotiation.answer_type(headers)
    assert refused.value.status == 406


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content-type": "application/xml"}, "media_type"),
        ({"content-type": "application/cloudevents+json"}, "media_type"),
        ({}, "media_type"),
        ({"content-type": JSON, "content-encoding": "gzip"}, "content_encoding"),
    ],
)
def test_a_body_that_is_not_plain_json_is_refused(headers: dict[str, str], code: str) -> None:
    with pytest.raises(Problem) as refused:
        negotiation.check_body(headers)
    assert (refused.value.status, [fault.code for fault in refused.value.faults]) == (415, [code])


@pytest.mark.parametrize("kind", [JSON, JSON_LD, "Application/JSON; charset=utf-8"])
def test_json_is_taken_under_both_names(kind: str) -> None:
    negotiation.check_body({"content-type": kind})


def test_all_or_nothing_unless_asked_otherwise() -> None:
    assert negotiation.behaviour({}) == "rollback"
    assert negotiation.behaviour({"gs1-capture-error-behaviour": "proceed"}) == "proceed"
    with pytest.raises(Problem) as refused:
        negotiation.behaviour({"gs1-capture-error-behaviour": "hope"})
    assert refused.value.status == 400


def test_identifiers_are_not_translated() -> None:
    for kept in ({}, {"gs1-epc-format": "No_Preference"}, {"gs1-epc-format": "Never_Translates"}):
        negotiation.check_format(kept)
    with pytest.raises(Problem) as refused:
        negotiation.check_format({"gs1-epc-format": "Always_EPC_URN"})
    assert refused.value.status == 406
