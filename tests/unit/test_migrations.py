"""The migrations of each service are one line: two branches that both add one are seen before a database is."""

from __future__ import annotations

import warnings

import pytest
from alembic.script import ScriptDirectory

from shared.settings import ROOT


@pytest.mark.parametrize("service", ["ingest", "supply", "alerts"])
def test_the_migrations_of_a_service_are_one_line(service: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a number that is there twice is a warning
        revisions = list(ScriptDirectory(ROOT / "services" / service / "migrations").walk_revisions())
    numbers = [revision.revision for revision in reversed(revisions)]
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]
    files = {file.name[:4] for file in (ROOT / "services" / service / "migrations/versions").glob("[0-9]*.py")}
    assert files == set(numbers)
