"""Writes what programs read about the services: `python -m deploy.documents`, after a route or the catalogue changed.

services/<name>/openapi.json of each service, services/ingest/asyncapi.json, and what webhooks hold (schema and examples
in services/alerts), with the settings of the defaults files; the list of metrics and Grafana's dashboards. A test fails
when a committed one has drifted. The JSON Schemas of events have a command of their own
(shared/events/write_schemas.py).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI

from deploy.grafana import dashboards
from deploy.prometheus import metrics
from services.alerts import payload_schema
from services.alerts.app import Service
from services.alerts.rules import RuleSet
from services.alerts.settings import AlertsSettings
from services.ingest import app as ingest
from services.ingest import asyncapi
from services.ingest.catalogue_examples import KafkaWayIn
from services.ingest.settings import IngestSettings
from services.supply import app as supply
from services.supply.api import add_routes
from services.supply.pages import add_pages
from services.supply.settings import SupplySettings
from shared import openapi
from shared.settings import ROOT
from shared.web import create_app

# Nothing is opened: these only have to be there.
_REQUIRED: Final = {
    "database_url": "postgresql://nobody@127.0.0.1/none",
    "kafka_password": "none",
    "session_secret": "none",
}


def documents() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each file and what it should hold."""
    services = ROOT / "services"
    settings = IngestSettings.load(**_REQUIRED, kafka_admin_password="none")
    yield services / "ingest" / "openapi.json", openapi.document(ingest.build(settings))
    yield services / "ingest" / "asyncapi.json", asyncapi.document(KafkaWayIn.of(settings))
    ledger = SupplySettings.load(**_REQUIRED, kafka_bootstrap="none", kafka_username="none")
    yield services / "supply" / "openapi.json", openapi.document(_supply(ledger))
    alerts = Service(AlertsSettings.load(**_REQUIRED), RuleSet((), "none"))
    yield services / "alerts" / "openapi.json", openapi.document(alerts.app())
    yield services / "alerts" / "webhook.schema.json", payload_schema.schema()
    for name, body in payload_schema.examples():
        yield services / "alerts" / "examples" / f"{name}.json", body


def watching() -> Iterator[tuple[Path, str]]:
    """What those who watch the services are given: the list of metrics, and Grafana's dashboards."""
    yield metrics.DOCUMENT, metrics.document()
    yield from dashboards.files()


def _supply(settings: SupplySettings) -> FastAPI:
    """Its routes alone: the rest of it needs the key that signs checkpoints."""
    app = create_app(settings, supply.TITLE, _no_life, dict)
    add_pages(app)
    add_routes(app)
    return app


@asynccontextmanager
async def _no_life(_: FastAPI) -> AsyncIterator[None]:
    yield


def main() -> None:
    for file, content in documents():
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for file, text in watching():
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
