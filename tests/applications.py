"""The applications of the three services, as they make them but not started: no database and no Kafka is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI

from services.alerts.app import Service
from services.alerts.rules import RuleSet
from services.alerts.settings import AlertsSettings
from services.ingest.app import build
from services.ingest.settings import IngestSettings
from services.supply.app import create
from services.supply.settings import SupplySettings
from services.supply.signing import Signer

NOWHERE: Final[dict[str, Any]] = {
    "database_url": "postgresql://nobody:nothing@127.0.0.1:9/nowhere",
    "kafka_bootstrap": "127.0.0.1:9",
    "kafka_username": "nobody",
    "kafka_password": "nothing",
    "session_secret": "the secret of tests",
}


def applications(directory: Path, **settings: Any) -> dict[str, FastAPI]:
    """By service; `directory` takes the key that supply signs with."""
    key = directory / "checkpoint-key.pem"
    key.write_bytes(Signer.fresh().private_pem())
    common = {**NOWHERE, **settings}
    supply, _ = create(SupplySettings.load(**common, checkpoint_key_file=key))
    return {
        "ingest": build(IngestSettings.load(**common, kafka_admin_password="nothing")),
        "supply": supply,
        "alerts": Service(AlertsSettings.load(**common), RuleSet((), "none")).app(),
    }
