"""What receivers are given: code that verifies in three languages, the schema of the body, examples in every format."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from services.alerts import payload, payload_schema, signature
from services.alerts.alert import Transition
from services.alerts.endpoint import Format
from services.alerts.payload import Message
from shared.settings import ROOT
from tests.tools import need
from tests.unit.alerts_given import NOW

README = (ROOT / "services" / "alerts" / "README.md").read_text("utf-8")
IDENTITY = "0d2f0d3c-6d0e-5d60-9a0e-0f8f8d2f7c55"
BODY = '{"summary": "thuốc"}'
Case = tuple[bool, str, dict[str, str], str]  # whether it holds, secret, headers, body


def cases() -> list[Case]:
    now = datetime.now(UTC)
    secret, former, other = (signature.new_secret() for _ in range(3))
    good = signature.headers([secret], IDENTITY, now, BODY.encode())
    both = signature.headers([secret, former], IDENTITY, now, BODY.encode())
    old = signature.headers([secret], IDENTITY, now - timedelta(minutes=6), BODY.encode())
    return [
        (True, secret, good, BODY),
        (True, secret, both, BODY),
        (True, former, both, BODY),
        (False, other, both, BODY),
        (False, secret, good, BODY + " "),
        (False, secret, old, BODY),
        (False, secret, {**good, "webhook-id": "another"}, BODY),
        (False, secret, {**good, "webhook-timestamp": str(int(now.timestamp()) + 1)}, BODY),
        (False, secret, {**good, "webhook-signature": "v1,AAAA"}, BODY),
        (False, secret, {**good, "webhook-signature": ""}, BODY),
    ]


def shown(language: str) -> str:
    """The code that the README shows in `language`."""
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(block for block in found if "verified(" in block)


def test_the_code_for_each_language_is_about_ten_lines() -> None:
    for language in ("python", "javascript", "go"):
        assert len([line for line in shown(language).splitlines() if line.strip()]) <= 15


def test_python_verifies() -> None:
    names: dict[str, Any] = {}
    exec(shown("python"), names)  # noqa: S102 - our own documentation
    for holds, secret, headers, body in cases():
        assert names["verified"](secret, headers, body.encode()) is holds


NODE = """
const lines = require("node:fs").readFileSync(0, "utf8").trim().split("\\n").map((line) => JSON.parse(line));
for (const [, secret, headers, body] of lines) console.log(verified(secret, headers, Buffer.from(body)));
"""
GO = """package main

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

%s
func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var holds bool
		var secret, body string
		var headers map[string]string
		if err := json.Unmarshal(lines.Bytes(), &[]any{&holds, &secret, &headers, &body}); err != nil {
			panic(err)
		}
		fmt.Println(verified(secret, headers, []byte(body)))
	}
}
"""


def said(command: list[str], given: list[Case]) -> list[bool]:
    lines = "\n".join(json.dumps(case) for case in given)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [line == "true" for line in done.stdout.split()]


def test_javascript_verifies(tmp_path: Path) -> None:
    need("node", "nodejs")
    script = tmp_path / "verify.cjs"
    script.write_text(shown("javascript") + NODE)
    given = cases()
    assert said(["node", str(script)], given) == [case[0] for case in given]


def test_go_verifies(tmp_path: Path) -> None:
    need("go", "golang-go")
    script = tmp_path / "verify.go"
    script.write_text(GO % shown("go"))
    given = cases()
    assert said(["go", "run", str(script)], given) == [case[0] for case in given]


SCHEMA = json.loads((ROOT / "services" / "alerts" / "webhook.schema.json").read_text("utf-8"))
EXAMPLES = dict(payload_schema.examples())


def valid(body: dict[str, Any]) -> bool:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return not list(jsonschema.Draft202012Validator(SCHEMA, format_checker=checker).iter_errors(body))


def test_every_body_of_the_standard_format_is_as_its_schema_says() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    firing = EXAMPLES["standard-firing"]
    for transition in (*Transition,):
        if transition not in (Transition.PENDING, Transition.WITHDRAWN):
            message = Message(transition.value, NOW, firing["data"])
            assert valid(json.loads(payload.body(message, Format.STANDARD, IDENTITY))), transition
    assert valid(EXAMPLES["standard-resolved"]) and valid(EXAMPLES["standard-group"])


@pytest.mark.parametrize("field", ["id", "type", "data"])
def test_the_schema_refuses_a_body_that_lacks_something(field: str) -> None:
    assert not valid({name: value for name, value in EXAMPLES["standard-firing"].items() if name != field})
    assert not valid({**EXAMPLES["standard-firing"], "type": "supply.alert.pending.v1"})


# https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
ALERTMANAGER = {
    "version": str,
    "groupKey": str,
    "truncatedAlerts": int,
    "status": str,
    "receiver": str,
    "groupLabels": dict,
    "commonLabels": dict,
    "commonAnnotations": dict,
    "externalURL": str,
    "alerts": list,
}
ALERTMANAGER_ALERT = {
    "status": str,
    "labels": dict,
    "annotations": dict,
    "startsAt": str,
    "endsAt": str,
    "generatorURL": str,
    "fingerprint": str,
}


@pytest.mark.parametrize("name", ["alertmanager-firing", "alertmanager-resolved", "alertmanager-group"])
def test_the_alertmanager_format_has_the_fields_that_alertmanager_publishes(name: str) -> None:
    body = EXAMPLES[name]
    assert {field: type(value) for field, value in body.items()} == ALERTMANAGER
    assert body["version"] == "4" and body["status"] in ("firing", "resolved")
    for alert in body["alerts"]:
        assert {field: type(value) for field, value in alert.items()} == ALERTMANAGER_ALERT
        assert datetime.fromisoformat(alert["startsAt"]) and datetime.fromisoformat(alert["endsAt"])
        assert alert["labels"]["alertname"] == "months-of-stock-low"
        labels = {**alert["labels"], **alert["annotations"]}
        assert all(isinstance(value, str) for value in labels.values())
        assert body["commonLabels"].items() <= alert["labels"].items()
        assert re.fullmatch("[0-9a-f]{16}", alert["fingerprint"])
    assert len({alert["fingerprint"] for alert in body["alerts"]}) == len(body["alerts"])


# https://docs.slack.dev/reference/block-kit/blocks: lengths of texts, numbers of blocks and elements.
@pytest.mark.parametrize("name", ["slack-firing", "slack-resolved", "slack-group"])
def test_the_slack_format_keeps_to_the_limits_of_block_kit(name: str) -> None:
    _check_slack(EXAMPLES[name])


def test_the_slack_format_keeps_to_them_whatever_the_alert_says() -> None:
    alert = {**EXAMPLES["standard-firing"]["data"], "summary": "<&>" * 5000, "description": "é" * 9000}
    many = payload.together(
        [Message("firing", NOW, {**alert, "id": str(n), "group": "g"}) for n in range(200)], "firing"
    )
    for message in (Message("firing", NOW, alert), many):
        _check_slack(json.loads(payload.body(message, Format.SLACK, IDENTITY)))


def _check_slack(body: dict[str, Any]) -> None:
    assert set(body) == {"text", "attachments"}
    assert 0 < len(body["text"]) <= 40_000
    [attachment] = body["attachments"]
    assert re.fullmatch("#[0-9a-f]{6}", attachment["color"])
    assert len(attachment["blocks"]) <= 50
    for block in attachment["blocks"]:
        texts = block["elements"] if block["type"] == "context" else [block["text"]]
        assert block["type"] in ("section", "context") and len(texts) <= 10
        assert all(text["type"] == "mrkdwn" and 0 < len(text["text"]) <= 3000 for text in texts)


def test_a_group_resolved_in_all_its_alerts_is_resolved_for_alertmanager() -> None:
    firing, resolved = EXAMPLES["standard-firing"]["data"], EXAMPLES["standard-resolved"]["data"]
    first = Message("resolved", NOW, {**resolved, "group": "g"})
    mixed = payload.together([first, Message("firing", NOW, {**firing, "id": "other", "group": "g"})], "firing")
    all_over = payload.together([first, replace(first, alert={**resolved, "id": "other", "group": "g"})], "resolved")
    for message, status in ((mixed, "firing"), (all_over, "resolved")):
        assert json.loads(payload.body(message, Format.ALERTMANAGER, IDENTITY))["status"] == status
