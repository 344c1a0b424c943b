"""Thousands of generated requests to each service: no 5xx, and no answer that its OpenAPI document does not tell of."""

from __future__ import annotations

import os
import random
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

CASES: Final = int(os.environ.get("API_CASES", "2000"))
TIMEOUT_SECONDS: Final = 20.0
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
FAILURES_SHOWN: Final = 20
# The most cases of an operation: with nothing to vary two tell all; some take a tenth of a second to make up.
UNVARIED: Final = 2
MOST: Final = {"POST /events": 120, "POST /catalogue/{type}/validate": 60}
# What made-up names would hardly hit: used in half of the cases.
KNOWN: Final = {
    "supply": {
        "gtin": ["09520000010010"],
        "lot": ["A2603-01", "FR-77/2"],
        "source": ["urn:gln:9521000000018"],
        "id": ["mes-2026-004711", "corr-2026-0003"],
        "what": ["products", "authorisations", "agreements"],
        "form": ["csv", "parquet"],
        "goal": ["vn-2030-domestic-volume"],
    },
    "ingest": {"type": list(CATALOGUE)},
    "alerts": {},
}


@dataclass
class Campaign:
    """Requests to one service, and what came of them."""

    service: str
    url: str
    keys: dict[str, str]
    seed: int
    session: requests.Session = field(default_factory=requests.Session)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def run(self, operations: list[Any], cases: int) -> None:
        """Those that are bounded come first; the others share what is left."""
        for number, operation in enumerate(sorted(operations, key=_most)):
            left = cases - self.statuses.total()
            self._vary(operation, min(_most(operation), -(-left // (len(operations) - number))))

    def _vary(self, operation: Any, cases: int) -> None:
        known = {name: st.sampled_from(values) for name, values in KNOWN[self.service].items()}

        @seed(self.seed)
        @settings(
            max_examples=cases,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(_cases(operation), st.booleans(), st.fixed_dictionaries(known))
        def vary(case: Any, hit: bool, names: dict[str, str]) -> None:
            if hit:
                case.path_parameters = {
                    name: names.get(name, value) for name, value in (case.path_parameters or {}).items()
                }
            self.send(case, self.key_of(operation))

        vary()

    def key_of(self, operation: Any) -> str:
        security = operation.definition.raw.get("security")
        roles = security[0]["key"] if security else []
        return self.keys["admin" if "admin" in roles else "producer"]

    def send(self, case: Any, key: str | None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
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
            self.failures.append(f"{answer.status_code} {told}\n  {case.as_curl_command()[:500]}")


def _cases(operation: Any) -> st.SearchStrategy[Any]:
    ways = [GenerationMode.POSITIVE]
    if operation.body or any(operation.iter_parameters()):
        ways.append(GenerationMode.NEGATIVE)
    return st.one_of([operation.as_strategy(generation_mode=way) for way in ways])


def _most(operation: Any) -> int:
    varied = operation.definition.raw.get("parameters") or operation.definition.raw.get("requestBody")
    return MOST.get(operation.label, CASES) if varied else UNVARIED


@pytest.fixture
def campaign(credentials: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[Campaign]:
    service = request.param
    drawn = int(os.environ.get("API_SEED") or random.randrange(2**32))
    keys = {**credentials["keys"], "producer": credentials["producers"]["manufacturer-1"]["key"]}
    with requests.Session() as session:
        session.trust_env = False
        yield Campaign(service, credentials[service], keys, drawn, session)


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
    headers = {"Authorization": f"Bearer {campaign.keys['admin']}"}
    document = campaign.session.get(f"{campaign.url}/openapi.json", headers=headers, timeout=TIMEOUT_SECONDS).json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == sum(len(methods) for methods in document["paths"].values())
    campaign.run(operations, CASES)
    told = ", ".join(f"{number} x {status}" for status, number in sorted(campaign.statuses.items()))
    total = campaign.statuses.total()
    say(f"{campaign.service}: {total} cases over {len(operations)} operations, seed {campaign.seed}: {told}")
    assert not campaign.failures, "\n".join(campaign.failures[:FAILURES_SHOWN])
    assert total >= CASES
