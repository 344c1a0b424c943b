"""Runs the migrations of the schema `supply`."""

from sqlmodel import SQLModel

import services.supply.tables  # noqa: F401  (registers the tables)
from shared.migrations import run

run(SQLModel.metadata)
