"""What rules say of signals, and what is wrong with rules."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from starlette.routing import Match

from services.alerts.alert import Alert
from services.alerts.evaluation import HORIZON_DAYS, evaluate
from services.alerts.facts import Facts, Signal, number
from services.alerts.lifecycle import Verdict
from services.alerts.links import links
from services.alerts.rule_files import duration, load_rules, read_rules
from services.alerts.rule_samples import samples
from services.supply import explain_api, figures_api, ledger_api, told_api
from shared.clock import start_of
from shared.errors import Invalid
from tests.unit.alerts_given import NOW, SUPPLY_URL, anomaly, built_in, goal, obligation, rule_set, rules

TODAY = date(2027, 3, 1)


@pytest.mark.parametrize(
    ("status", "open_rules"),
    [
        ("on_track", []),
        ("met", []),
        ("no_data", []),
        ("at_risk", ["goal-at-risk"]),
        ("off_track", ["goal-off-track"]),
        ("missed", ["goal-missed"]),
    ],
)
def test_each_status_of_a_goal_opens_its_alert(status: str, open_rules: list[str]) -> None:
    done = evaluate(built_in(), goal(status), {}, SUPPLY_URL, NOW)
    assert [change.alert.rule for change in done.changes] == open_rules


def test_a_goal_that_gets_worse_keeps_its_first_warning_open_until_it_is_back_on_track() -> None:
    everything = built_in()
    held: dict[str, Alert] = {}
    for version, (status, told) in enumerate(
        [
            ("at_risk", ["goal-at-risk firing"]),
            ("off_track", ["goal-off-track firing"]),
            ("no_data", []),
            ("at_risk", ["goal-off-track resolved"]),
            ("on_track", ["goal-at-risk resolved"]),
        ]
    ):
        done = evaluate(everything, goal(status, version), held, SUPPLY_URL, NOW)
        assert [f"{change.alert.rule} {change.transition}" for change in done.changes] == told, status
        held = done.alerts


def test_a_summary_says_what_is_wrong_by_how_much_and_since_when() -> None:
    [change] = evaluate(built_in(), goal("off_track"), {}, SUPPLY_URL, NOW).changes
    assert change.alert.finding.summary == (
        "80 % of demand met by domestic production by 2030: off track, 0.712 where 0.741 was expected, since 2027-03-01"
    )
    assert change.alert.finding.evidence["version"] == 1
    assert change.alert.finding.links == {
        "goal": "http://supply.example/goals/volume",
        "indicator": "http://supply.example/indicators?name=domestic_share_volume&scope=all&effective=2027-03-01",
        "explain": "http://supply.example/indicators/domestic_share_volume/explain?scope=all&effective=2027-03-01",
    }


def test_since_stays_the_day_on_which_it_began() -> None:
    first = evaluate(built_in(), goal("off_track"), {}, SUPPLY_URL, NOW)
    later = evaluate(built_in(), goal("off_track", 2, value="0.6"), first.alerts, SUPPLY_URL, NOW + timedelta(days=30))
    assert later.alerts["goal-off-track"].finding.summary.endswith("0.6 where 0.741 was expected, since 2027-03-01")


def test_a_duty_becomes_due_soon_and_then_overdue_by_the_passing_of_days_alone() -> None:
    everything, signal = built_in(), obligation()
    far = evaluate(everything, signal, {}, SUPPLY_URL, NOW)
    assert far.changes == []
    assert far.wake_at == start_of(date(2027, 3, 16))  # 30 days before it is due
    soon = evaluate(everything, signal, far.alerts, SUPPLY_URL, far.wake_at)
    assert [change.alert.rule for change in soon.changes] == ["obligation-due-soon"]
    assert soon.alerts["obligation-due-soon"].finding.value == "30"
    assert soon.wake_at == start_of(date(2027, 4, 16))
    overdue = evaluate(everything, signal, soon.alerts, SUPPLY_URL, soon.wake_at)
    assert [change.alert.rule for change in overdue.changes] == ["obligation-overdue"]
    met = evaluate(
        everything, obligation(2, state="met", met_on="2027-04-20"), overdue.alerts, SUPPLY_URL, soon.wake_at
    )
    assert {change.transition.value for change in met.changes} == {"resolved"}
    assert {alert.finding.resolution for alert in met.alerts.values()} == {"met on 2027-04-20"}


def test_a_distant_duty_is_looked_at_again_at_the_horizon() -> None:
    done = evaluate(built_in(), obligation(due_on="2029-01-01"), {}, SUPPLY_URL, NOW)
    assert done.wake_at == start_of(TODAY + timedelta(days=HORIZON_DAYS))


def test_a_duty_without_a_date_never_comes_due() -> None:
    done = evaluate(built_in(), obligation(due_on=None), {}, SUPPLY_URL, NOW)
    assert (done.changes, done.wake_at) == ([], None)


def test_an_anomaly_is_open_from_its_start_to_its_end_and_leads_to_its_events() -> None:
    opened = evaluate(built_in(), anomaly(), {}, SUPPLY_URL, NOW)
    [change] = opened.changes
    assert change.alert.rule == "anomaly-overdrawn-lot"
    assert change.alert.finding.links["events"] == ["http://supply.example/events/urn%3Agln%3A9521000000032/a%2F1"]
    ended = evaluate(built_in(), anomaly(2, until="2027-03-02"), opened.alerts, SUPPLY_URL, NOW)
    assert [change.transition.value for change in ended.changes] == ["resolved"]


@pytest.mark.parametrize("kind", ["indicator", "goal", "obligation", "anomaly"])
def test_an_alert_leads_to_addresses_that_supply_answers(kind: str) -> None:
    answers = (figures_api, explain_api, told_api, ledger_api)
    routes = [route for module in answers for route in module.router.routes]
    for signal in samples(kind):
        found = links(signal, SUPPLY_URL)
        assert found
        events = found.pop("events", [])
        for address in (*found.values(), *events):
            asked = {"type": "http", "method": "GET", "path": unquote(urlsplit(address).path)}
            assert any(route.matches(asked)[0] is Match.FULL for route in routes), address


HYSTERESIS = """
- rule: stock-low
  signal: indicator
  severity: warning
  for: 3d
  unknown: data.value == null
  when: double(data.value) < params.low
  clear: double(data.value) > params.low + 1.0
  params: {low: 2.0}
  summary: "${number(data.value)} months of ${data.scope}"
  overrides:
    - {subject: "indicator/*/gtin:*", severity: critical, for: 0s, params: {low: 5.0}}
    - {subject: "indicator/*/brand:*", enabled: false}
"""


def stock(value: str | None, scope: str = "all", version: int = 1) -> Signal:
    data: dict[str, Any] = {
        "name": "months_of_stock",
        "scope": scope,
        "on": "2027-03-01",
        "value": value,
        "why": None,
        "coverage": None,
        "inputs": {},
    }
    return Signal(f"indicator/months_of_stock/{scope}", version, NOW, data)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [("1.9", Verdict.HOLDS), ("2.5", Verdict.BETWEEN), ("3.1", Verdict.CLEAR), (None, Verdict.UNKNOWN)],
)
def test_between_the_condition_and_the_clear_condition_nothing_changes(value: str | None, verdict: Verdict) -> None:
    [rule] = rules(HYSTERESIS)
    assert rule.judge(Facts(stock(value), TODAY)) is verdict


def test_overrides_hold_for_the_subjects_they_match() -> None:
    everything = rule_set(HYSTERESIS)
    [usual] = evaluate(everything, stock("1.0"), {}, SUPPLY_URL, NOW).changes
    assert (usual.transition.value, usual.alert.finding.severity.value) == ("pending", "warning")
    [special] = evaluate(everything, stock("4.0", "gtin:1"), {}, SUPPLY_URL, NOW).changes
    assert (special.transition.value, special.alert.finding.severity.value) == ("firing", "critical")
    assert evaluate(everything, stock("0.0", "brand:1"), {}, SUPPLY_URL, NOW).changes == []


def test_a_pending_alert_is_woken_when_its_wait_ends() -> None:
    assert evaluate(rule_set(HYSTERESIS), stock("1.0"), {}, SUPPLY_URL, NOW).wake_at == NOW + timedelta(days=3)


def test_a_deadline_that_passes_while_nothing_is_known_wakes_nobody_until_a_signal_says_more() -> None:
    chosen = rule_set(HYSTERESIS)
    pending = evaluate(chosen, stock("1.0"), {}, SUPPLY_URL, NOW)
    late = NOW + timedelta(days=3)
    silent = evaluate(chosen, stock(None, version=2), pending.alerts, SUPPLY_URL, late)
    assert (silent.wake_at, [alert.state.value for alert in silent.alerts.values()]) == (None, ["pending"])
    [fired] = evaluate(chosen, stock("1.0", version=3), silent.alerts, SUPPLY_URL, late).changes
    assert fired.name == "firing"


def test_an_alert_whose_rule_is_gone_ends() -> None:
    opened = evaluate(built_in(), goal("off_track"), {}, SUPPLY_URL, NOW)
    [change] = evaluate(rule_set(HYSTERESIS), goal("off_track"), opened.alerts, SUPPLY_URL, NOW).changes
    assert (change.transition.value, change.why) == ("resolved", "the rule is no longer in force")


def test_a_rule_that_cannot_read_a_signal_says_so_and_the_others_go_on() -> None:
    unreadable = goal("off_track")
    del unreadable.data["gap"]
    done = evaluate(built_in(), unreadable, {}, SUPPLY_URL, NOW)
    assert done.changes == []
    assert "gap" in done.errors["goal-off-track"]
    assert "goal-missed" not in done.errors


GOOD = "- rule: a\n  signal: goal\n  severity: info\n  summary: x\n  when: 'true'\n"


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        (GOOD.replace("when: 'true'", "when: data.status =="), "test.yaml:5 a when", "Syntax error"),
        (GOOD.replace("when: 'true'", "when: dta.status == 'x'"), "test.yaml:5 a when", "unknown variable dta"),
        (GOOD.replace("when: 'true'", "when: data.statsu == 'x'"), "test.yaml:5 a when", "no field 'statsu'"),
        (GOOD.replace("when: 'true'", "when: data.value"), "test.yaml:5 a when", "neither true nor false"),
        (GOOD.replace("when: 'true'", "when: double(data.value) < 1.0"), "test.yaml:5 a when", "goal"),
        (GOOD.replace("summary: x", "summary: '${data.titel}'"), "test.yaml:4 a summary", "no field 'titel'"),
        (GOOD.replace("severity: info", "severity: awful"), "test.yaml:3 a severity", "critical"),
        (GOOD.replace("signal: goal", "signal: gaol"), "test.yaml:2 a signal", "indicator"),
        (GOOD.replace("rule: a", "rule: A rule"), "test.yaml:1 A rule rule", "pattern"),
        (GOOD + "  for: soon\n", "test.yaml:6 a for", "a duration is"),
        (GOOD + "  colour: red\n", "test.yaml:6 a colour", "Extra inputs"),
        (GOOD + "  overrides: [{subject: x, for: 1y}]\n", "test.yaml:6 a overrides.0.for", "a duration is"),
        (GOOD + GOOD, "test.yaml:6 a rule", "also in test.yaml:1"),
        ("- rule: [\n", "test.yaml:2", "expected"),
        ("rule: a\n", "test.yaml", "list of rules"),
    ],
)
def test_what_is_wrong_in_a_rule_is_named_with_file_line_and_field(text: str, field: str, said: str) -> None:
    _, faults = read_rules({"test.yaml": text})
    assert [fault.field for fault in faults] == [field]
    assert said in faults[0].detail


def test_every_fault_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(GOOD.replace("when: 'true'", "when: x"))
    (tmp_path / "two.yaml").write_text(GOOD.replace("info", "y"))
    with pytest.raises(Invalid) as error:
        load_rules(tmp_path)
    assert [fault.field for fault in error.value.faults] == ["one.yaml:5 a when", "two.yaml:3 a severity"]


def test_a_folder_without_rules_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        load_rules(tmp_path)


def test_durations() -> None:
    assert [duration(text) for text in ("90s", "15m", "6h", "2d", "1w")] == [
        timedelta(seconds=90),
        timedelta(minutes=15),
        timedelta(hours=6),
        timedelta(days=2),
        timedelta(weeks=1),
    ]


@pytest.mark.parametrize("text", ["", "2", "d", "2y", "-1d", "1.5d", "999999w", "3651d"])
def test_what_is_no_duration_or_leads_out_of_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        duration(text)


@pytest.mark.parametrize(
    ("value", "shown"),
    [("0.712000000000", "0.712"), ("23", "23"), ("1234567.5", "1,234,567.5"), (None, "unknown"), ("-0.0290", "-0.029")],
)
def test_numbers_are_written_for_people(value: str | None, shown: str) -> None:
    assert number(value) == shown
