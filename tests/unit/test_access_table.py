"""Every route of every service has its line in the table of access, and admits just the roles of that line."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI

from tests.access_table import ANONYMOUS, TABLE, routes
from tests.applications import applications

READING = ("GET", "OPTIONS")
# What firms send is data, kept with its sender; a form that judges keeps nothing; nobody's session is a change.
NO_CHANGE = {
    "POST /events",
    "POST /epcis/capture",
    "POST /catalogue/{type}/validate",
    "POST /sign-in",
    "POST /sign-out",
}


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FastAPI]:
    return applications(Path(tmp_path_factory.mktemp("access")))


@pytest.mark.parametrize("service", TABLE)
def test_every_route_has_a_line_and_every_line_a_route(service: str, apps: dict[str, FastAPI]) -> None:
    there, told = {route.name for route in routes(apps[service])}, TABLE[service].keys()
    missing = "".join(f'\n    "{name}": …,' for name in sorted(there - told))
    assert not missing, f"{service}: say in tests/access_table.py ({service.upper()}) who may call:{missing}"
    gone = sorted(told - there)
    assert not gone, f"{service}: tests/access_table.py has lines for routes that are not there: {gone}"


@pytest.mark.parametrize("service", TABLE)
def test_every_route_asks_for_the_roles_of_its_line(service: str, apps: dict[str, FastAPI]) -> None:
    lines = TABLE[service]
    wrong = {
        route.name: sorted(route.admits) for route in routes(apps[service]) if route.admits != lines.get(route.name)
    }
    assert wrong == {}, "these admit others than tests/access_table.py says"


@pytest.mark.parametrize("service", TABLE)
def test_nobody_changes_anything_without_a_key_but_by_signing_in_or_out(service: str) -> None:
    changing = {name for name, roles in TABLE[service].items() if not name.startswith(READING) and ANONYMOUS in roles}
    assert changing <= {"POST /sign-in", "POST /sign-out"}


@pytest.mark.parametrize("service", TABLE)
def test_whoever_changes_something_is_known_and_can_say_why(service: str, apps: dict[str, FastAPI]) -> None:
    silent = {
        route.name
        for route in routes(apps[service])
        if route.method not in READING and route.name not in NO_CHANGE and not route.audited
    }
    assert silent == set(), "ask for require_author, and hand the Author on to what writes the audit"
