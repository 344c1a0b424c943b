"""The README tells a producer's engineer every code that ingest can answer with."""

from __future__ import annotations

import re
from pathlib import Path

from services.ingest import authority, inbound, intake, judgement
from shared.events import cloudevent, fields
from shared.settings import ROOT

README = ROOT / "services" / "ingest" / "README.md"
# Where faults are named by a word in place: Fault(field, "code", …), refuse("code", …), _conflict(field, "code", …)
IN_PLACE = re.compile(r'(?:Fault\((?:"[^"]*"|[a-z_]+|None), |_?refuse\(|_conflict\("[a-z]+", )"([a-z_0-9]+)",')
SOURCES = (
    *Path(ROOT, "services", "ingest").glob("*.py"),
    *Path(ROOT, "shared", "events").glob("*.py"),
    ROOT / "shared" / "json_input.py",
)


def test_every_code_is_explained() -> None:
    told = {code for row in README.read_text("utf-8").splitlines() for code in _codes_of(row)}
    used = {code for source in SOURCES for code in IN_PLACE.findall(source.read_text("utf-8"))}
    named = {
        judgement.FUTURE_TIME,
        intake.TOO_MANY,
        intake.MEDIA_TYPE,
        intake.CONTENT_ENCODING,
        cloudevent.NO_CLOUDEVENT,
    }
    named |= {inbound.NO_VALUE, inbound.UNKNOWN_PRODUCER, inbound.DUPLICATE_HEADER, inbound.SIZE}
    assert {"json", "base64", "order", "name_taken"} <= used
    assert (used | named | authority.CODES | fields.OWN_CODES | set(fields._CODES.values())) - told == set()


def _codes_of(row: str) -> list[str]:
    return re.findall(r"`([a-z_0-9]+)`", row.split("|")[1]) if row.startswith("| `") else []
