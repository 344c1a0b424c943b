"""The receiver holds every delivery and says whether its signature held."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from deploy.local.growing import GrowingFile
from deploy.local.receiver import LINE_MAX_LENGTH, delivery_line, summary, told_of, verification_error

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = json.dumps(
    {"type": "supply.alert.firing.v1", "data": {"severity": "critical", "summary": "share off its path"}}
).encode()


def signed(body: bytes = BODY) -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", now, body.decode()),
    }


def test_a_good_signature_holds() -> None:
    assert verification_error(SECRET, BODY, signed()) is None


def test_a_changed_body_does_not() -> None:
    assert verification_error(SECRET, BODY + b" ", signed()) is not None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {**signed(), "webhook-signature": "v1,not base64"},
        {**signed(), "webhook-signature": "nothing like it"},
        {**signed(), "webhook-timestamp": "yesterday"},
        {**signed(), "webhook-timestamp": "1000000000"},
    ],
)
def test_what_is_malformed_or_old_is_not_verified(headers: dict[str, str]) -> None:
    assert verification_error(SECRET, BODY, headers) is not None


def test_without_a_secret_nothing_is_verified() -> None:
    assert verification_error(None, BODY, signed()) is not None


def test_a_delivery_is_kept_with_headers_body_and_verdict() -> None:
    line = delivery_line(datetime(2026, 11, 23, tzinfo=UTC), BODY, {"webhook-id": "msg_1"}, None)
    assert line["received_at"] == "2026-11-23T00:00:00Z"
    assert line["verified"] is True
    assert line["headers"] == {"webhook-id": "msg_1"}
    assert line["body"]["data"]["severity"] == "critical"


def test_people_read_one_line_an_alert() -> None:
    good = summary(delivery_line(datetime(2026, 11, 23, tzinfo=UTC), BODY, {}, None))
    bad = summary(delivery_line(datetime(2026, 11, 23, tzinfo=UTC), b"\xff not JSON", {}, "no signature"))
    assert "firing" in good and "share off its path" in good and "signed" in good
    assert "NOT VERIFIED (no signature)" in bad
    assert "\n" not in good + bad


@pytest.mark.parametrize(
    "body",
    [
        {"type": ["x"], "data": {"severity": {}, "summary": "a\nb\x1b[31m"}},
        {"type": None, "data": {"severity": 7, "rule": ["x"] * 1000}},
        {"data": 7},
        [],
    ],
)
def test_whatever_was_sent_is_one_printable_line(body: object) -> None:
    line = told_of(
        json.dumps(delivery_line(datetime(2026, 11, 23, tzinfo=UTC), json.dumps(body).encode(), {}, "no")).encode()
    )
    assert line.isprintable() and len(line) <= LINE_MAX_LENGTH
    assert line.startswith("2026-11-23")


def test_a_line_of_the_log_that_was_cut_off_is_said_to_be_unreadable() -> None:
    assert "cannot be read" in told_of(b'{"received_at": "2026')


def test_only_what_has_been_added_is_read_and_only_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    everything, fresh = GrowingFile(log), GrowingFile(log, only_new=True)
    assert everything.lines() == fresh.lines() == []
    log.write_bytes(b"one\ntw")
    late = GrowingFile(log, only_new=True)
    assert everything.lines() == fresh.lines() == [b"one"]
    with log.open("ab") as more:
        more.write(b"o\nthree\n")
    assert everything.lines() == [b"two", b"three"]
    assert late.lines() == [b"o", b"three"]
    log.write_bytes(b"new\n")
    assert everything.lines() == [b"new"]
