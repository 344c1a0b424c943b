"""Who may say what: roles, own source, own GLNs, and corrections judged like fresh events."""

from __future__ import annotations

from typing import Any

import pytest

from services.ingest import authority
from shared.events.catalogue import CATALOGUE
from shared.events.cloudevent import CloudEvent
from shared.keys import Principal
from tests.unit.ingest_given import OTHER, OWN, OWN_SITE, correction, event, sender

FOREIGN = f"urn:gln:{OTHER}"


def codes(who: Principal, what: CloudEvent) -> list[tuple[str | None, str]]:
    return [(fault.field, fault.code) for fault in authority.faults(who, what)]


@pytest.mark.parametrize("role", ["manufacturer", "importer", "distributor", "regulator"])
@pytest.mark.parametrize("type_", sorted(set(CATALOGUE) - {"supply.event.corrected.v1"}))
def test_a_role_may_say_the_types_of_its_row_and_no_other(role: str, type_: str) -> None:
    short = type_.removeprefix("supply.").removesuffix(".v1")
    own = {name: OWN for name in CATALOGUE[type_].own_glns}
    if role == "regulator" and short == "stock.counted":
        own["covers"] = "national"
    expected = [] if role in CATALOGUE[type_].roles else [("type", "role")]
    assert codes(sender(role), event(short, **own)) == expected


@pytest.mark.parametrize("role", ["manufacturer", "regulator"])
def test_nobody_speaks_with_the_source_of_another(role: str) -> None:
    assert codes(sender(role), event("batch.released", source=FOREIGN)) == [("source", "foreign_source")]


@pytest.mark.parametrize(
    ("role", "type_", "data", "field"),
    [
        ("manufacturer", "batch.produced", {"manufacturer": OTHER, "site": OWN_SITE}, "data.manufacturer"),
        ("manufacturer", "batch.produced", {"manufacturer": OWN, "site": OTHER}, "data.site"),
        ("importer", "import.received", {"importer": OTHER}, "data.importer"),
        ("importer", "export.shipped", {"exporter": OTHER}, "data.exporter"),
        ("distributor", "stock.counted", {"holder": OTHER, "covers": "holder"}, "data.holder"),
        ("distributor", "interruption.notified", {"site": OTHER}, "data.site"),
        ("manufacturer", "transfer.signed", {"recipient": OTHER}, "data.recipient"),
    ],
)
def test_a_field_that_must_be_the_senders_own_gln_is_its_own(
    role: str, type_: str, data: dict[str, Any], field: str
) -> None:
    assert codes(sender(role), event(type_, **data)) == [(field, "foreign_gln")]


def test_an_absent_gln_is_nobodys() -> None:
    assert codes(sender("manufacturer"), event("batch.produced", manufacturer=OWN, site=None)) == []


@pytest.mark.parametrize("type_", ["transfer.signed", "interruption.notified"])
def test_a_regulator_may_name_any_gln(type_: str) -> None:
    fields = {name: OTHER for name in CATALOGUE[f"supply.{type_}.v1"].own_glns}
    assert codes(sender("regulator"), event(type_, **fields)) == []


def test_a_regulator_counts_for_the_whole_country_only() -> None:
    count = event("stock.counted", covers="holder", holder=OWN)
    assert codes(sender("regulator"), count) == [("data.covers", "role")]
    assert codes(sender("regulator", "distributor"), count) == []
    assert codes(sender("regulator"), event("stock.counted", covers="national", holder=OTHER)) == []


def test_the_roles_of_a_sender_add_up_but_a_regulators_freedom_does_not_spread() -> None:
    both = sender("regulator", "manufacturer")
    assert codes(both, event("batch.produced", manufacturer=OTHER, site=None)) == [("data.manufacturer", "foreign_gln")]


def test_a_producer_corrects_its_own_events_only() -> None:
    maker = sender("manufacturer")
    assert codes(maker, correction("batch.released")) == []
    assert codes(maker, correction("batch.released", of_source=FOREIGN)) == [("data.corrects.source", "foreign_source")]


def test_a_replacement_is_judged_like_a_fresh_event() -> None:
    replaced = correction("batch.produced", manufacturer=OTHER, site=None)
    assert codes(sender("manufacturer"), replaced) == [("data.replacement.data.manufacturer", "foreign_gln")]
    other = correction("consumption.reported")
    assert codes(sender("manufacturer"), other) == [
        ("data.corrects.type", "role"),
        ("data.replacement.type", "role"),
    ]


def test_a_correction_within_a_correction_is_judged_too() -> None:
    inner = correction("batch.released", of_source=FOREIGN)
    outer = event(
        "event.corrected",
        key=inner.data.key(),
        corrects={"source": f"urn:gln:{OWN}", "id": "corr-1", "type": "supply.batch.released.v1"},
        replacement={"type": inner.type, "data": inner.data.model_dump(mode="json", by_alias=True)},
    )
    assert codes(sender("manufacturer"), outer) == [("data.replacement.data.corrects.source", "foreign_source")]
