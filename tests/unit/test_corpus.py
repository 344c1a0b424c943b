"""The corpus of hostile records: what its classes are, and that the pure decisions say of each what it expects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from starlette.datastructures import Headers

from services.ingest import intake
from services.ingest.intake import Limits
from shared.errors import Problem
from tests.corpus import wires
from tests.corpus.every import every, given
from tests.corpus.forgeries import forgeries
from tests.corpus.hostile import AUTHORIZATION, Answer, Given, Hostile, Request, text_of
from tests.unit.ingest_given import OTHER, OWN, OWN_SITE, gln, sender

LEAST_CLASSES = 40
LARGEST_BODY_BYTES = 2**20
NOW = datetime(2030, 12, 31, tzinfo=UTC)
LIMITS = Limits(events=1000, ahead=timedelta(minutes=5))
FORGED = 2_000


def told(seed: int = 1) -> Given:
    return given((OWN, OWN_SITE), OTHER, "unit", seed)


@cache
def classes() -> tuple[Hostile, ...]:
    return tuple(every(told()))


def verdict(request: Request, roles: tuple[str, ...] = ("manufacturer",)) -> Answer:
    headers = Headers(raw=[(name.lower(), value) for name, value in request.headers])
    try:
        intake.read(headers, request.body, sender(*roles), NOW, LIMITS)
    except Problem as problem:
        return Answer(problem.status, frozenset(fault.code for fault in problem.faults))
    return Answer(202)


def test_there_are_enough_classes_and_each_has_a_name_of_its_own() -> None:
    names = [found.name for found in classes()]
    assert len(names) == len(set(names)) >= LEAST_CLASSES
    assert sum(found.record is not None for found in classes()) >= LEAST_CLASSES
    assert sum(found.request is not None for found in classes()) >= LEAST_CLASSES


def test_the_same_seed_makes_the_same_bytes() -> None:
    assert classes() == tuple(every(told())) != tuple(every(told(seed=2)))


def test_the_decision_on_a_request_is_what_its_class_expects() -> None:
    of_the_server = {found.name for found in wires.classes(told())}
    differing = {}
    for found in classes():
        request = found.request
        if request is None or found.name in of_the_server or len(request.body) > LARGEST_BODY_BYTES:
            continue  # decided before its content is looked at
        if any(name == AUTHORIZATION for name, _ in request.headers):
            continue
        if (said := verdict(request)) != found.answer:
            differing[found.name] = (said, found.answer)
    assert differing == {}


@pytest.mark.parametrize("role", ["manufacturer", "importer", "distributor", "regulator"])
def test_nothing_that_is_forged_is_allowed(role: str) -> None:
    others = [OTHER, gln(902), gln(903)]
    for event in forgeries(told(), frozenset({role}), others, FORGED):
        request = Request(((b"content-type", b"application/cloudevents+json"),), text_of(event))
        answer = verdict(request, (role,))
        assert answer.status == 403, (event, answer)
