"""Reads rules from YAML and refuses what is wrong in them, naming file, line, rule and field."""

from __future__ import annotations

import hashlib
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import cel
from pydantic import BaseModel, ConfigDict, Field

from services.alerts.alert import Severity
from services.alerts.facts import Facts
from services.alerts.muting import BadPattern, Inhibition, Matcher, Op
from services.alerts.rule_samples import samples
from services.alerts.rule_yaml import Item, items
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
REMIND_MIN: Final = timedelta(minutes=1)
LEVEL_MAX: Final = 9
DURATION: Final = re.compile(r"(\d{1,6})(s|m|h|d|w)")
UNIT: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
RULE_NAME: Final = r"^[a-z][a-z0-9-]{0,62}$"

_CONDITIONS: Final = ("unknown", "when", "clear")
_PARTS: Final = (
    *_CONDITIONS,
    "value",
    "threshold",
    "summary",
    "description",
    "resolved",
    "group",
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
    signal: Literal["indicator", "goal", "obligation", "anomaly", "endpoint", "pipeline"]
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
    reopen: str = "0s"
    remind: str | None = None
    escalate: tuple[str, ...] = Field((), max_length=LEVEL_MAX)
    group: str | None = None
    params: dict[str, str | int | float | bool] = {}
    labels: dict[str, str] = {}
    overrides: tuple[OverrideDocument, ...] = ()
    enabled: bool = True


class MatcherDocument(_Strict):
    """A condition on a label, rule, severity or subject."""

    name: str = Field(min_length=1)
    op: Op = Op.EQUAL
    value: str


class EqualDocument(_Strict):
    """A label of the source and the one of the target that must be equal to it."""

    source: str
    target: str


class InhibitionDocument(_Strict):
    """What mutes what; services/alerts/README.md explains the fields."""

    inhibit: str = Field(pattern=RULE_NAME)
    source: tuple[MatcherDocument, ...] = Field(min_length=1)
    target: tuple[MatcherDocument, ...] = Field(min_length=1)
    equal: tuple[str | EqualDocument, ...] = Field(min_length=1)


def load_rules(folder: Path) -> RuleSet:
    """Every rule of the *.yaml files in `folder`. Raises Invalid with every fault of every file."""
    texts = texts_in(folder)
    rules, inhibitions, faults = read(texts)
    if faults:
        raise Invalid(faults)
    return RuleSet(rules, digest_of(texts), inhibitions)


def digest_of(texts: dict[str, str]) -> str:
    return hashlib.sha256("\0".join(texts.values()).encode()).hexdigest()


def texts_in(folder: Path) -> dict[str, str]:
    """Every *.yaml file in `folder`, by its name. Raises Invalid for a folder without any, OSError."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise Invalid([Fault(str(folder), "no_rules", "there is no *.yaml file in it")])
    return {path.name: path.read_text(encoding="utf-8", errors="replace") for path in files}


def read_rules(texts: dict[str, str]) -> tuple[list[Rule], list[Fault]]:
    """The rules in `texts` (by file name), and what is wrong in them and in the inhibitions."""
    rules, _, faults = read(texts)
    return rules, faults


def read(texts: dict[str, str]) -> tuple[list[Rule], list[Inhibition], list[Fault]]:
    """The rules and inhibitions in `texts` (by file name), and what is wrong in them."""
    found: dict[str, Rule | Inhibition] = {}
    places: dict[str, str] = {}
    faults: list[Fault] = []
    for name, text in texts.items():
        for item in items(name, text, faults):
            try:
                read_item = _inhibition(item) if "inhibit" in item.keys else _rule(item)
            except Invalid as error:
                faults.extend(error.faults)
                continue
            if read_item.name in found:
                faults.append(item.fault(("rule",), "twice", f"{read_item.name} is also in {places[read_item.name]}"))
            found[read_item.name] = read_item
            places[read_item.name] = item.place
    rules = [one for one in found.values() if isinstance(one, Rule)]
    return rules, [one for one in found.values() if isinstance(one, Inhibition)], faults


def duration(text: str) -> timedelta:
    """`30s`, `15m`, `6h`, `2d`, `1w`. Raises ValueError."""
    match = DURATION.fullmatch(text)
    if match is None:
        raise ValueError("a duration is a number and one of s, m, h, d, w, e.g. 2d")
    found = timedelta(**{UNIT[match[2]]: int(match[1])})
    if found > DURATION_MAX:
        raise ValueError(f"a duration is at most {DURATION_MAX.days} days")
    return found


def repeated(text: str) -> timedelta:
    """A duration that something may be done in, again and again. Raises ValueError."""
    found = duration(text)
    if found < REMIND_MIN:
        raise ValueError(f"reminders come at least {REMIND_MIN} apart")
    return found


def _rule(item: Item) -> Rule:
    document = item.validated(RuleDocument)
    faults: list[Fault] = []
    rule = _compiled(document, item, faults)
    if rule is None:
        raise Invalid(faults)
    _try(rule, item)
    return rule


def _inhibition(item: Item) -> Inhibition:
    document = item.validated(InhibitionDocument)
    try:
        source, target = (
            tuple(Matcher(one.name, one.op, one.value) for one in side) for side in (document.source, document.target)
        )
        for matcher in (*source, *target):
            matcher.holds({})
    except BadPattern as error:
        raise Invalid([item.fault((), "pattern", str(error))]) from None
    pairs = tuple((one, one) if isinstance(one, str) else (one.source, one.target) for one in document.equal)
    return Inhibition(document.inhibit, source, target, pairs)


def _compiled(document: RuleDocument, item: Item, faults: list[Fault]) -> Rule | None:
    def made(field: str, make: Any, source: str | None) -> Any:
        try:
            return None if source is None else make(source)
        except ValueError as error:
            code = "expression" if isinstance(error, BadExpression) else "duration"
            faults.append(item.fault(field.split("."), code, str(error)))
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
        "group": made("group", Template, document.group),
        "hold": made("for", duration, document.hold),
        "reopen": made("reopen", duration, document.reopen),
        "remind": made("remind", repeated, document.remind),
        "escalate": tuple(made(f"escalate.{at}", duration, text) for at, text in enumerate(document.escalate)),
        "labels": {name: made(f"labels.{name}", Template, text) for name, text in document.labels.items()},
    }
    if not faults and list(parts["escalate"]) != sorted(set(parts["escalate"])):
        faults.append(item.fault(("escalate",), "order", "each time is later than the one before"))
    overrides = tuple(
        Override(
            subject=override.subject,
            enabled=override.enabled,
            severity=override.severity,
            hold=made(f"overrides.{index}.for", duration, override.hold),
            params=override.params,
        )
        for index, override in enumerate(document.overrides)
    )
    if faults:
        return None
    return Rule(
        name=document.rule,
        kind=document.signal,
        severity=document.severity,
        params=document.params,
        formula=document.formula,
        overrides=overrides,
        enabled=document.enabled,
        file=item.place,
        **parts,
    )


def _try(rule: Rule, item: Item) -> None:
    """Evaluates everything of the rule on the samples, so that a misspelt field is found at the start."""
    for signal in samples(rule.kind):
        context = Facts(signal, date(2027, 6, 1)).with_params(rule.params or {})
        parts = {field: getattr(rule, field) for field in _PARTS}
        parts |= {f"labels.{name}": label for name, label in (rule.labels or {}).items()}
        for field, part in parts.items():
            try:
                value = _evaluated(part, field, context)
            except EVALUATION_ERRORS as error:
                said = f"there is no field {error}" if isinstance(error, KeyError) else str(error)
                detail = f"fails on a signal of kind {rule.kind}: {said}"
                raise Invalid([item.fault(field.split("."), "evaluation", detail)]) from None
            if field == "unknown" and value:
                break  # of such a signal nothing else is asked


def _evaluated(part: Expression | Template | None, field: str, context: cel.Context) -> bool | str | None:
    if isinstance(part, Expression) and field in _CONDITIONS:
        return part.holds(context)
    return None if part is None else part.text(context)
