"""What a job tells of its errors, what is kept of an event, and how it is shown again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ingest.capture import entry, problems, verdict
from services.ingest.capture.entry import Entry
from services.ingest.capture.query_document import Shown, query_document
from services.ingest.capture.verdict import Decided
from services.ingest.epcis import capture, documents
from services.ingest.epcis.capture import Captured, SerialLot
from services.ingest.epcis.documents import Document
from services.ingest.epcis.occasion import Known, Sender
from services.ingest.epcis.outcome import Incomplete, NotApplicable
from shared.errors import FAULTS_TOLD, Problem
from tests.unit import epcis_reference as reference
from tests.unit.epcis_given import (
    DIRECTORY,
    DISTRIBUTOR,
    EVENT_ID,
    GS1,
    GTIN,
    MAKER,
    NOW,
    PRESENT,
    SW,
    document,
    made,
    objects,
    packs,
    serial,
    withdrawn,
)

RELEASED = objects("OBSERVE", "sw:releasing")
BAD = objects("OBSERVE", "teleporting", eventID="urn:x:bad")


def decided(value: Any, who: Sender = MAKER, **known: Any) -> tuple[Document, list[Captured]]:
    read = documents.read(json.loads(json.dumps(value)))
    return read, capture.captured(read, who, Known(**{"countries": DIRECTORY, **known}), PRESENT)


def kept(value: Any, **known: Any) -> list[Entry]:
    return entry.entries(decided(value, **known)[1])


def test_each_refused_event_is_one_problem_with_the_paths_of_its_faults() -> None:
    found = problems.job_errors(
        *decided(document(RELEASED, BAD, made(eventID="urn:x:late", eventTime="2027-01-01T00:00:00Z")))
    )
    assert [(one["type"], one["status"], one.get("instance")) for one in found] == [
        ("epcisException:ValidationException", 400, "urn:x:bad"),
        ("epcisException:ValidationException", 400, "urn:x:late"),
    ]
    [first, second] = [one["errors"] for one in found]
    assert [(fault["index"], fault["field"], fault["code"]) for fault in first] == [
        (1, "epcisBody.eventList[1].bizStep", "choice")
    ]
    assert [(fault["index"], fault["code"]) for fault in second] == [(2, "future_time")]
    assert found[0]["detail"].startswith("epcisBody.eventList[1].bizStep: ")


def test_what_the_sender_may_not_say_is_a_security_exception() -> None:
    [found] = problems.job_errors(*decided(document(RELEASED), DISTRIBUTOR))
    assert (found["type"], found["status"], found["instance"]) == ("epcisException:SecurityException", 403, EVENT_ID)
    assert [(fault["index"], fault["code"]) for fault in found["errors"]] == [(0, "role")]


def test_what_is_wrong_around_the_events_is_told_once() -> None:
    found = problems.job_errors(*decided(document(RELEASED, BAD, schemaVersion="two")))
    assert [[fault["field"] for fault in one["errors"]] for one in found] == [
        ["schemaVersion"],
        ["epcisBody.eventList[1].bizStep"],
    ]
    assert "instance" not in found[0]


def test_a_document_without_events_tells_what_is_wrong_with_it() -> None:
    [found] = problems.job_errors(*decided({"type": "EPCISDocument"}))
    assert {fault["code"] for fault in found["errors"]} == {"missing"}


def test_of_very_many_faults_the_first_are_told_and_the_rest_counted() -> None:
    found = problems.job_errors(*decided([{**BAD, "action": "?"}] * 80))
    assert sum(len(one["errors"]) for one in found) == FAULTS_TOLD + 1
    assert [fault["code"] for fault in found[-1]["errors"]] == ["more_faults"]
    assert "30 more" in found[-1]["detail"]


def test_a_good_document_has_no_errors() -> None:
    assert problems.job_errors(*decided(document(RELEASED))) == []


def test_a_problem_of_a_call_bears_gs1s_name_and_all_headers() -> None:
    told = problems.of(
        Problem(413, "Content Too Large", "too large", retry_after_seconds=1), {"GS1-EPCIS-Version": "2.0"}
    )
    assert told.body()["type"] == "epcisException:CaptureLimitExceededException"
    assert told.headers == {"Retry-After": "1", "GS1-EPCIS-Version": "2.0"}
    assert problems.of(Problem(503, "Unavailable", "away"), {}).body()["type"] == problems.IMPLEMENTATION


def test_refused_events_are_not_kept_and_the_same_event_is_kept_once() -> None:
    again = dict(reversed(RELEASED.items()))
    changed = {**RELEASED, "quantityList": [packs(7)]}
    found = kept(document(RELEASED, BAD, again, changed))
    assert [(one.id, one.index) for one in found] == [(EVENT_ID, 2), (EVENT_ID, 3)]
    assert found[0].key[0] == found[1].key[0] and found[0].key != found[1].key


def test_an_entry_says_whether_it_declares_an_error() -> None:
    assert [one.declared for one in kept(document(RELEASED, withdrawn(RELEASED)))] == [False, True]


def test_an_event_without_an_id_is_kept_by_its_hash() -> None:
    [found] = kept(document(objects("OBSERVE", "sw:releasing", eventID=None)))
    assert found.id.startswith("ni:///sha-256;")


def test_an_event_taken_out_of_its_document_means_the_same() -> None:
    """With the contexts and the master data that stood around it."""
    told = document(made(bizLocation={"id": "urn:epc:id:sgln:9521000.00301.0"}), RELEASED)
    read, found = decided({**told, "epcisHeader": {"epcisMasterData": {"vocabularyList": [_at_home()]}}})
    for one in entry.entries(found):
        again = entry.document_of(one.event, entry.frame(read))
        [decided_again] = capture.captured(again, MAKER, Known(DIRECTORY), PRESENT)
        assert decided_again.outcome == one.outcome and not isinstance(one.outcome, Incomplete)
        assert decided_again.id == one.id


def _at_home() -> dict[str, Any]:
    attributes = [{"id": "cbvmda:countryCode", "attribute": "VN"}]
    place = {"id": "urn:epc:id:sgln:9521000.00301.0", "attributes": attributes}
    return {"type": "urn:epcglobal:epcis:vtype:BusinessLocation", "vocabularyElementList": [place]}


def marked(lot: str, serials: list[str], time: str = "2026-11-20T09:30:00+07:00", **fields: Any) -> dict[str, Any]:
    told = {"quantityList": None, "epcList": serials, "ilmd": {"cbvmda:lotNumber": lot}}
    return made(eventTime=time, **{**told, **fields})


def test_of_each_serial_the_lot_told_last_is_kept() -> None:
    newer = marked("B2", [serial("1")], "2026-11-21T09:30:00+07:00", eventID="urn:x:2")
    found = kept(document(newer, marked("A1", [serial("1"), serial("2")])))
    lessons = entry.lessons(found, NOW)
    assert {(one.gtin, one.serial): one.lot for one in lessons} == {(GTIN, "1"): "B2", (GTIN, "2"): "A1"}


@pytest.mark.parametrize(
    "lesson",
    [
        SerialLot(GTIN, "x" * 21, "A1", NOW),
        SerialLot(GTIN, "1\0", "A1", NOW),
        SerialLot(GTIN, "1", "A" * 21, NOW),
        SerialLot(GTIN, "1", "A\n1", NOW),
        SerialLot(GTIN, "1", "A1", NOW + timedelta(seconds=1)),
    ],
)
def test_what_no_pack_can_bear_and_what_is_yet_to_come_is_not_kept(lesson: SerialLot) -> None:
    told = Entry((b"", b""), "urn:x:1", 0, "{}", False, NotApplicable("so"), (lesson,))
    assert entry.lessons([told], NOW) == []


def shown(value: dict[str, Any], *more: dict[str, Any]) -> dict[str, Any]:
    """The EPCISQueryDocument of every event in some documents."""
    rows = []
    for one in (value, *more):
        read, found = decided(one)
        rows += [Shown(event.id, event.event, entry.frame(read), NOW) for event in entry.entries(found)]
    answered: dict[str, Any] = json.loads(query_document(rows, datetime(2026, 11, 24, tzinfo=UTC)))
    return answered


def events_in(answered: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answered["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    return found


def test_an_event_is_shown_as_it_was_captured() -> None:
    answered = shown(document(RELEASED))
    assert answered["@context"] == [GS1, {"sw": SW}] and answered["type"] == "EPCISQueryDocument"
    assert events_in(answered) == [{**RELEASED, "recordTime": "2026-11-23T12:00:00Z"}]


def test_an_event_without_an_id_is_shown_with_its_hash() -> None:
    [found] = events_in(shown(document(objects("OBSERVE", "sw:releasing", eventID=None))))
    assert found["eventID"].startswith("ni:///sha-256;")


def test_events_of_other_contexts_bring_their_own() -> None:
    other = {**document(withdrawn({**RELEASED, "@context": {"x": "https://x.example/"}})), "@context": [GS1]}
    answered = shown(document(RELEASED), other)
    assert [event.get("@context") for event in events_in(answered)] == [None, [GS1, {"x": "https://x.example/"}]]
    assert documents.read(answered).all_faults() == []


@pytest.mark.skipif(not reference.is_there(), reason=reference.MISSING)
def test_what_is_shown_of_gs1s_own_examples_is_valid() -> None:
    for name, example in reference.examples().items():
        answered = shown(example)
        assert documents.read(answered).all_faults() == [], name
        assert len(events_in(answered)) == len(documents.read(example).events)


def test_a_refused_event_refuses_all_unless_the_sender_asked_to_proceed() -> None:
    read, found = decided(document(RELEASED, BAD))
    said = Decided(read, found, entry.entries(found))
    for behaviour, counted, number in (("rollback", {"refused": 2}, 0), ("proceed", {"mapped": 1, "refused": 1}, 1)):
        told, entries = verdict.verdict(said, behaviour)
        assert (told.state, len(told.errors), len(entries)) == ("errors", 1, number)
        assert {name: count for name, count in told.counts.items() if count} == counted


def test_a_good_document_is_kept_whole_either_way() -> None:
    read, found = decided(document(RELEASED, objects("OBSERVE", "storing", eventID="urn:x:2"), made(ilmd=None)))
    for behaviour in ("rollback", "proceed"):
        told, entries = verdict.verdict(Decided(read, found, entry.entries(found)), behaviour)
        assert (told.state, len(entries)) == ("success", 3)
        assert told.counts == {"mapped": 1, "incomplete": 1, "not_applicable": 1, "refused": 0}


def test_a_document_that_we_fail_at_is_an_error_of_ours() -> None:
    told = verdict.given_up(documents.read(document(RELEASED)))
    assert (told.state, [error["type"] for error in told.errors]) == ("errors", [problems.IMPLEMENTATION])
    assert told.counts["refused"] == 1
