"""Reads rules from YAML and refuses what is wrong in them, naming file, line, rule and field."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import cel
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.alerts.alert import Severity
from services.alerts.facts import Facts, Signal
from services.alerts.rules import (
    EVALUATION_ERRORS,
    BadExpression,
    Expression,
    Override,
    Rule,
    RuleSet,
    Template,
)
from shared.errors import Fault, Invalid

DURATION_MAX: Final = timedelta(days=3650)  # far enough, and no deadline falls out of the calendar
DURATION: Final = re.compile(r"(\d{1,6})(s|m|h|d|w)")
UNIT: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
RULE_NAME: Final = r"^[a-z][a-z0-9-]{0,62}$"

_SAMPLE_DAY: Final = "2027-06-30"
# A signal of every kind, once with everything known and once with everything null that may be: a rule must read both.
_KNOWN: Final[dict[str, dict[str, Any]]] = {
    "indicator": {
        "name": "months_of_stock",
        "scope": "all",
        "on": _SAMPLE_DAY,
        "value": "1.5",
        "why": "",
        "coverage": "0.9",
        "inputs": {},
    },
    "goal": {
        "goal": "sample",
        "title": "A sample",
        "source": "nobody",
        "indicator": "months_of_stock",
        "scope": "all",
        "status": "at_risk",
        "value": "0.7",
        "expected": "0.8",
        "target": "0.9",
        "by": _SAMPLE_DAY,
        "gap": "0.1",
        "pace": "0.01",
        "required_pace": "0.02",
        "projected_on": _SAMPLE_DAY,
        "on": _SAMPLE_DAY,
    },
    "obligation": {
        "obligation": "sample",
        "kind": "milestone",
        "subject": "agreement:sample",
        "title": "A sample",
        "due_on": _SAMPLE_DAY,
        "state": "open",
        "met_on": _SAMPLE_DAY,
    },
    "anomaly": {
        "kind": "overdrawn_lot",
        "subject": "08935000000014/L1",
        "since": _SAMPLE_DAY,
        "until": _SAMPLE_DAY,
        "detail": "a sample",
        "events": [{"source": "urn:gln:8935000000017", "id": "1"}],
    },
    "endpoint": {
        "endpoint": "sample",
        "url": "https://example.com/",
        "description": "",
        "enabled": False,
        "reason": "a sample",
    },
}
_NULLABLE: Final = {
    "indicator": ("value", "why", "coverage"),
    "goal": ("value", "expected", "by", "gap", "pace", "required_pace", "projected_on"),
    "obligation": ("due_on", "met_on"),
    "anomaly": ("until",),
    "endpoint": ("reason",),
}


_CONDITIONS: Final = ("unknown", "when", "clear")
_PARTS: Final = (
    *_CONDITIONS,
    "value",
    "threshold",
    "summary",
    "description",
    "resolved",
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OverrideDocument(_Strict):
    """One item of `overrides`."""

    subject: str
    enabled: bool | None = None
    severity: Severity | None = None
    hold: str | None = Field(None, alias="for")
    params: dict[str, str | int | float | bool] | None = None


class RuleDocument(_Strict):
    """One rule as written; services/alerts/README.md explains the fields."""

    rule: str = Field(pattern=RULE_NAME)
    signal: Literal["indicator", "goal", "obligation", "anomaly", "endpoint"]
    severity: Severity
    when: str
    summary: str = Field(min_length=1)
    clear: str | None = None
    unknown: str | None = None
    description: str = ""
    resolved: str = "the condition no longer holds"
    value: str | None = None
    threshold: str | None = None
    formula: str | None = None
    hold: str = Field("0s", alias="for")
    params: dict[str, str | int | float | bool] = {}
    labels: dict[str, str] = {}
    overrides: tuple[OverrideDocument, ...] = ()
    enabled: bool = True


def load_rules(folder: Path) -> RuleSet:
    """Every rule of the *.yaml files in `folder`. Raises Invalid with every fault of every file."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise Invalid([Fault(str(folder), "no_rules", "there is no *.yaml file in it")])
    texts = {path.name: path.read_text(encoding="utf-8") for path in files}
    rules, faults = read_rules(texts)
    if faults:
        raise Invalid(faults)
    return RuleSet(rules, hashlib.sha256("\0".join(texts.values()).encode()).hexdigest())


def read_rules(texts: dict[str, str]) -> tuple[list[Rule], list[Fault]]:
    """The rules in `texts` (by file name), and what is wrong in them."""
    rules: dict[str, Rule] = {}
    faults: list[Fault] = []
    for name, text in texts.items():
        for place, item in _items(name, text, faults):
            try:
                rule = _rule(place, item)
            except Invalid as error:
                faults.extend(error.faults)
                continue
            if rule.name in rules:
                faults.append(
                    Fault(
                        f"{place} rule",
                        "twice",
                        f"{rule.name} is also in {rules[rule.name].file}",
                    )
                )
            rules[rule.name] = rule
    return list(rules.values()), faults


def duration(text: str) -> timedelta:
    """`30s`, `15m`, `6h`, `2d`, `1w`. Raises ValueError."""
    match = DURATION.fullmatch(text)
    if match is None:
        raise ValueError("a duration is a number and one of s, m, h, d, w, e.g. 2d")
    found = timedelta(**{UNIT[match[2]]: int(match[1])})
    if found > DURATION_MAX:
        raise ValueError(f"a duration is at most {DURATION_MAX.days} days")
    return found


def _items(name: str, text: str, faults: list[Fault]) -> Iterable[tuple[str, Any]]:
    """Each rule of a file with its place, `file:line`."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        items = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = name if mark is None else f"{name}:{mark.line + 1}"
        faults.append(Fault(place, "yaml", str(getattr(error, "problem", error))))
        return []
    if not isinstance(root, yaml.SequenceNode):
        faults.append(Fault(name, "shape", "a file of rules is a list of rules"))
        return []
    places = [f"{name}:{node.start_mark.line + 1}" for node in root.value]
    return list(zip(places, items, strict=True))


def _rule(place: str, item: Any) -> Rule:
    title = item.get("rule", "") if isinstance(item, dict) else ""
    where = f"{place} {title}".strip()
    try:
        document = RuleDocument.model_validate(item)
    except ValidationError as error:
        raise Invalid([_fault(where, problem) for problem in error.errors()]) from None
    faults: list[Fault] = []
    rule = _compiled(document, place, where, faults)
    if rule is None:
        raise Invalid(faults)
    _try(rule, where)
    return rule


def _fault(where: str, problem: Any) -> Fault:
    field = ".".join(str(part) for part in problem["loc"])
    return Fault(f"{where} {field}".strip(), problem["type"], problem["msg"])


def _compiled(document: RuleDocument, place: str, where: str, faults: list[Fault]) -> Rule | None:
    def made(field: str, make: Any, source: str | None) -> Any:
        try:
            return None if source is None else make(source)
        except ValueError as error:
            code = "expression" if isinstance(error, BadExpression) else "duration"
            faults.append(Fault(f"{where} {field}", code, str(error)))
            return None

    parts = {
        "when": made("when", Expression, document.when),
        "clear": made("clear", Expression, document.clear),
        "unknown": made("unknown", Expression, document.unknown),
        "value": made("value", Expression, document.value),
        "threshold": made("threshold", Expression, document.threshold),
        "summary": made("summary", Template, document.summary),
        "description": made("description", Template, document.description),
        "resolved": made("resolved", Template, document.resolved),
        "hold": made("for", duration, document.hold),
    }
    overrides = tuple(
        Override(
            subject=item.subject,
            enabled=item.enabled,
            severity=item.severity,
            hold=made(f"overrides.{index}.for", duration, item.hold),
            params=item.params,
        )
        for index, item in enumerate(document.overrides)
    )
    if faults:
        return None
    return Rule(
        name=document.rule,
        kind=document.signal,
        severity=document.severity,
        params=document.params,
        labels=document.labels,
        formula=document.formula,
        overrides=overrides,
        enabled=document.enabled,
        file=place,
        **parts,
    )


def samples(kind: str) -> list[Signal]:
    """Signals that a rule on `kind` must be able to read."""
    full = _KNOWN[kind]
    sparse = {**full, **dict.fromkeys(_NULLABLE[kind])}
    at = datetime(2027, 6, 1, tzinfo=UTC)
    return [Signal(f"{kind}/sample", 1, at, data) for data in (full, sparse)]


def _try(rule: Rule, where: str) -> None:
    """Evaluates everything of the rule on the samples, so that a misspelt field is found at the start."""
    for signal in samples(rule.kind):
        context = Facts(signal, date(2027, 6, 1)).with_params(rule.params or {})
        for field in _PARTS:
            part: Expression | Template | None = getattr(rule, field)
            try:
                value = _evaluated(part, field, context)
            except EVALUATION_ERRORS as error:
                said = f"there is no field {error}" if isinstance(error, KeyError) else str(error)
                detail = f"fails on a signal of kind {rule.kind}: {said}"
                raise Invalid([Fault(f"{where} {field}", "evaluation", detail)]) from None
            if field == "unknown" and value:
                break  # of such a signal nothing else is asked


def _evaluated(part: Expression | Template | None, field: str, context: cel.Context) -> bool | str | None:
    if isinstance(part, Expression) and field in _CONDITIONS:
        return part.holds(context)
    return None if part is None else part.text(context)
