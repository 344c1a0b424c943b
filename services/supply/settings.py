"""The settings of the supply service. Defaults with their meaning: defaults.toml in this folder."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from shared.settings import ServiceSettings, settings_config


class SupplySettings(ServiceSettings):
    """See defaults.toml."""

    SERVICE: ClassVar[str] = "supply"
    model_config = settings_config("supply")

    goals_dir: Path
    checkpoint_dir: Path
    checkpoint_key_file: Path
    batch_records: int = Field(gt=0, le=50_000)
    write_lanes: int = Field(ge=1, le=4)
    write_timeout_seconds: float = Field(gt=0)
    idle_in_transaction_timeout_ms: int = Field(gt=0)
    checkpoint_every_seconds: float = Field(gt=0)
    evaluation_lease_seconds: float = Field(gt=0)
    heartbeat_every_seconds: float = Field(gt=0)
    catching_up_lag_records: int = Field(gt=0)
    history_age_days: int = Field(gt=0)
    history_quiet_seconds: float = Field(gt=0)
    answer_timeout_seconds: float = Field(gt=0)
    max_series: int = Field(gt=0)
    stall_after_seconds: float = Field(gt=0)
    max_exports: int = Field(gt=0)
    export_timeout_seconds: float = Field(gt=0)
    export_stall_seconds: float = Field(gt=0)
    course_every_seconds: float = Field(gt=0)
    course_timeout_seconds: float = Field(gt=0)
    verify_timeout_seconds: float = Field(gt=0)
    domestic_local_steps: tuple[Literal["full", "fill_finish", "packaging"], ...]

    @field_validator("checkpoint_dir", "checkpoint_key_file")
    @classmethod
    def _from_where_it_was_started(cls, value: Path) -> Path:
        """State is never kept beside the code, which may lie in a package folder."""
        return value.absolute()
