"""Runs the migrations of the schema `ingest`."""

from sqlmodel import SQLModel

import services.ingest.tables  # noqa: F401  (registers the tables)
from shared.migrations import run

run(SQLModel.metadata)
