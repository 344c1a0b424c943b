"""Reads the settings of alerts; services/alerts/defaults.toml says what each means."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from shared.settings import ROOT, ServiceSettings, settings_config

Network = IPv4Network | IPv6Network


class AlertsSettings(ServiceSettings):
    SERVICE: ClassVar[str] = "alerts"
    model_config = settings_config("alerts")

    rules_dir: Path
    rules_poll_seconds: float = Field(gt=0)

    allowed_cidrs: Annotated[tuple[Network, ...], NoDecode]
    allow_http: bool

    pipeline_poll_seconds: float = Field(gt=0)
    signals_batch_records: int = Field(gt=0)
    timer_poll_seconds: float = Field(gt=0)
    timer_batch_subjects: int = Field(gt=0)

    group_wait_seconds: float = Field(ge=0)
    group_interval_seconds: float = Field(ge=0)

    delivery_poll_seconds: float = Field(gt=0)
    delivery_lease_seconds: float = Field(gt=0)
    delivery_concurrency: int = Field(gt=0)
    delivery_endpoint_concurrency: int = Field(gt=0)
    delivery_connect_timeout_seconds: float = Field(gt=0)
    delivery_timeout_seconds: float = Field(gt=0)
    delivery_give_up_days: float = Field(gt=0)
    secret_overlap_hours: float = Field(gt=0)

    relay_poll_seconds: float = Field(gt=0)
    relay_batch_changes: int = Field(gt=0)
    relay_lease_seconds: float = Field(gt=0)

    @field_validator("allowed_cidrs", mode="before")
    @classmethod
    def _comma_separated(cls, value: Any) -> Any:
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(ip_network(part.strip()) if isinstance(part, str) else part for part in parts if part)

    @field_validator("rules_dir")
    @classmethod
    def _from_the_root(cls, value: Path) -> Path:
        return value if value.is_absolute() else ROOT / value
