"""Reads the settings of ingest; services/ingest/defaults.toml says what each means."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from yaml import YAMLError

from shared.keys import key_id_of
from shared.settings import ROOT, ServiceSettings, settings_config
from shared.topic_layout import producer_topic


class IngestSettings(ServiceSettings):
    SERVICE: ClassVar[str] = "ingest"
    model_config = settings_config("ingest")

    bootstrap_admin_key: SecretStr | None = None
    kafka_public_bootstrap: str
    kafka_admin_username: str
    kafka_admin_password: SecretStr
    topics_file: Path
    inbound_replication: int = Field(ge=0)

    batch_limit_events: int = Field(gt=0)
    rate_events_per_second: float = Field(gt=0)
    rate_events_burst: int = Field(gt=0)
    future_tolerance_seconds: float = Field(ge=0)
    publish_timeout_seconds: float = Field(gt=0)
    connect_wait_seconds: float = Field(ge=0)
    retry_after_seconds: int = Field(gt=0)
    in_flight_limit_events: int = Field(gt=0)

    edge_batch_records: int = Field(gt=0)
    replay_limit_rejections: int = Field(gt=0)

    capture_limit_events: int = Field(gt=0)
    capture_waiting_limit_bytes: int = Field(gt=0)
    capture_jobs_at_once: int = Field(gt=0)
    capture_lease_seconds: float = Field(gt=0)
    capture_poll_seconds: float = Field(gt=0)
    capture_attempts: int = Field(gt=0)

    announce_poll_seconds: float = Field(gt=0)
    announce_batch_keys: int = Field(gt=0)

    @field_validator("topics_file")
    @classmethod
    def _describes_inbound_topics(cls, value: Path) -> Path:
        file = value if value.is_absolute() else ROOT / value
        try:
            producer_topic("someone", file)
        except (OSError, KeyError, TypeError, AttributeError, YAMLError) as error:
            raise ValueError(f"{file} does not say what the topic of a producer is like: {error!r}") from None
        return file

    @field_validator("rate_events_burst")
    @classmethod
    def _lets_a_whole_batch_through(cls, value: int, info: ValidationInfo) -> int:
        batch = info.data.get("batch_limit_events", 0)
        if value < batch:
            raise ValueError(f"a request of {batch} events (batch_limit_events) could never be sent")
        return value

    @field_validator("bootstrap_admin_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and key_id_of(value.get_secret_value()) is None:
            raise ValueError("a key is sw_<12 characters>_<secret>")
        return value
