"""The README tells a producer's engineer every code that ingest can answer with."""

from __future__ import annotations

import re
from pathlib import Path

from services.ingest import authority, intake
from services.ingest.epcis import checks, documents, goods, rows
from services.ingest.epcis.capture import captured
from services.ingest.epcis.occasion import Known, Sender
from services.ingest.epcis.outcome import Mapped
from shared.events import cloudevent, fields
from shared.json_input import loads
from shared.settings import ROOT
from tests.unit.epcis_given import PRESENT

README = ROOT / "services" / "ingest" / "README.md"
# Where faults are named by a word in place: Fault(field, "code", …), refuse("code", …), _conflict(field, "code", …)
IN_PLACE = re.compile(r'(?:Fault\((?:"[^"]*"|[a-z_]+|None), |_?refuse\(|_conflict\("[a-z]+", )"([a-z_0-9]+)",')
# In the rules of EPCIS: fault(at, "code", …)
OF_EPCIS = re.compile(r'\bfault\([^\n]*?, "([a-z_]+)", ')
SOURCES = (
    *Path(ROOT, "services", "ingest").glob("*.py"),
    *Path(ROOT, "shared", "events").glob("*.py"),
    ROOT / "shared" / "json_input.py",
)


def test_every_code_is_explained() -> None:
    told = {code for row in README.read_text("utf-8").splitlines() for code in _codes_of(row)}
    used = {code for source in SOURCES for code in IN_PLACE.findall(source.read_text("utf-8"))}
    epcis = "".join(source.read_text("utf-8") for source in Path(ROOT, "services", "ingest", "epcis").glob("*.py"))
    used |= set(OF_EPCIS.findall(epcis)) | {checks.URI, checks.TIME, rows.COUNTRY}
    used |= {goods.LOT, goods.QUANTITY, goods.UNIT, goods.CONTAINER, goods.IDENTIFIER}
    named = {intake.FUTURE_TIME, intake.TOO_MANY, intake.MEDIA_TYPE, intake.CONTENT_ENCODING, cloudevent.NO_CLOUDEVENT}
    assert {"json", "base64", "order", "name_taken", "unknown_field", "one_of"} <= used
    assert (used | named | authority.CODES | fields.OWN_CODES | set(fields._CODES.values())) - told == set()


def _codes_of(row: str) -> list[str]:
    return re.findall(r"`([a-z_0-9]+)`", row.split("|")[1]) if row.startswith("| `") else []


def test_the_worked_epcis_document_becomes_what_is_said() -> None:
    section = README.read_text("utf-8").partition("## EPCIS 2.0")[2]
    document, _, after = section.partition("```json")[2].partition("```")
    said = re.findall(r"^\| `(.*)` \| `(.*)` \| `({.*})` \|$", after.partition("\n## ")[0], re.MULTILINE)
    sender = Sender("firm", frozenset({"manufacturer"}), ("9521000000018",))
    read = documents.read(loads(document.encode()))
    found = [one.outcome for one in captured(read, sender, Known({"9521000000018": "VN"}), PRESENT)]
    events = [event for outcome in found if isinstance(outcome, Mapped) for event in outcome.events]
    assert [(event.id, event.type, event.data.canonical().decode()) for event in events] == said
    assert len(said) == 2 and {event.source for event in events} == {"urn:gln:9521000000018"}
