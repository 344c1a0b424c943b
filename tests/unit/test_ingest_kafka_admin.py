"""What ingest makes of a Kafka that does not answer its administrator."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from services.ingest import kafka_admin
from services.ingest.kafka_admin import KafkaAdmin
from services.ingest.settings import IngestSettings
from shared.errors import Transient


class Silent:
    """Stands in for a client whose requests, each with a time of its own, are never answered."""

    def _ask(self, asked: list[Any], *, request_timeout: float) -> dict[int, Future[None]]:
        return {number: Future() for number, _ in enumerate(asked)}

    create_topics = create_acls = delete_acls = alter_user_scram_credentials = _ask


async def test_a_kafka_that_never_answers_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_admin, "REQUEST_TIMEOUT_SECONDS", 0.001)
    settings = IngestSettings.load(
        database_url="unused", kafka_password="unused", kafka_admin_password="unused", session_secret="unused"
    )
    admin = KafkaAdmin(settings)
    monkeypatch.setattr(admin, "_client", Silent())
    with pytest.raises(Transient, match="away: _TIMED_OUT"):
        await admin.admit("someone", "someone.key")
    with pytest.raises(Transient, match="away: _TIMED_OUT"):
        await admin.expel("someone", "someone.key")
