"""The READMEs tell whoever calls a service every code that it can answer with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.ingest import authority, inbound, intake, judgement
from services.ingest.capture import api, negotiation
from services.ingest.epcis import checks, goods, rows
from shared import errors, faults, rate
from shared.events import cloudevent
from shared.settings import ROOT

# Where faults are named by a word in place: Fault(field, "code", …), refuse("code", …), _conflict(field, "code", …)
IN_PLACE = re.compile(r'(?:Fault\((?:"[^"]*"|[a-z_]+|None), |_?refuse\(|_conflict\("[a-z]+", )"([a-z_0-9]+)",')
# In the rules of EPCIS: fault(at, "code", …)
OF_EPCIS_RULES = re.compile(r'\bfault\([^\n]*?, "([a-z_]+)", ')
EPCIS = "".join(file.read_text("utf-8") for file in Path(ROOT, "services", "ingest", "epcis").glob("*.py"))
OF_EPCIS = {
    *OF_EPCIS_RULES.findall(EPCIS),
    *(checks.URI, checks.TIME, rows.COUNTRY),
    *(goods.LOT, goods.QUANTITY, goods.UNIT, goods.CONTAINER, goods.IDENTIFIER),
}
EVERYWHERE = [Path(ROOT, "shared", name) for name in ("json_input.py", "web.py", "access.py")]
INGEST = [
    *Path(ROOT, "services", "ingest").glob("*.py"),
    *Path(ROOT, "services", "ingest", "capture").glob("*.py"),
    *Path(ROOT, "shared", "events").glob("*.py"),
]
# A mistake in a rule stops the start and is told to whoever starts it.
ALERTS = [file for file in Path(ROOT, "services", "alerts").glob("*.py") if not file.name.startswith("rule_")]
# What pydantic can say of a body or of parameters, and what every key meets; alerts takes no day.
OF_EVERY_SERVICE = {*faults.CODES.values(), "type", faults.OTHER, errors.MORE_FAULTS, rate.RATE}
OF_EVENTS = {
    *faults.OWN_CODES,
    *authority.CODES,
    judgement.FUTURE_TIME,
    intake.TOO_MANY,
    intake.MEDIA_TYPE,
    intake.CONTENT_ENCODING,
    inbound.NO_VALUE,
    inbound.UNKNOWN_PRODUCER,
    inbound.DUPLICATE_HEADER,
    inbound.SIZE,
    api.TOO_MANY_WAITING,
    negotiation.UNSUPPORTED,
    cloudevent.NO_CLOUDEVENT,
}


@pytest.mark.parametrize(
    ("service", "sources", "named"),
    [
        ("ingest", INGEST, OF_EVERY_SERVICE | OF_EVENTS | OF_EPCIS),
        ("alerts", ALERTS, OF_EVERY_SERVICE - {"date"}),
    ],
)
def test_every_code_is_explained(service: str, sources: list[Path], named: set[str]) -> None:
    readme = ROOT / "services" / service / "README.md"
    told = {code for row in readme.read_text("utf-8").splitlines() for code in _codes_of(row)}
    used = {code for source in (*EVERYWHERE, *sources) for code in IN_PLACE.findall(source.read_text("utf-8"))}
    assert {"json", "cursor", "not_found"} <= used
    assert (used | named) - told == set()


def _codes_of(row: str) -> list[str]:
    return re.findall(r"`([a-z_0-9]+)`", row.split("|")[1]) if row.startswith("| `") else []
