"""Reads a service's settings: environment first, then secret files, then the service's own documented defaults file."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from shared.clock import Clock, parse_clock

ROOT = Path(__file__).resolve().parent.parent


class ServiceSettings(BaseSettings):
    """What every service needs. Each service derives its own with its prefix and its defaults.toml."""

    SERVICE: ClassVar[str] = ""

    http_host: str
    http_port: int = Field(ge=0, le=65535)
    public_url: str
    links_supply_url: str
    links_alerts_url: str
    links_ingest_url: str
    body_limit_bytes: int = Field(gt=0)
    page_limit: int = Field(gt=0, le=10_000)
    rate_requests_per_second: float = Field(gt=0)
    rate_requests_burst: int = Field(gt=0)
    shutdown_timeout_seconds: float = Field(gt=0, le=10)

    database_url: SecretStr
    database_pool_size: int = Field(gt=0)
    database_timeout_seconds: float = Field(gt=0)

    kafka_bootstrap: str
    kafka_security_protocol: str
    kafka_sasl_mechanism: str
    kafka_username: str
    kafka_password: SecretStr
    kafka_ca_file: Path | None = None

    clock: str
    session_secret: SecretStr
    session_hours: float = Field(gt=0, le=8)
    sign_in_failures_per_minute: float = Field(gt=0)
    sign_in_failures_burst: int = Field(gt=0)
    trusted_proxies: str

    oidc_issuer: str
    oidc_client_id: str
    oidc_client_secret: SecretStr | None = None
    oidc_name: str
    oidc_scope: str
    oidc_roles_claim: str
    oidc_roles: dict[str, Literal["viewer", "operator", "admin"]]

    instance: str = Field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    log_level: str

    @field_validator("clock")
    @classmethod
    def _is_a_clock(cls, value: str) -> str:
        parse_clock(value)
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        """Plain http is for a provider on the same machine."""
        found = urlsplit(value)
        loopback = found.scheme == "http" and found.hostname in ("127.0.0.1", "localhost", "::1")
        if value and not loopback and (found.scheme != "https" or not found.hostname):
            raise ValueError("a provider is reached by https://")
        return value

    @field_validator("oidc_client_id")
    @classmethod
    def _goes_with_a_provider(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("oidc_issuer") and not value:
            raise ValueError("a provider (oidc_issuer) knows us by it")
        return value

    def services(self) -> dict[str, str]:
        """Where the pages of the three services are, by name."""
        return {"supply": self.links_supply_url, "alerts": self.links_alerts_url, "ingest": self.links_ingest_url}

    def domain_clock(self) -> Clock:
        return parse_clock(self.clock)

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """The settings, or the end of the process with one line for each that is missing or wrong."""
        try:
            return cls(**overrides)
        except ValidationError as error:
            for item in error.errors():
                name = "_".join(str(part) for part in item["loc"]).upper()
                print(f"setting {cls.model_config.get('env_prefix', '')}{name}: {item['msg']}", file=sys.stderr)
            raise SystemExit(2) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, file_secret_settings, TomlConfigSettingsSource(settings_cls))


def settings_config(service: str) -> SettingsConfigDict:
    """Prefix SUPPLY_WATCH_<SERVICE>_, secret files in SUPPLY_WATCH_SECRETS_DIR, defaults in the service's folder."""
    return SettingsConfigDict(
        env_prefix=f"SUPPLY_WATCH_{service.upper()}_",
        toml_file=ROOT / "services" / service / "defaults.toml",
        secrets_dir=os.environ.get("SUPPLY_WATCH_SECRETS_DIR"),
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )
