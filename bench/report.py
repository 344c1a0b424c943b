"""Puts what was measured beside the targets: build/bench.json, and a table for people. Pure but for the printing."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from bench.watch import Measured

Results = Mapping[str, Any]
_AT_LEAST, _AT_MOST = "≥", "≤"
BESIDE: Final = ("postgres", "kafka", "load")  # processes that are not the contestant's own


class Target(msgspec.Struct, frozen=True):
    """A bound that must hold and one to aim for; `value` finds the figure in the results (KeyError: not measured)."""

    name: str
    sign: str
    bound: float
    aim: float
    unit: str
    value: Callable[[Results], float]


def _median(results: Results, name: str) -> float:
    return float(results[name]["rate"]["median"])


def _ratio(results: Results, name: str, other: str) -> float:
    return _median(results, name) / _median(results, other)


def _open(results: Results, name: str) -> Results:
    found: Results = results["alerts_open"][name]
    return found


TARGETS: Final = (
    Target("supply / default_way", _AT_LEAST, 2.5, 4, "", lambda r: _ratio(r, "supply", "default_way")),
    Target("supply / ceiling", _AT_LEAST, 0.20, 0.40, "", lambda r: _ratio(r, "supply", "ceiling")),
    Target(
        "national indicator as known", _AT_MOST, 3, 1, "s", lambda r: float(r["as_of"]["indicator_seconds"]["median"])
    ),
    Target("rate with history / without", _AT_LEAST, 0.80, 0.95, "", lambda r: float(r["history"]["ratio"])),
    Target("as_of, 99th percentile", _AT_MOST, 50, 15, "ms", lambda r: float(r["as_of"]["p99_ms"])),
    Target(
        "pages, the slowest's 95th percentile", _AT_MOST, 100, 50, "ms", lambda r: float(r["pages"]["worst_p95_ms"])
    ),
    Target("rebuild", _AT_MOST, 60, 30, "s", lambda r: float(r["rebuild"]["seconds"])),
    Target("ingest, batches of 100", _AT_LEAST, 15_000, 30_000, "/s", lambda r: _median(r, "ingest_batches")),
    Target("ingest / bare, batches", _AT_LEAST, 0.4, 0.6, "", lambda r: _ratio(r, "ingest_batches", "bare_batches")),
    Target("ingest, single events", _AT_LEAST, 1_500, 3_000, "/s", lambda r: _median(r, "ingest_singles")),
    Target("ingest / bare, singles", _AT_LEAST, 0.4, 0.6, "", lambda r: _ratio(r, "ingest_singles", "bare_singles")),
    Target("webhooks, one process", _AT_LEAST, 1_500, 3_000, "/s", lambda r: _median(r, "alerts_deliveries")),
    Target(
        "webhooks while 1 of 50 hangs / without",
        _AT_LEAST,
        0.9,
        0.98,
        "",
        lambda r: _median(r, "alerts_one_hangs") / _median(r, "alerts_fifty_endpoints"),
    ),
    Target(
        "a signal of a batch, 100,000 alerts open, p99",
        _AT_MOST,
        5,
        2,
        "ms",
        lambda r: float(_open(r, "signal_of_a_batch_ms")["p99"]),
    ),
    Target(
        "a signal committed alone, the same, median",
        _AT_MOST,
        5,
        3,
        "ms",
        lambda r: float(_open(r, "signal_ms")["p50"]),
    ),
    Target("GET /alerts, the same, p99", _AT_MOST, 50, 20, "ms", lambda r: float(_open(r, "get_alerts_ms")["p99"])),
    Target("event to webhook, p99", _AT_MOST, 2_000, 1_500, "ms", lambda r: float(r["latency"]["ms"]["p99"])),
    Target("edge, records", _AT_LEAST, 15_000, 20_000, "/s", lambda r: _median(r, "edge")),
    Target("peak memory of the edge", _AT_MOST, 300, 200, "MB", lambda r: float(r["edge"]["peak_memory_mb"])),
    Target("peak memory of supply", _AT_MOST, 500, 300, "MB", lambda r: float(r["memory"]["supply_peak_mb"])),
)


def spread(values: Sequence[float], digits: int = 0) -> dict[str, Any]:
    """Every value, the median, and the width from least to greatest as a share of the median."""
    middle = statistics.median(values)
    rounded = [round(value, digits) for value in values]
    return {
        "rounds": rounded,
        "median": round(middle, digits),
        "spread": round((max(values) - min(values)) / middle, 3),
    }


def contestant(what: str, rounds: Sequence[Measured], **more: Any) -> dict[str, Any]:
    """The rounds of one contestant: movements a second, processor time for each movement, memory."""
    last = sorted(rounds, key=lambda one: one.rate)[len(rounds) // 2]
    return {
        "what": what,
        **more,
        "rate": spread([one.rate for one in rounds]),
        "seconds": [round(one.seconds, 2) for one in rounds],
        "cpu_us_a_movement": {name: round(used / last.records * 1e6, 1) for name, used in last.cpu_seconds.items()},
        "peak_memory_mb": max(one.peak_memory_mb for one in rounds),
    }


def judged(results: Results) -> list[dict[str, Any]]:
    """Each target with what was measured, and whether it holds; None where it was not measured."""
    return [_judged(target, results) for target in TARGETS]


def _judged(target: Target, results: Results) -> dict[str, Any]:
    try:
        value: float | None = round(target.value(results), 4)
    except KeyError:
        value = None
    return {
        "name": target.name,
        "unit": target.unit,
        "target": f"{target.sign} {target.bound:g}",
        "aim": f"{target.sign} {target.aim:g}",
        "value": value,
        "holds": None if value is None else _holds(target.sign, value, target.bound),
        "aim_reached": None if value is None else _holds(target.sign, value, target.aim),
    }


def _holds(sign: str, value: float, bound: float) -> bool:
    return value >= bound if sign == _AT_LEAST else value <= bound


def show(report: Results, console: Console) -> None:
    """The rates, the targets, and what was left out."""
    results = report["results"]
    rates = Table("events a second", "median", "spread", "µs of its own", "µs of PostgreSQL", "peak MB", box=None)
    for name, one in results.items():
        if isinstance(one, Mapping) and "cpu_us_a_movement" in one:
            spent = one["cpu_us_a_movement"]
            server = spent.get("postgres", 0.0)
            own = sum(used for process, used in spent.items() if process not in BESIDE)
            figures = (f"{one['rate']['median']:,.0f}", f"{one['rate']['spread']:.0%}", f"{own:.1f}", f"{server:.1f}")
            rates.add_row(name, *figures, f"{one['peak_memory_mb']:.0f}")
    goals = Table("target", "measured", "must", "aim", "", box=None)
    for item in report["targets"]:
        value = "not measured" if item["value"] is None else f"{item['value']:,.3g} {item['unit']}"
        verdict = {None: "", True: "holds", False: "MISSED"}[item["holds"]]
        goals.add_row(
            item["name"], value, item["target"], item["aim"], "aim reached" if item["aim_reached"] else verdict
        )
    console.print(rates, "", goals, sep="\n")
    if (edge := results.get("edge")) is not None:
        shares = ", ".join(f"{statistics.median(values):.0f}" for values in edge["resident_mb"].values())
        console.print(
            f"edge: {edge['to_bare_edge']:.2f} of the rate of bare_edge; {edge['hostile']:,} of {edge['records']:,} "
            f"records hostile; resident MB after 10, 50 and 100 % of them: {shares}",
            highlight=False,
        )
    for name, why in report["not_measured"].items():
        console.print(f"not measured: {name}: {why}")
