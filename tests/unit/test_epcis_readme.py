"""The README's worked EPCIS document becomes what the README says it becomes."""

from __future__ import annotations

import re

from services.ingest.epcis import documents
from services.ingest.epcis.capture import captured
from services.ingest.epcis.occasion import Known, Sender
from services.ingest.epcis.outcome import Mapped
from shared.json_input import loads
from shared.settings import ROOT
from tests.unit.epcis_given import PRESENT

README = ROOT / "services" / "ingest" / "README.md"


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
