"""Signature, retries, payloads, filters and rates: everything of a delivery that needs no network."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from standardwebhooks import Webhook

from services.alerts import payload, retry, signature
from services.alerts.alert import Alert, Change, Finding, Severity, State, Transition
from services.alerts.claim import Claimed
from services.alerts.delivery import prepare
from services.alerts.endpoint import Endpoint, Filter, Format
from services.alerts.evaluation import evaluate
from services.alerts.payload import Message
from services.alerts.rate import Bucket
from services.alerts.retry import Again, Attempt, Delivered, Failed, Gone, Outcome
from shared.settings import ROOT
from tests.unit.alerts_given import NOW, SUPPLY_URL, built_in, endpoint, goal


def change() -> Change:
    [found] = evaluate(built_in(), goal("off_track"), {}, SUPPLY_URL, NOW).changes
    return found


def claimed(to: Endpoint) -> Claimed:
    told = change()
    message = Message(told.transition.value, told.at, told.alert.as_json())
    return Claimed(uuid.uuid4(), 1, 1, told.alert.id, 1, to, message)


def test_the_library_of_standard_webhooks_verifies_what_we_sign() -> None:
    to = endpoint()
    request = prepare(claimed(to), datetime.now(UTC))
    event = Webhook(to.secret).verify(request.body, request.headers)
    assert event["type"] == "supply.alert.firing.v1"


def test_the_zone_of_the_clock_does_not_matter() -> None:
    to = endpoint()
    now = datetime.now(timezone(timedelta(hours=7)))
    request = prepare(claimed(to), now)
    assert Webhook(to.secret).verify(request.body, request.headers)


def test_during_a_rotation_both_secrets_verify_and_after_it_only_the_new_one() -> None:
    now = datetime.now(UTC)
    to = endpoint(former_secret=signature.new_secret(), former_secret_until=now + timedelta(hours=1))
    request = prepare(claimed(to), now)
    assert to.former_secret is not None
    for secret in (to.secret, to.former_secret):
        assert Webhook(secret).verify(request.body, request.headers)
    assert to.secrets(now + timedelta(hours=1)) == (to.secret,)


def test_every_attempt_has_the_same_body_and_id() -> None:
    work = claimed(endpoint())
    first, later = prepare(work, NOW), prepare(work, NOW + timedelta(hours=3))
    assert first.body == later.body
    assert first.headers["webhook-id"] == later.headers["webhook-id"] == str(work.id)
    assert first.headers["webhook-timestamp"] != later.headers["webhook-timestamp"]


def attempt(status: int | None = None, **more: str) -> Attempt:
    return Attempt(NOW, 0.1, status, **more)


@pytest.mark.parametrize(
    ("number", "seconds"), [(1, 5), (2, 300), (3, 1800), (4, 7200), (5, 18000), (6, 36000), (7, 36000)]
)
def test_the_schedule_of_retries(number: int, seconds: int) -> None:
    assert retry.outcome(attempt(500), number, 0.0, NOW) == Again(NOW + timedelta(seconds=seconds))
    late = retry.outcome(attempt(500), number, 0.999, NOW)
    assert isinstance(late, Again)
    assert timedelta(seconds=seconds) < late.at - NOW < timedelta(seconds=seconds * 1.1)


@pytest.mark.parametrize(
    ("tried", "number", "outcome"),
    [
        (attempt(200), 1, Delivered()),
        (attempt(204), 8, Delivered()),
        (attempt(410), 1, Gone()),
        (attempt(500), 8, Failed()),
        (attempt(302), 8, Failed()),
        (attempt(error="TimeoutError"), 8, Failed()),
        (attempt(301), 1, Again(NOW + timedelta(seconds=5))),
        (attempt(400), 1, Again(NOW + timedelta(seconds=5))),
        (attempt(error="refused"), 1, Again(NOW + timedelta(seconds=5))),
        (attempt(429, retry_after="120"), 1, Again(NOW + timedelta(seconds=120))),
        (attempt(503, retry_after="2"), 1, Again(NOW + timedelta(seconds=5))),
        (attempt(429, retry_after="Mon, 01 Mar 2027 02:30:00 GMT"), 1, Again(NOW + timedelta(minutes=30))),
        (attempt(429, retry_after="Mon, 01 Mar 2027 01:00:00 GMT"), 1, Again(NOW + timedelta(seconds=5))),
        (attempt(429, retry_after="99999999999"), 1, Again(NOW + timedelta(hours=24))),
        (attempt(429, retry_after="tomorrow"), 1, Again(NOW + timedelta(seconds=5))),
        *(
            (attempt(429, retry_after=hostile), 1, Again(NOW + timedelta(seconds=5)))
            for hostile in (
                "Mon, 01 Mar 99999999999 02:30:00 GMT",
                "Mon, 01 Mar 99999999999999999999 02:30:00 GMT",
                "Mon, 99999999999999999999 Mar 2027 02:30:00 GMT",
                "Mon, 01 Mar 2027 02:30:00 +99999999999999",
                "Mon, 01 Jan 0001 00:00:00 +2359",
                "",
                ",",
            )
        ),
        (attempt(429, retry_after="Fri, 31 Dec 9999 23:59:59 -2359"), 1, Again(NOW + timedelta(hours=24))),
        (attempt(429, retry_after="-5"), 1, Again(NOW + timedelta(seconds=5))),
        (attempt(429, retry_after="٣"), 1, Again(NOW + timedelta(seconds=5))),
    ],
)
def test_what_follows_from_an_answer(tried: Attempt, number: int, outcome: Outcome) -> None:
    assert retry.outcome(tried, number, 0.0, NOW) == outcome


def message(state: State = State.FIRING) -> Message:
    told = change()
    return Message(
        "firing" if state is State.FIRING else "resolved", NOW, {**told.alert.as_json(), "state": state.value}
    )


def test_the_standard_body_is_a_cloud_event_with_the_alert_in_it() -> None:
    event = json.loads(payload.body(message(), Format.STANDARD, "an-id"))
    assert {name: event[name] for name in event if name != "data"} == {
        "specversion": "1.0",
        "id": "an-id",
        "source": "urn:supply-watch:alerts",
        "type": "supply.alert.firing.v1",
        "time": "2027-03-01T02:00:00Z",
        "subject": event["data"]["id"],
        "datacontenttype": "application/json",
    }
    assert set(event["data"]) >= {
        *("id", "rule", "subject", "severity", "state", "summary", "description", "value", "threshold"),
        *("started_at", "resolved_at", "acknowledged_by", "evidence", "links"),
    }


def test_the_alertmanager_body_has_the_published_fields() -> None:
    body = json.loads(payload.body(message(), Format.ALERTMANAGER, "an-id"))
    assert set(body) == {
        *("version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels"),
        *("commonLabels", "commonAnnotations", "externalURL", "alerts"),
    }
    assert (body["version"], body["status"]) == ("4", "firing")
    [alert] = body["alerts"]
    assert set(alert) == {
        *("status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"),
    }
    assert alert["labels"]["alertname"] == "goal-off-track"


def test_the_slack_body_has_text_and_blocks_and_no_markup_from_data() -> None:
    told = message()
    told.alert["summary"] = "<!channel> & co"
    body = json.loads(payload.body(told, Format.SLACK, "an-id"))
    assert body["text"].startswith("[FIRING] critical: ")
    [attachment] = body["attachments"]
    assert {block["type"] for block in attachment["blocks"]} == {"section", "context"}
    assert "&lt;!channel&gt; &amp; co" in attachment["blocks"][0]["text"]["text"]


@pytest.mark.parametrize(
    ("chosen", "takes"),
    [
        (Filter(), True),
        (Filter(severity=("critical", "warning")), True),
        (Filter(severity=("info",)), False),
        (Filter(rule=("goal-off-track",), scope=("all",)), True),
        (Filter(rule=("goal-off-track",), scope=("gtin:1",)), False),
    ],
)
def test_all_given_parts_of_a_filter_must_hold(chosen: Filter, takes: bool) -> None:
    assert chosen.takes(change().alert.as_json()) is takes


def test_a_disabled_endpoint_is_told_of_nothing() -> None:
    assert not endpoint(enabled=False).wants("firing", change().alert.as_json())


def test_a_secret_is_in_no_representation_of_an_endpoint() -> None:
    to = endpoint()
    assert to.secret not in repr(to) + json.dumps(to.as_json())


def test_a_rate_lets_so_many_go_and_fills_up_again() -> None:
    bucket = Bucket.full(2.0, NOW)
    assert bucket.room(NOW) == 2
    bucket.take(2)
    assert bucket.room(NOW) == 0
    assert bucket.room(NOW + timedelta(seconds=0.5)) == 1
    assert bucket.room(NOW + timedelta(hours=1)) == 2


def test_a_rate_below_one_a_second_still_lets_one_go() -> None:
    bucket = Bucket.full(0.1, NOW)
    assert bucket.room(NOW) == 1
    bucket.take(1)
    assert bucket.room(NOW + timedelta(seconds=9)) == 0
    assert bucket.room(NOW + timedelta(seconds=11)) == 1


def test_a_test_message_is_no_public_change() -> None:
    finding = Finding(Severity.INFO, "a", "", "", None, None)
    alert = Alert(uuid.uuid4(), "test", "test", State.FIRING, 0, 1, NOW, finding)
    assert Change(alert, Transition.TEST, NOW, "ann", "").name == "test"


def test_the_readme_shows_how_to_verify_by_hand() -> None:
    readme = (ROOT / "services" / "alerts" / "README.md").read_text()
    code = next(block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "def verified" in block)
    shown: dict[str, Any] = {}
    exec(code, shown)  # noqa: S102 - our own documentation
    to = endpoint()
    request = prepare(claimed(to), datetime.now(UTC))
    assert shown["verified"](to.secret, request.headers, request.body)
    assert not shown["verified"](to.secret, request.headers, request.body + b" ")
    assert not shown["verified"](signature.new_secret(), request.headers, request.body)
