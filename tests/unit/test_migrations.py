"""Migrations only add: the version before runs on while the newest ones are applied (deploy/README.md, Upgrades)."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from deploy.release.build import ROOT

SERVICES: Final = ("ingest", "supply", "alerts")
# Up to these nothing had been released, and nobody ran a version before.
UNRELEASED: Final = {"ingest": "0003", "supply": "0005", "alerts": "0003"}
# What would break a version that does not know of it: its statements would fail, or leave out what is now needed.
TAKES_AWAY: Final = {
    r"\bDROP (TABLE|COLUMN|SCHEMA|TYPE|VIEW|DEFAULT|SEQUENCE|FUNCTION)\b": "takes away what it still uses",
    r"\bRENAME\b": "names anew what it still uses",
    r"\bTRUNCATE\b|\bDELETE FROM\b": "deletes what it still reads",
    r"\bALTER (COLUMN )?\w+ (SET DATA )?TYPE\b": "gives a column another type",
    r"\bSET NOT NULL\b": "demands a value that it may leave out",
    r"\bADD (CONSTRAINT|CHECK|UNIQUE|PRIMARY KEY|FOREIGN KEY|EXCLUDE)\b": "refuses rows that it may write",
    r"\bADD (COLUMN )?(?!CONSTRAINT)\w+ (?:(?!DEFAULT|GENERATED|,).)*NOT NULL(?!(?:(?!,).)*DEFAULT)": "demands more",
    r"\bCREATE UNIQUE INDEX\b": "refuses rows that it may write",
    r"\bLOCK TABLE\b": "holds it up",
}


def _files(service: str) -> list[Path]:
    return sorted((ROOT / "services" / service / "migrations" / "versions").glob("[0-9]*.py"))


def _constant(file: Path, name: str) -> str | None:
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            value: str | None = ast.literal_eval(node.value)
            return value
    raise AssertionError(f"{file.name} has no {name}")


def statements(source: str) -> list[str]:
    """The SQL of a migration: every text in it but its docstring, in one line each."""
    tree = ast.parse(source)
    told = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [" ".join(text.split()) for text in told if text != ast.get_docstring(tree, clean=False)]


def faults(source: str) -> list[str]:
    """What of a migration would disturb the version before."""
    new = set(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?([\w.]+)", " ".join(statements(source))))
    return [
        f"{why}: {statement[:100]}"
        for statement in statements(source)
        for pattern, why in TAKES_AWAY.items()
        if re.search(pattern, statement, re.IGNORECASE) and not any(f" {table} " in f"{statement} " for table in new)
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_the_migrations_of_a_service_are_one_line_without_a_branch(service: str) -> None:
    files = _files(service)
    revisions = [_constant(file, "revision") for file in files]
    assert revisions == [file.name.partition("_")[0] for file in files]
    assert [_constant(file, "down_revision") for file in files] == [None, *revisions[:-1]]


@pytest.mark.parametrize("service", SERVICES)
def test_no_migration_takes_from_the_version_before_what_it_needs(service: str) -> None:
    released = [file for file in _files(service) if file.name.partition("_")[0] > UNRELEASED[service]]
    found = {file.name: faults(file.read_text("utf-8")) for file in released}
    assert {name: said for name, said in found.items() if said} == {}


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE audit DROP COLUMN detail",
        "ALTER TABLE audit RENAME COLUMN by TO name",
        "ALTER TABLE facts ALTER COLUMN by_regulator DROP DEFAULT",
        "ALTER TABLE facts ADD COLUMN said boolean NOT NULL",
        "ALTER TABLE facts ADD COLUMN one int DEFAULT 1, ADD COLUMN said boolean NOT NULL",
        "ALTER TABLE facts ALTER COLUMN key TYPE bigint",
        "ALTER TABLE facts ALTER said SET NOT NULL",
        "ALTER TABLE rejections ADD CHECK (kind <> '')",
        "CREATE UNIQUE INDEX one ON signals (subject)",
        "DROP TABLE audit",
        "DELETE FROM audit",
    ],
)
def test_what_would_disturb_the_version_before_is_found(statement: str) -> None:
    assert len(faults(f'"""Adds."""\nop.execute({statement!r})')) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE courses (name text PRIMARY KEY, body jsonb NOT NULL)",
        "ALTER TABLE audit ADD COLUMN name text NOT NULL DEFAULT '', ADD COLUMN before jsonb",
        "ALTER TABLE audit ALTER COLUMN detail DROP NOT NULL, ALTER COLUMN at SET DEFAULT now()",
        "CREATE INDEX lots_by_number ON lots (lot, gtin)",
        "UPDATE audit SET name = by",
    ],
)
def test_what_only_adds_is_let_through(statement: str) -> None:
    assert faults(f'"""Drop table: said in words only."""\nop.execute({statement!r})') == []
