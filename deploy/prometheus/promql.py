"""Tells which series and labels an expression of Prometheus names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from promql_parser import AggregateExpr, BinaryExpr, Expr, VectorSelector, parse, walk


@dataclass(frozen=True, slots=True)
class Named:
    """What an expression names: each series with the labels it must match, which of them are asked for by `max` at
    once, and the labels that others are put together by."""

    series: tuple[tuple[str, frozenset[str]], ...]
    by_max: tuple[str, ...]
    labels: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.series)


def named(expression: str) -> Named:
    """Raises ValueError for what is no expression."""
    found: list[tuple[str, frozenset[str]]] = []
    by_max: list[str] = []
    labels: set[str] = set()

    def visit(part: Expr) -> None:
        if isinstance(part, VectorSelector):
            found.append((part.name or "", frozenset(matcher.name for matcher in part.matchers.matchers)))
        if isinstance(part, AggregateExpr) and isinstance(part.expr, VectorSelector) and str(part.op) == "max":
            by_max.append(part.expr.name or "")
        labels.update(_put_together_by(part))

    walk(parse(expression), visit)
    return Named(tuple(found), tuple(by_max), frozenset(labels))


def _put_together_by(part: Expr) -> Iterator[str]:
    """Labels of `by`, `without`, `on`, `ignoring` and `group_left`."""
    if isinstance(part, AggregateExpr) and part.modifier is not None:
        yield from part.modifier.labels
    if isinstance(part, BinaryExpr) and part.modifier is not None:
        if part.modifier.matching is not None:
            yield from part.modifier.matching.labels
        yield from part.modifier.group_labels or ()
