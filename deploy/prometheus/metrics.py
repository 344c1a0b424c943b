"""Lists every metric of the services by the modules that declare them, as it is documented in metrics.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from prometheus_client.metrics import MetricWrapperBase

from services.alerts import metrics as alerts
from services.ingest import metrics as ingest
from services.supply import metrics as supply
from shared import telemetry

HERE: Final = Path(__file__).parent
DOCUMENT: Final = HERE / "metrics.md"
REGISTRIES: Final[Mapping[str, ModuleType]] = {
    "every service": telemetry,
    "ingest": ingest,
    "supply": supply,
    "alerts": alerts,
}
# What the client library adds to each process: CPU, memory, files, the collector of garbage.
OF_THE_PROCESS: Final[Mapping[str, tuple[str, ...]]] = {
    "process_cpu_seconds_total": (),
    "process_open_fds": (),
    "process_max_fds": (),
    "process_resident_memory_bytes": (),
    "process_start_time_seconds": (),
    "python_gc_collections_total": ("generation",),
}
# What Prometheus adds to every series, and its own series of each target.
OF_THE_TARGET: Final = ("job", "instance")
OF_PROMETHEUS: Final[Mapping[str, tuple[str, ...]]] = {"up": ()}


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric as a module declares it; `name` as it is scraped, but for the suffixes of a histogram."""

    where: str
    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
    same_everywhere: bool

    def series(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The names under which Prometheus knows it, with the labels of each."""
        if self.kind != "histogram":
            yield self.name, self.labels
            return
        yield f"{self.name}_bucket", (*self.labels, "le")
        yield f"{self.name}_count", self.labels
        yield f"{self.name}_sum", self.labels


def declared() -> Iterator[Declared]:
    """Every metric of ours, in the order of its module."""
    for where, module in REGISTRIES.items():
        for metric in vars(module).values():
            if isinstance(metric, MetricWrapperBase):
                (described,) = metric.describe()
                name = f"{described.name}_total" if described.type == "counter" else described.name
                same = metric in getattr(module, "SAME_EVERYWHERE", ())
                yield Declared(where, name, described.type, metric._labelnames, described.documentation, same)


def series() -> dict[str, tuple[str, ...]]:
    """Every series there can be, with its labels but for those of the target."""
    ours = {name: labels for metric in declared() for name, labels in metric.series()}
    return {**ours, **OF_THE_PROCESS, **OF_PROMETHEUS}


def document() -> str:
    """metrics.md."""
    lines = [
        "# Metrics",
        "",
        "What `GET /metrics` of each service shows, as OpenMetrics where it is asked for. Written by `make documents`.",
        "Names are of base units; no label holds a product, a lot or an event. Counters and histograms are of the",
        "process that was asked: add them up over instances. What every replica reads alike from the database is",
        "marked `max`: take `max by`. `process_*` and `python_*` come with the client library.",
    ]
    for where in REGISTRIES:
        lines += ["", f"## {where[0].upper()}{where[1:]}", ""]
        lines += ["| metric | type | over replicas | labels | meaning |", "| --- | --- | --- | --- | --- |"]
        for metric in declared():
            if metric.where == where:
                labels = ", ".join(f"`{label}`" for label in metric.labels)
                over = "max" if metric.same_everywhere else ""
                lines.append(f"| `{metric.name}` | {metric.kind} | {over} | {labels} | {metric.meaning} |")
    return "\n".join(lines) + "\n"
