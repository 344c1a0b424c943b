"""Decides what a rule says of a signal: CEL conditions and templates, compiled and tried once. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, Final

import cel

from services.alerts.alert import Finding, Severity
from services.alerts.facts import VARIABLES, Facts
from services.alerts.lifecycle import Plan, Verdict
from services.alerts.muting import Inhibition

PLACEHOLDER: Final = re.compile(r"\$\{([^{}]*)\}")
# What evaluating a compiled expression raises when the signal has not the shape that the rule expects.
EVALUATION_ERRORS: Final = (
    KeyError,
    TypeError,
    ValueError,
    RuntimeError,
    OverflowError,
)


class BadExpression(ValueError):
    """The text is no CEL expression, or uses a variable that rules do not have."""


class Expression:
    """A CEL expression over the facts."""

    def __init__(self, source: str) -> None:
        self.source = source
        try:
            self._program = cel.compile(source)
        except ValueError as error:
            raise BadExpression(str(error).splitlines()[0].partition(": ERROR: ")[2] or str(error)) from None
        unknown = set(self._program.variables()) - VARIABLES
        if unknown:
            raise BadExpression(
                f"unknown variable {', '.join(sorted(unknown))}; there are {', '.join(sorted(VARIABLES))}"
            )
        self.reads_days = "days_left" in self._program.variables()

    def value(self, context: cel.Context) -> Any:
        return self._program.execute(context)

    def text(self, context: cel.Context) -> str | None:
        value = self.value(context)
        return None if value is None else str(value)

    def holds(self, context: cel.Context) -> bool:
        value = self.value(context)
        if not isinstance(value, bool):
            raise TypeError(f"the condition `{self.source}` gives {value!r}, neither true nor false")
        return value


class Template:
    """Text with `${…}` placeholders, each a CEL expression."""

    def __init__(self, source: str) -> None:
        self.source = source
        pieces = PLACEHOLDER.split(source)
        self._literal = pieces[::2]
        self._inserted = [Expression(piece) for piece in pieces[1::2]]

    def text(self, context: cel.Context) -> str:
        inserted = [expression.text(context) or "" for expression in self._inserted] + [""]
        return "".join(before + value for before, value in zip(self._literal, inserted, strict=True))


@dataclass(frozen=True)
class Override:
    """What differs for the subjects that a glob matches."""

    subject: str
    enabled: bool | None = None
    severity: Severity | None = None
    hold: timedelta | None = None
    params: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Rule:
    """One rule in force. `kind` is the kind of signal it looks at; README.md explains each field."""

    name: str
    kind: str
    severity: Severity
    when: Expression
    summary: Template
    description: Template
    resolved: Template
    clear: Expression | None = None
    unknown: Expression | None = None
    value: Expression | None = None
    threshold: Expression | None = None
    formula: str | None = None
    group: Template | None = None
    hold: timedelta = timedelta()
    reopen: timedelta = timedelta()
    remind: timedelta | None = None
    escalate: tuple[timedelta, ...] = ()
    params: Mapping[str, Any] | None = None
    labels: Mapping[str, Template] | None = None
    overrides: tuple[Override, ...] = ()
    enabled: bool = True
    file: str = ""

    def for_subject(self, subject: str) -> Rule:
        """The rule with the overrides that match `subject`, the last one winning."""
        rule = self
        for override in self.overrides:
            if fnmatchcase(subject, override.subject):
                rule = rule._overridden(override)
        return rule

    def _overridden(self, by: Override) -> Rule:
        return replace(
            self,
            enabled=self.enabled if by.enabled is None else by.enabled,
            severity=by.severity or self.severity,
            hold=self.hold if by.hold is None else by.hold,
            params={**(self.params or {}), **(by.params or {})},
        )

    @property
    def plan(self) -> Plan:
        return Plan(self.hold, self.reopen, self.remind, self.escalate)

    @property
    def reads_days(self) -> bool:
        """Whether the verdict may change by the passing of days alone."""
        return any(part.reads_days for part in (self.when, self.clear, self.unknown) if part is not None)

    def judge(self, facts: Facts) -> Verdict:
        """Raises one of EVALUATION_ERRORS for a signal of another shape than the rule expects."""
        context = facts.with_params(self.params or {})
        if self.unknown is not None and self.unknown.holds(context):
            return Verdict.UNKNOWN
        if self.when.holds(context):
            return Verdict.HOLDS
        if self.clear is None or self.clear.holds(context):
            return Verdict.CLEAR
        return Verdict.BETWEEN

    def say(self, facts: Facts, links: dict[str, Any]) -> Finding:
        """What the alert shows. Raises one of EVALUATION_ERRORS as `judge`."""
        context, signal = facts.with_params(self.params or {}), facts.signal
        evidence = {
            "version": signal.version,
            "at": signal.at.isoformat(),
            **signal.data,
        }
        if self.formula is not None:
            evidence["formula"] = self.formula
        return Finding(
            severity=self.severity,
            summary=self.summary.text(context),
            description=self.description.text(context),
            resolution=self.resolved.text(context),
            value=None if self.value is None else self.value.text(context),
            threshold=None if self.threshold is None else self.threshold.text(context),
            labels={"kind": signal.kind, "scope": signal.scope, **self._labels(context)},
            evidence=evidence,
            links=links,
            group=None if self.group is None else self.group.text(context) or None,
        )

    def _labels(self, context: cel.Context) -> dict[str, str]:
        return {name: label.text(context) for name, label in (self.labels or {}).items()}

    def as_json(self) -> dict[str, Any]:
        """An item of GET /rules."""
        return {
            "rule": self.name,
            "signal": self.kind,
            "enabled": self.enabled,
            "severity": self.severity.value,
            "for_seconds": self.hold.total_seconds(),
            "when": self.when.source,
            "clear": None if self.clear is None else self.clear.source,
            "unknown": None if self.unknown is None else self.unknown.source,
            "reopen_seconds": self.reopen.total_seconds(),
            "remind_seconds": None if self.remind is None else self.remind.total_seconds(),
            "escalate_seconds": [after.total_seconds() for after in self.escalate],
            "group": None if self.group is None else self.group.source,
            "params": dict(self.params or {}),
            "labels": {name: label.source for name, label in (self.labels or {}).items()},
            "summary": self.summary.source,
            "overrides": [override.subject for override in self.overrides],
            "file": self.file,
        }


class RuleSet:
    """The rules and inhibitions in force; `digest` changes when any of them does."""

    def __init__(self, rules: Iterable[Rule], digest: str = "", inhibitions: Iterable[Inhibition] = ()) -> None:
        self.rules = tuple(rules)
        self.inhibitions = tuple(inhibitions)
        self.digest = digest
        self._by_kind: dict[str, tuple[Rule, ...]] = {}
        for rule in self.rules:
            self._by_kind[rule.kind] = (*self._by_kind.get(rule.kind, ()), rule)

    def on(self, subject: str) -> tuple[Rule, ...]:
        """The enabled rules for `subject`, overrides applied."""
        chosen = (rule.for_subject(subject) for rule in self._by_kind.get(subject.partition("/")[0], ()))
        return tuple(rule for rule in chosen if rule.enabled)
