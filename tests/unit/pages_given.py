"""What templates of supply are given, as the pages give it to them: full examples, and empty ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any, Final

from fastapi import FastAPI, Request, Response

from services.supply.course import Sides, Weight
from services.supply.figures import Measured
from services.supply.goals import Baseline, Goal, Step, Target, assess
from services.supply.pages import LINKS, TEMPLATES
from services.supply.pages.chart_data import GoalChart, Milestone, Shares, TimeLine
from services.supply.pages.charts import goal_chart, shares_chart, time_line
from services.supply.pages.words import TONES, WORDS
from services.supply.settings import SupplySettings
from shared import pages, sign_in
from shared.access import AccessCache
from shared.pages import Pages, page_router
from shared.web import create_app

TODAY: Final = date(2026, 11, 24)
KNOWN: Final = "2026-11-24T03:00:00+00:00"
AT: Final = {"checkpoint": 4_711, "known": KNOWN}
NEVER: Final = {"checkpoint": None, "known": None}
GTIN: Final = "09520000010010"
LIST: Final = {"next": "/x?cursor=b", "first": "/x"}
LAST: Final = {"next": None, "first": None}
EVENT: Final = {"source": "urn:gln:9520000000004", "id": "b/1", "link": "/events/urn%3Agln%3A9520000000004/b%2F1"}


def goal(**more: Any) -> Goal:
    """80 % by volume in 2030."""
    told: dict[str, Any] = {
        "goal": "volume",
        "title": "80 % of demand met by domestic production",
        "source": "Decision 1165",
        "indicator": "domestic_share_volume",
        "scope": "all",
        "baseline": Baseline(on=date(2023, 12, 31), value=Decimal("0.6"), source="press"),
        "target": Target(value=Decimal("0.8"), by=date(2030, 12, 31)),
    }
    return Goal(**{**told, **more})


def assessed(of: Goal, value: str | None, kind: str, why: str | None = None) -> dict[str, Any]:
    """An item of the page of goals."""
    inputs = {"domestic": "1200", "imported": "800", "unit": "ddd"}
    measured = Measured(
        of.indicator, of.scope, TODAY, None if value is None else Decimal(value), why, Decimal("0.93"), inputs
    )
    return {**assess(of, measured, TODAY).as_json(), "kind": kind, "title_language": "en", "chart": _chart(of, value)}


def _chart(of: Goal, value: str | None) -> Any:
    if of.target.by is None:
        return None
    actual = () if value is None else (("2026-08-31", 0.6), ("2026-09-30", 0.61), ("2026-11-24", float(value)))
    path = ((of.baseline.on.isoformat(), float(of.baseline.value)), (of.target.by.isoformat(), float(of.target.value)))
    shown = GoalChart(
        actual, path, float(of.target.value), TODAY.isoformat(), "share", ("actual", "expected"), of.title
    )
    return goal_chart(shown, "en")


STEPPED: Final = goal(
    goal="steps",
    title="Twelve products registered",
    indicator="registered_products",
    scope="agreement:A-1",
    baseline=Baseline(on=date(2025, 5, 27), value=Decimal(0)),
    target=Target(value=Decimal(12), by=date(2028, 12, 31)),
    trajectory="step",
    steps=(Step(by=date(2026, 12, 31), value=Decimal(4), title="the first four"),),
)
UNDATED: Final = goal(goal="undated", title="Never fewer", target=Target(value=Decimal("0.7")))
RED: Final = assessed(goal(), "0.58", "share")
DUTY: Final = {
    "obligation": "A-1:m1",
    "kind": "milestone",
    "subject": "A-1",
    "title": "Transfer: the first product registered",
    "due_on": "2026-12-01",
    "state": "open",
    "met_on": None,
    "days_left": 7,
    "late": False,
    "tone": "warn",
    "events": [EVENT, EVENT],
}
LATE: Final = {**DUTY, "obligation": "A-1:m0", "due_on": "2026-11-20", "days_left": -4, "late": True, "tone": "bad"}
DONE: Final = {
    **DUTY,
    "obligation": "A-1:m2",
    "state": "met",
    "met_on": "2026-10-01",
    "days_left": None,
    "tone": "good",
}
LINE: Final = TimeLine(
    (Milestone("registered", "2026-12-01", None, False), Milestone("made", "2026-11-20", "2026-10-01", True)),
    TODAY.isoformat(),
    ("due", "reached", "overdue"),
    "milestones",
)
AGREEMENT: Final = {
    "agreement": "A-1",
    "title": "Servier to Ampharco",
    "originator": "9520000000011",
    "recipient": "9520000000028",
    "signed_on": date(2025, 5, 27),
    "ended_on": None,
    "duties": [LATE, DUTY, DONE],
    "milestones": [LATE, DUTY, DONE],
    "chart": time_line(LINE, "en"),
    "events": [EVENT],
}
ODD: Final = {
    "kind": "overdrawn_lot",
    "subject": f"{GTIN}/L1",
    "since": "2026-10-01",
    "until": None,
    "detail": "20 packs more left than came",
    "events": [EVENT],
    "about": f"{GTIN} / L1",
    "link": f"/lots/{GTIN}/L1",
}
PLACES: Final = {
    "produced": -5_000,
    "imported": 0,
    "quarantine": 0,
    "available": 3_800,
    "consumed": 1_200,
    "exported": 0,
}
LOT: Final = {
    "gtin": GTIN,
    "lot": "L1",
    "origin": "domestic",
    "places": PLACES,
    "usable": 3_800,
    "blocked": 10,
    "expired": 5,
    "expires_on": "2028-11-01",
    "recalled_on": "2026-11-20",
    "supplied_on": "2026-11-05",
    "introduced_on": "2026-11-02",
    "link": f"/lots/{GTIN}/L1",
}
TRANSFER: Final = {
    "gtin": GTIN,
    "lot": "L1",
    "debit": "quarantine",
    "credit": "available",
    "quantity": 5_000,
    "effective_on": "2026-11-05",
    "reversal": True,
    "event": {"source": EVENT["source"], "id": "b/1", "type": "supply.batch.released.v1"},
    "recorded_at": KNOWN,
    "link": EVENT["link"],
}
SIDES: Final = [Sides("2026-10-31", "1200000", "800000", "0.93"), Sides("2026-09-30", "1100000", "850000", None)]


class _Packing:
    """What a page reads of services.supply.registry.Packing."""

    class product:  # noqa: N801 - stands for an attribute
        name, substance, form, strength, atc, class_ = (
            "Metformin A",
            "metformin",
            "tablet",
            "500 mg",
            "A10BA02",
            "generic",
        )

    origin, local_step, pack_size, ddd_per_pack, agreement = "domestic", "full", 30, Decimal("7.5"), "A-1"


def _shares_shown() -> list[dict[str, Any]]:
    days = tuple((side.on, float(side.domestic), float(side.imported)) for side in reversed(SIDES))
    chart = shares_chart(Shares(days, ("domestic", "imported"), "supply by origin"), "en")
    title = "Supply in defined daily doses by origin, month by month"
    return [{"name": "domestic_share_volume", "title": title, "chart": chart, "sides": SIDES}]


_EXPLAINED: Final = {
    "name": "domestic_share_volume",
    "scope": "all",
    "on": TODAY.isoformat(),
    "value": "0.58",
    "why": None,
    "coverage": "0.93",
    "window": "days_365",
    "unit": "ddd",
    "formula": "D / (D + I)",
    "checkpoint": 4_711,
    "known": KNOWN,
    "terms": [
        {"input": "unit", "value": None, "meaning": "of the sums", "links": {}},
        {"input": "domestic", "value": "1200", "meaning": "D", "links": {"events": "/indicators/x/explain?input=d"}},
    ],
    "products": [{"gtin": GTIN, "product": "Metformin A", "value": None, "why": "no_supply"}],
    "items": [
        {
            "input": "domestic",
            "id": "b/1",
            "type": "supply.batch.released.v1",
            "quantity": 5,
            "lot": "L1",
            "effective_on": "2026-11-05",
            "links": {"event": EVENT["link"], "lot": LOT["link"]},
        },
        {"input": "products", "id": "g", "type": "supply.registration.granted.v1", "links": {"event": EVENT["link"]}},
    ],
}
_EVENT: Final = {
    "source": EVENT["source"],
    "id": "b/1",
    "type": "supply.batch.released.v1",
    "time": KNOWN,
    "state": "recorded",
    "topic": "supply.movements.v1",
    "partition": 2,
    "offset": 17,
    "recorded_at": KNOWN,
    **AT,
    "transfers": [TRANSFER, {**TRANSFER, "lot": None, "link": None}],
    "corrected_by": [EVENT],
    "refused": [{}],
    "anomalies": [ODD],
}
# By name: the template and what it is given.
GIVEN: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "goals": (
        "goals.html",
        {
            "groups": [
                ("all", [RED, assessed(UNDATED, "0.72", "share")]),
                ("agreement:A-1", [assessed(STEPPED, None, "number", "no_supply")]),
            ],
            "counted": [("off_track", 1), ("met", 1), ("no_data", 1)],
            "tones": TONES,
            "refresh": 10,
            **AT,
        },
    ),
    "goals-empty": ("goals.html", {"groups": [], "counted": [], "tones": TONES, **NEVER}),
    "goal": (
        "goal.html",
        {
            "goal": {**RED, "steps": assessed(STEPPED, "3", "number")["steps"]},
            "chart": RED["chart"],
            "course": [
                {"on": "2026-11-24", "value": "0.58", "expected": "0.68"},
                {"on": "2026-10-31", "value": None, "expected": None},
            ],
            "products": [
                Weight(GTIN, "Metformin A", "0.5", None, "10", "10"),
                Weight("09520000010027", None, None, "no_supply", None, None),
            ],
            "course_known": KNOWN,
            "inputs": [("domestic", "1200", "D"), ("imported", "800", "I")],
            "formula": "D / (D + I)",
            "explain": "/indicators/domestic_share_volume/explain?scope=all",
            "tones": TONES,
            "refresh": 10,
            **AT,
        },
    ),
    "shares": ("shares.html", {"shares": _shares_shown(), "course_known": KNOWN, **AT}),
    "shares-empty": ("shares.html", {"shares": [], "course_known": None, **NEVER}),
    "products": (
        "products.html",
        {
            "q": "met",
            "products": [
                {
                    "gtin": GTIN,
                    "name": "Metformin A",
                    "substance": "metformin",
                    "strength": "500 mg",
                    "atc": "A10BA02",
                    "authorisation": "VD-12345-26",
                    "origin": "domestic",
                    "months": "4.25",
                    "usable": "123456",
                }
            ],
            "lots": [{"gtin": GTIN, "lot": "MET1", "name": None, "link": f"/lots/{GTIN}/MET1"}],
            **LIST,
            **AT,
        },
    ),
    "products-empty": ("products.html", {"q": "", "products": [], "lots": [], **LAST, **NEVER}),
    "product": (
        "product.html",
        {
            "gtin": GTIN,
            "packing": _Packing,
            "price": 45_000,
            "authorisations": [
                {
                    "number": "VD-12345-26",
                    "status": "suspended",
                    "valid": False,
                    "origin": "domestic",
                    "local_step": "full",
                    "granted_on": TODAY,
                    "expires_on": date(2031, 11, 24),
                    "events": [EVENT],
                }
            ],
            "figures": [
                {"name": "months_of_stock", "value": "4.25", "why": None, "inputs": {"usable": "3800"}},
                {"name": "supply_change", "value": None, "why": "too_few_lots", "inputs": {}},
            ],
            "lots": [LOT, {**LOT, "lot": None, "link": None, "recalled_on": None}],
            "odd": [ODD],
            "tones": TONES,
            **LIST,
            **AT,
        },
    ),
    "product-unregistered": (
        "product.html",
        {
            "gtin": GTIN,
            "packing": None,
            "price": None,
            "authorisations": [],
            "figures": [],
            "lots": [],
            "odd": [],
            "tones": TONES,
            **LAST,
            **AT,
        },
    ),
    "lot": ("lot.html", {"lot": {**LOT, "transfers": [TRANSFER]}, "name": "Metformin A", "odd": [ODD], **LIST, **AT}),
    "lot-marked": ("lot.html", {"lot": {**LOT, "transfers": []}, "name": None, "odd": [], **LAST, **AT}),
    "agreements": ("agreements.html", {"agreements": [AGREEMENT, {**AGREEMENT, "chart": None}], **AT}),
    "agreements-empty": ("agreements.html", {"agreements": [], **NEVER}),
    "agreement": (
        "agreement.html",
        {
            "agreement": AGREEMENT,
            "products": [
                {"name": "Gliclazide", "substance": "gliclazide", "gtin": GTIN},
                {"name": "Ivabradine", "substance": "ivabradine", "gtin": ""},
            ],
            "goals": [assessed(STEPPED, "3", "number")],
            "tones": TONES,
            **AT,
        },
    ),
    "obligations": (
        "obligations.html",
        {"items": [LATE, DUTY, DONE], "state": "open", "kind": "", "kinds": ("milestone", "renewal"), **LIST, **AT},
    ),
    "obligations-empty": (
        "obligations.html",
        {"items": [], "state": "met", "kind": "renewal", "kinds": ("renewal",), **LAST, **NEVER},
    ),
    "anomalies": (
        "anomalies.html",
        {
            "items": [ODD, {**ODD, "link": None}],
            "counts": [("overdrawn_lot", 2)],
            "state": "open",
            "kind": "",
            "kinds": ("overdrawn_lot",),
            **LIST,
            **AT,
        },
    ),
    "anomalies-ended": (
        "anomalies.html",
        {
            "items": [{**ODD, "until": "2026-11-01"}],
            "counts": [],
            "state": "ended",
            "kind": "overdrawn_lot",
            "kinds": ("overdrawn_lot",),
            **LAST,
            **AT,
        },
    ),
    "anomalies-empty": (
        "anomalies.html",
        {"items": [], "counts": [], "state": "open", "kind": "", "kinds": ("overdrawn_lot",), **LAST, **NEVER},
    ),
    "event": ("event.html", {"event": _EVENT, "tones": TONES}),
    "event-without-effect": (
        "event.html",
        {
            "event": {
                **_EVENT,
                "state": "no_effect",
                "transfers": [],
                "corrected_by": [],
                "refused": [],
                "anomalies": [],
            },
            "tones": TONES,
        },
    ),
    "explain": ("explain.html", {"found": _EXPLAINED, "kind": "share", "about": "domestic", **LIST}),
    "explain-empty": (
        "explain.html",
        {
            "found": {**_EXPLAINED, "value": None, "why": "no_supply", "terms": [], "items": [], "products": []},
            "kind": "share",
            "about": None,
            **LAST,
        },
    ),
}


def application() -> FastAPI:
    """The pages of supply with the examples, each at /<name>."""
    settings = SupplySettings.load(
        database_url="unused", kafka_bootstrap="x", kafka_username="x", kafka_password="x", session_secret="x"
    )

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield

    app = create_app(settings, "test", life, dict)
    app.state.access = AccessCache()
    app.state.access.ready.set()
    shown = Pages("supply", TEMPLATES, LINKS, settings.services(), WORDS)
    pages.add_to(app, shown)
    sign_in.add_to(app)
    browsers = page_router()

    @browsers.get("/{name}")
    async def example(request: Request, name: str) -> Response:
        template, given = GIVEN[name]
        return shown.show(request, template, **given)

    app.include_router(browsers)
    return app


class Structure(HTMLParser):
    """What a page is built of, for those who do not see it: faults are named in `faults`."""

    VOID: Final = frozenset("meta link input br img hr path rect line circle".split())

    def __init__(self, text: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self._open: list[str] = []
        self._ids: set[str] = set()
        self._labelled: set[str] = set()
        self._fields: list[str] = []
        self._tables: list[set[str]] = []
        self._count: dict[str, int] = {}
        self.feed(text)
        self.faults += [
            f"{tag} {count} times" for tag in ("h1", "main", "title") if (count := self._count.get(tag, 0)) != 1
        ]
        self.faults += [f"field {field} has no label" for field in self._fields if field not in self._labelled]
        self.faults += [f"<{tag}> is not closed" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self._count[tag] = self._count.get(tag, 0) + 1
        if tag not in self.VOID:
            self._open.append(tag)
        if (name := told.get("id")) is not None:
            self.faults += [f"id {name} twice"] if name in self._ids else []
            self.faults += [f"id {name!r} is none"] if not name or any(letter.isspace() for letter in name) else []
            self._ids.add(name)
        if tag == "label":
            self._labelled.add(told.get("for") or "")
        if tag in ("input", "select", "textarea") and told.get("type") != "hidden":
            self._fields.append(told.get("id") or "?")
        if tag == "table":
            self._tables.append(set())
        if tag == "th" and told.get("scope") not in ("col", "row"):
            self.faults.append("a heading of a table without scope")
        if tag == "caption" and self._tables:
            self._tables[-1].add(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self._open[-1:] or 'nothing'}")
            return
        self._open.pop()
        if tag == "table" and "caption" not in self._tables.pop():
            self.faults.append("a table without caption")
