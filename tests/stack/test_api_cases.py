"""Thousands of generated requests to each service: no 5xx, and no answer that its OpenAPI document does not tell of."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.ingest.catalogue_examples import example, may_say
from shared.events.catalogue import CATALOGUE
from shared.events.cloudevent import BATCH
from shared.keys import Principal

pytestmark = pytest.mark.proof

CASES: Final = int(os.environ.get("API_CASES", "2000"))
TIMEOUT_SECONDS: Final = 20.0
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
FAILURES_SHOWN: Final = 20
# Every so many cases one goes without a key.
KEYLESS_EVERY: Final = 20
# The most cases of some operations: they take a tenth of a second to make up.
MOST: Final = {"POST /events": 100, "POST /catalogue/{type}/validate": 50}
# What made-up names would hardly hit: used in half of the cases. With `_drawn`, the ids that a service draws itself.
KNOWN: Final[dict[str, dict[str, list[str]]]] = {
    "supply": {
        "gtin": ["09520000010010"],
        "lot": ["A2603-01", "FR-77/2"],
        "source": ["urn:gln:9521000000018"],
        "id": ["mes-2026-004711", "corr-2026-0003"],
        "what": ["products", "authorisations", "agreements"],
        "form": ["csv", "parquet"],
        "goal": ["vn-2030-domestic-volume"],
    },
    "ingest": {"type": list(CATALOGUE), "gln": ["9521000000018"]},
    "alerts": {},
}
# What services stumble over: put in the place of some parameter in a quarter of the cases.
ODD: Final = [
    *("\0", "a\0b", "%00", "\U0010ffff", "\u202e", " ", "+", "..", "a/b", "' OR 1=1 --", "A" * 3_000),
    *("0", "-1", "9" * 40, "1e400", "NaN", "true", "null", "[]", "{}"),
    *("0001-01-01", "9999-12-31", "2026-02-30", "0000-00-00", "-9999-01-01", "20261124"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-24T00:00:60Z", "2026-11-24T00:00:00"),
    *("bnVsbA", "WyIwMDAxLTAxLTAxVDAwOjAwOjAwWiIsMF0", "LTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OQ"),  # cursors
]
# It says of no lot what was made.
INCOMPLETE: Final[dict[str, Any]] = {
    "@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    "type": "ObjectEvent",
    "eventID": "urn:uuid:7d3c1f60-6f0e-4f5e-9a57-2f1b7a0c5d11",
    "eventTime": "2026-05-04T09:30:00+07:00",
    "eventTimeZoneOffset": "+07:00",
    "action": "DELETE",
    "bizStep": "destroying",
    "quantityList": [{"epcClass": "urn:epc:class:lgtin:9521000.001001.A1"}],
}
ENDPOINTS: Final = 4
NOWHERE: Final = "http://127.0.0.1:9/"


@dataclass
class Campaign:
    """Requests to one service, and what came of them."""

    service: str
    url: str
    keys: dict[str, str]
    seed: int
    known: dict[str, list[str]]
    roles: dict[str, list[str]] = field(default_factory=dict)
    session: requests.Session = field(default_factory=requests.Session)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def run(self, operations: list[Any], cases: int) -> None:
        """Those that are bounded come first; the others share what is left, those that take things away come last."""
        for number, operation in enumerate(sorted(operations, key=lambda it: (_most(it), it.method == "delete"))):
            left = cases - self.statuses.total()
            self._vary(operation, min(_most(operation), -(-left // (len(operations) - number))))

    def _vary(self, operation: Any, cases: int) -> None:
        known = {name: st.sampled_from(values) for name, values in self.known.items()}

        @seed(self.seed)
        @settings(
            max_examples=cases,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(_cases(operation), st.integers(0, 3), st.fixed_dictionaries(known), _odd(operation))
        def vary(case: Any, way: int, names: dict[str, str], odd: tuple[str, str]) -> None:
            if way > 1:
                case.path_parameters = {name: names.get(name, value) for name, value in case.path_parameters.items()}
            elif way > 0:
                _put(case, *odd)
            self.send(case, self.key_of(operation))

        vary()

    def key_of(self, operation: Any) -> str | None:
        if self.statuses.total() % KEYLESS_EVERY == 0:
            return None
        return self.keys["producer" if self.roles[operation.label] == ["producer"] else "admin"]

    def send(self, case: Any, key: str | None) -> None:
        headers = {"Authorization": f"Bearer {key}" if key else None}
        answer = case.call(
            base_url=self.url,
            session=self.session,
            headers=headers,
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
        )
        self.statuses[answer.status_code] += 1
        try:
            case.validate_response(answer, checks=CHECKS)
        except (Failure, FailureGroup) as failure:
            causes = failure.exceptions if isinstance(failure, FailureGroup) else [failure]
            told = "; ".join(str(cause).splitlines()[0] for cause in causes)
            self.failures[f"{answer.status_code} {told}\n  {case.as_curl_command()[:500]}"] += 1


def _cases(operation: Any) -> st.SearchStrategy[Any]:
    """Three in four fit the document; the others break it, and take three times as long to make up."""
    fitting: st.SearchStrategy[Any] = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if not _is_varied(operation):
        return fitting
    breaking = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    return st.integers(0, 3).flatmap(lambda number: fitting if number else breaking)


def _odd(operation: Any) -> st.SearchStrategy[tuple[str, str]]:
    """A parameter's name, and what it shall be; an empty name where there is none."""
    names = [parameter.name for parameter in operation.iter_parameters() if parameter.location.name != "HEADER"]
    return st.tuples(st.sampled_from(names or [""]), st.sampled_from(ODD))


def _put(case: Any, name: str, value: str) -> None:
    if name in (case.path_parameters or {}):
        case.path_parameters = {**case.path_parameters, name: value}
    elif name:
        case.query = {**(case.query or {}), name: value}


def _most(operation: Any) -> int:
    """With nothing to vary one case tells all."""
    return MOST.get(operation.label, CASES) if _is_varied(operation) else 1


def _is_varied(operation: Any) -> bool:
    return bool(operation.body) or any(operation.iter_parameters())


def _without_keys(document: dict[str, Any]) -> dict[str, list[str]]:
    """Takes what the document says of keys away, which we send ourselves. The roles of each operation."""
    del document["components"]["securitySchemes"]
    return {
        f"{method.upper()} {path}": operation.pop("security", [{"key": []}])[0]["key"]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


@pytest.fixture
def campaign(credentials: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[Campaign]:
    service = request.param
    drawn = int(os.environ.get("API_SEED") or random.randrange(2**32))
    keys = {**credentials["keys"], "producer": credentials["producers"]["manufacturer-1"]["key"]}
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {keys['admin']}"
        ids = _drawn(service, session, credentials[service], keys["producer"])
        yield Campaign(service, credentials[service], keys, drawn, {**KNOWN[service], **ids}, session=session)
        if service == "alerts":
            for identity in _listed(session, f"{credentials['alerts']}/endpoints", url=NOWHERE):
                session.delete(f"{credentials['alerts']}/endpoints/{identity}", timeout=TIMEOUT_SECONDS)


def _drawn(service: str, session: requests.Session, url: str, producer: str) -> dict[str, list[str]]:
    if service == "ingest":
        return _of_ingest(session, url, producer)
    return _of_alerts(session, url) if service == "alerts" else {}


def _of_ingest(session: requests.Session, url: str, producer: str) -> dict[str, list[str]]:
    """A capture that is incomplete, its event, and what is kept of it."""
    headers = {"Authorization": f"Bearer {producer}"}
    told = session.post(f"{url}/epcis/capture", json=INCOMPLETE, headers=headers, timeout=TIMEOUT_SECONDS)
    assert told.status_code == 202, told.text
    end = time.monotonic() + TIMEOUT_SECONDS
    while session.get(url + told.headers["Location"], timeout=TIMEOUT_SECONDS).json()["running"]:
        assert time.monotonic() < end, "the capture does not end"
    rejections = session.get(f"{url}/rejections", timeout=TIMEOUT_SECONDS).json()["items"]
    return {
        "id": [str(item["id"]) for item in rejections],
        "capture_id": [told.headers["Location"].rpartition("/")[2]],
        "event_id": [INCOMPLETE["eventID"]],
    }


def _of_alerts(session: requests.Session, url: str) -> dict[str, list[str]]:
    """What there is of alerts and deliveries, and endpoints that no other test uses."""
    for _ in range(ENDPOINTS):
        assert session.post(f"{url}/endpoints", json={"url": NOWHERE}, timeout=TIMEOUT_SECONDS).status_code == 201
    endpoints = _listed(session, f"{url}/endpoints", url=NOWHERE)
    session.post(f"{url}/endpoints/{endpoints[0]}/test", timeout=TIMEOUT_SECONDS).raise_for_status()
    found = {"alert": _listed(session, f"{url}/alerts"), "delivery": _listed(session, f"{url}/deliveries")}
    return {"endpoint": endpoints, **{name: ids for name, ids in found.items() if ids}}


def _listed(session: requests.Session, page: str, **wanted: str) -> list[str]:
    """The ids of the first page's items that are as wanted."""
    items = session.get(page, params={"limit": "100"}, timeout=TIMEOUT_SECONDS).json()["items"]
    return [item["id"] for item in items if all(item[name] == value for name, value in wanted.items())]


@pytest.fixture
def something_said(credentials: dict[str, Any]) -> None:
    """One event of each type, so that the services have something to tell."""
    for name, firm in credentials["producers"].items():
        caller = Principal("", "producer", name, frozenset(firm["gln"]), frozenset(firm["roles"]))
        events = [example(type_, caller, datetime.now(UTC)) for type_ in CATALOGUE if may_say(caller, type_)]
        headers = {"Authorization": f"Bearer {firm['key']}", "Content-Type": BATCH}
        answer = requests.post(f"{credentials['ingest']}/events", json=events, headers=headers, timeout=TIMEOUT_SECONDS)
        assert answer.status_code == 202, answer.text


@pytest.mark.usefixtures("something_said")
@pytest.mark.parametrize("campaign", ["ingest", "supply", "alerts"], indirect=True)
def test_no_generated_request_meets_a_5xx_or_an_undocumented_answer(
    campaign: Campaign, say: Callable[[str], None]
) -> None:
    document = campaign.session.get(f"{campaign.url}/openapi.json", timeout=TIMEOUT_SECONDS).json()
    campaign.roles = _without_keys(document)
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == sum(len(methods) for methods in document["paths"].values())
    campaign.run(operations, CASES)
    told = ", ".join(f"{number} x {status}" for status, number in sorted(campaign.statuses.items()))
    total = campaign.statuses.total()
    say(f"{campaign.service}: {total} cases over {len(operations)} operations, seed {campaign.seed}: {told}")
    assert not campaign.failures, "\n".join(sorted(campaign.failures)[:FAILURES_SHOWN])
    assert total >= CASES
