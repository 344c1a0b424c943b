"""What the forms and pages of alerts mean, without a browser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.alerts.endpoint import Filter
from services.alerts.pages import alert_shown, endpoint_form, silence_form
from shared.errors import Fault, Invalid
from shared.form_faults import WHOLE, beside
from tests.unit.alerts_given import endpoint

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def test_what_the_form_of_an_endpoint_shows_changes_nothing_when_it_is_sent_back() -> None:
    there = endpoint(filter=Filter(("critical",), ("goal-off-track",), ("all",)), rate=2.5, level=3)
    told = endpoint_form.changes(endpoint_form.shown(there))
    assert told == {
        "url": there.url,
        "description": there.description,
        "format": "standard",
        "filter": {"severity": ["critical"], "rule": ["goal-off-track"], "scope": ["all"]},
        "rate": "2.5",
        "level": "3",
    }


def test_headers_stay_unless_new_ones_are_told_or_none_are_wanted() -> None:
    assert "headers" not in endpoint_form.changes({"headers": " \r\n"})
    assert endpoint_form.changes({"headers": "a: b:c\r\nX-D: e"})["headers"] == {"a": "b:c", "X-D": "e"}
    assert endpoint_form.changes({"without_headers": "on"})["headers"] == {}
    with pytest.raises(Invalid, match="one header a line"):
        endpoint_form.new_endpoint({"headers": "no colon"})


def test_a_silence_lasts_so_long_or_until_a_moment_of_viet_nam() -> None:
    form = {"name0": "scope", "value0": " all ", "length": "1d", "reason": "works"}
    assert silence_form.new_silence(form, NOW) == {
        "matchers": [{"name": "scope", "op": "=", "value": "all"}],
        "starts_at": None,
        "ends_at": NOW + timedelta(days=1),
        "reason": "works",
    }
    later = silence_form.new_silence({**form, "starts_at": "2026-12-01T08:00"}, NOW)
    assert (later["starts_at"], later["ends_at"]) == (
        datetime(2026, 12, 1, 1, tzinfo=UTC),
        datetime(2026, 12, 2, 1, tzinfo=UTC),
    )
    until = silence_form.new_silence({**form, "ends_at": "2026-12-01T08:00Z"}, NOW)
    assert until["ends_at"] == datetime(2026, 12, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"length": "9d"}, "length"),
        ({"length": "1h", "ends_at": "soon"}, "ends_at"),
        ({"length": "7d", "starts_at": "9999-12-31T23:59"}, "starts_at"),
    ],
)
def test_a_time_that_is_none_is_told_at_its_field(wrong: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as error:
        silence_form.new_silence(wrong, NOW)
    assert [fault.field for fault in error.value.faults] == [field]


def test_a_fault_of_the_second_condition_is_shown_in_the_row_that_it_was_written_in() -> None:
    form = {"name0": "rule", "value0": "x", "name1": "", "value1": "", "name2": "scope", "value2": "("}
    faults = [Fault("matchers[1].value", "pattern", "no"), Fault("reason", "length", "short"), Fault(None, "x", "y")]
    shown = beside(faults, silence_form.FIELDS, silence_form.places(form))
    assert {field: [fault.detail for fault in found] for field, found in shown.items()} == {
        "value2": ["no"],
        "reason": ["short"],
        WHOLE: ["y"],
    }


def test_the_innermost_name_of_a_field_decides_where_a_fault_is_shown() -> None:
    faults = [
        Fault("filter.rule[2]", "length", "long"),
        Fault("headers.X y", "pattern", "bad"),
        Fault("else", "x", "z"),
    ]
    assert set(beside(faults, endpoint_form.FIELDS)) == {"rule", "headers", WHOLE}


def test_an_alert_is_shown_with_what_it_rests_on_and_what_holds_it_back() -> None:
    alert: dict[str, Any] = {
        "evidence": {"formula": "a / b", "value": "0.7", "by": None, "inputs": {"a": 1}, "events": [{}], "none": []},
        "links": {"events": [f"http://supply/events/urn%3Agln%3A1/{number}%2Fx" for number in range(25)]},
        "muted_by": ["silence:5", "inhibition:cause\x1fgtin:1"],
    }
    assert alert_shown.plain_evidence(alert) == [("value", "0.7")]
    assert alert_shown.nested_evidence(alert) == {"inputs": {"a": 1}}
    events, more = alert_shown.events(alert)
    assert (len(events), more, events[3].source, events[3].id) == (20, 5, "urn:gln:1", "3/x")
    assert alert_shown.mutes(alert) == [alert_shown.Mute("5", None), alert_shown.Mute(None, "cause")]
