# ruff: noqa: E501 - what is said of a difference is one line
"""Tests of rules in YAML, the check of a folder, and how changed files come into force."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.alerts.check_rules import RULES, check, main
from services.alerts.rule_files import load_rules, read
from services.alerts.rule_tests import run_tests
from services.alerts.rule_watch import RuleWatch
from services.alerts.rules import RuleSet
from tests.unit.alerts_given import rule_set

RULE = """
- rule: stock-low
  signal: indicator
  severity: warning
  for: 1d
  remind: 1d
  escalate: [2d, 4d]
  reopen: 1h
  when: double(data.value) < params.low
  params: {low: 2.0}
  labels: {product: "${data.scope}"}
  group: "${data.scope}"
  summary: "${data.value}"
  unknown: data.value == null
"""
TEST = """
- test: low stock
  signals:
    - {at: 0s, subject: indicator/months_of_stock/all, data: {value: "1.0"}}
  acknowledge:
    - {at: 4d, rule: stock-low, subject: indicator/months_of_stock/all}
  expect:
    - {at: 1h, alerts: [{rule: stock-low, state: pending}], told: []}
    - {at: 1d, alerts: [{rule: stock-low, state: firing, labels: {product: all}}], told: [stock-low firing]}
    - {at: 3d, told: [stock-low reminder.1, stock-low reminder.2, stock-low escalated.1]}
    - {at: 9d, alerts: [{rule: stock-low, state: acknowledged, level: 1}], told: [stock-low reminder.3, stock-low acknowledged]}
"""


def faults_of(text: str, rules: str = RULE) -> list[str]:
    _, faults = run_tests(rule_set(rules), {"t.yaml": text})
    return [f"{fault.field}: {fault.detail}" for fault in faults]


def test_the_rules_that_come_with_the_system_pass_their_own_tests() -> None:
    said, faults = check(RULES)
    assert faults == []
    assert said.endswith("tests")


def test_every_built_in_rule_that_is_not_about_a_kind_of_anomaly_has_a_test() -> None:
    tested = "".join(path.read_text() for path in (RULES / "tests").glob("*.yaml"))
    names = [rule.name for rule in load_rules(RULES).rules]
    untested = [name for name in names if name not in tested and not name.startswith("anomaly-")]
    assert untested == []


def test_signals_over_time_in_and_the_expected_alerts_out() -> None:
    assert faults_of(TEST) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("state: pending", "state: firing"),
            "t.yaml:8 low stock expect.0: at 1h an alert of stock-low is expected: state is 'pending', not 'firing'",
        ),
        (
            ("[{rule: stock-low, state: pending}]", "[]"),
            "t.yaml:8 low stock expect.0: at 1h an alert of stock-low on indicator/months_of_stock/all is open (pending): not expected",
        ),
        (
            ("told: [stock-low firing]", "told: []"),
            "t.yaml:9 low stock expect.1: at 1d told were ['stock-low firing'], expected []",
        ),
        (
            ("product: all", "product: x"),
            "t.yaml:9 low stock expect.1: at 1d an alert of stock-low is expected: label product is 'all', not 'x'",
        ),
        (
            ("rule: stock-low, state: pending", "rule: other"),
            "t.yaml:8 low stock expect.0: at 1h an alert of other is expected: there is none",
        ),
    ],
)
def test_what_differs_is_named_with_file_and_line(change: tuple[str, str], said: str) -> None:
    assert faults_of(TEST.replace(*change))[0] == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEST.replace("at: 1h", "at: soon"), "a duration is"),
        (TEST.replace("at: 4d", "at: 1h"), "NotAcknowledgeable: the alert is pending"),
        (
            TEST.replace("subject: indicator/months_of_stock/all, data", "subject: x/y, data"),
            "no signal has the subject x/y",
        ),
        (TEST.replace("test: low stock", "colour: red"), "t.yaml:2 test: Field required"),
        ("- [", "t.yaml:1"),
    ],
)
def test_a_test_that_makes_no_sense_says_so(text: str, said: str) -> None:
    assert any(said in fault for fault in faults_of(text)), faults_of(text)


INHIBITION = """
- inhibit: plant
  source: [{name: rule, value: a}]
  target: [{name: rule, op: "=~", value: b.*}]
  equal: [site, {source: covers, target: scope}]
"""


def test_an_inhibition_is_read_and_what_is_wrong_in_it_is_named() -> None:
    _, [inhibition], faults = read({"test.yaml": INHIBITION})
    assert (faults, inhibition.name) == ([], "plant")
    assert inhibition.equal == (("site", "site"), ("covers", "scope"))
    for broken, field in (
        (INHIBITION.replace("b.*", "("), "test.yaml:2 plant"),
        (INHIBITION.replace("equal: [site,", "equals: [site,"), "test.yaml:2 plant equal"),
        (INHIBITION.replace("op:", "operator:"), "test.yaml:4 plant target.0.operator"),
    ):
        _, _, faults = read({"test.yaml": broken})
        assert faults[0].field == field


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        (("remind: 1d", "remind: 1s"), "test.yaml:6 stock-low remind", "at least 0:01:00 apart"),
        (("escalate: [2d, 4d]", "escalate: [4d, 2d]"), "test.yaml:7 stock-low escalate", "later than the one before"),
        (("escalate: [2d, 4d]", "escalate: [4d, x]"), "test.yaml:7 stock-low escalate.1", "a duration is"),
        (('"${data.scope}"}', '"${data.scop}"}'), "test.yaml:11 stock-low labels.product", "no field 'scop'"),
        (('group: "${data.scope}"', 'group: "${data.scop}"'), "test.yaml:12 stock-low group", "no field 'scop'"),
    ],
)
def test_what_is_wrong_in_the_times_labels_and_groups_of_a_rule_is_named(
    change: tuple[str, str], field: str, said: str
) -> None:
    _, _, [fault] = read({"test.yaml": RULE.replace(*change)})
    assert fault.field == field and said in fault.detail


def test_the_command_names_file_and_line_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "a.yaml").write_text(RULE)
    (tmp_path / "tests" / "a.yaml").write_text(TEST)
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "1 rules, 0 inhibitions, 1 tests: all right\n"
    (tmp_path / "tests" / "a.yaml").write_text(TEST.replace("level: 1", "level: 2"))
    assert main([str(tmp_path)]) == 1
    assert f"{tmp_path}/tests/a.yaml:11 low stock expect.3: at 9d" in capsys.readouterr().err
    (tmp_path / "a.yaml").write_text(RULE.replace("warning", "awful"))
    assert main([str(tmp_path)]) == 1
    assert f"{tmp_path}/a.yaml:4 stock-low severity" in capsys.readouterr().err


async def test_changed_rules_come_into_force_once_they_stand_still_and_faulty_ones_never(tmp_path: Path) -> None:
    adopted: list[RuleSet] = []

    async def adopt(rules: RuleSet) -> None:
        adopted.append(rules)

    file = tmp_path / "a.yaml"
    file.write_text(RULE)
    watch = RuleWatch(tmp_path, load_rules(tmp_path).digest, adopt, poll_seconds=1)
    await watch.look()
    file.write_text(RULE.replace("2.0", "3.0"))
    await watch.look()
    assert adopted == []
    await watch.look()
    await watch.look()
    assert [rules.rules[0].params for rules in adopted] == [{"low": 3.0}]
    file.write_text(RULE.replace("warning", "awful"))
    for _ in range(3):
        await watch.look()
    assert len(adopted) == 1 and watch.faults[0].field == "a.yaml:4 stock-low severity"
    file.unlink()
    await watch.look()
    assert watch.faults[0].code == "no_rules"
    file.write_text(RULE.replace("2.0", "3.0"))
    await watch.look()
    assert (len(adopted), watch.faults) == (1, [])
