"""Where a lot comes from: by all that is known, whatever day is asked for; and what the lots of a product share."""

from __future__ import annotations

from datetime import date
from itertools import permutations
from typing import Any

import pytest

from services.supply.balances import Balance, balance_item, by_product
from services.supply.facts import Fact
from services.supply.lot import LotState
from services.supply.origin import Origin, Origins
from services.supply.registry import Registry
from tests.supply_given import GTIN, gtin
from tests.unit.supply_market import ON, STEPS, fact, granted, lot

PACKED: dict[str, Any] = {"local_step": "packaging"}


def made(*, introduced_on: str = "2026-01-05", under: str | None = None, **told: Any) -> LotState:
    found = lot(made=1, **told)
    found.introduced_on, found.authorisation = date.fromisoformat(introduced_on), under
    return found


def origin(of: LotState, *facts: Fact) -> Origin:
    """Alike for every order of the facts."""
    (found,) = {Origins(Registry(order), STEPS).of(of) for order in permutations(facts)}
    return found


def varied(on: str, step: str, authorisation: str = f"VD-{GTIN}") -> Fact:
    return fact("registration.varied", authorisation=authorisation, effective_on=on, local_step=step)


def test_a_lot_is_what_brought_it_into_being() -> None:
    assert origin(made()) == "domestic"
    assert origin(lot(imported=1)) == "import"
    assert origin(lot(made=1, imported=1)) == "domestic"
    assert origin(lot()) == "unknown"
    assert origin(lot("", made=1)) == "unknown"


@pytest.mark.parametrize(("step", "expected"), [("full", "domestic"), ("packaging", "import"), (None, "domestic")])
@pytest.mark.parametrize("granted_on", ["2024-01-01", "2026-01-05", "2026-06-01"])
def test_a_lot_made_by_a_step_that_does_not_count_is_import_also_if_the_grant_came_later(
    step: str | None, expected: str, granted_on: str
) -> None:
    assert origin(made(), granted(local_step=step, granted_on=granted_on)) == expected


def test_what_was_imported_is_import_by_any_step() -> None:
    assert origin(lot(imported=1), granted(local_step="full")) == "import"


def test_a_step_that_was_varied_holds_for_the_lots_from_then_on() -> None:
    facts = granted(**PACKED), varied("2026-01-01", "full")
    assert origin(made(introduced_on="2025-12-31"), *facts) == "import"
    assert origin(made(introduced_on="2026-01-01"), *facts) == "domestic"


def test_the_authorisation_that_a_lot_names_goes_before_the_one_granted_last() -> None:
    full = granted(authorisation="VD-1", local_step="full")
    packed = granted(authorisation="VD-2", granted_on="2025-01-01", **PACKED)
    assert origin(made(), full, packed) == "import"
    assert origin(made(under="VD-1"), full, packed) == "domestic"
    assert origin(made(under="VD-2"), full, packed) == "import"


def test_it_matters_under_which_authorisation_a_lot_was_made_where_they_were_once_of_different_steps() -> None:
    swapped = [
        *(granted(authorisation="VD-1", local_step="full"), varied("2026-01-01", "packaging", "VD-1")),
        *(granted(authorisation="VD-2", **PACKED), varied("2026-01-01", "full", "VD-2")),
    ]
    assert Registry(swapped).of_several_steps == {int(GTIN)}
    assert Registry([granted(), varied("2026-01-01", "packaging")]).of_several_steps == set()
    alike = granted(authorisation="VD-1", local_step="full"), granted(authorisation="VD-2", local_step="full")
    assert Registry(alike).of_several_steps == set()
    assert [origin(made(under=name), *swapped) for name in ("VD-1", "VD-2")] == ["import", "domestic"]


def test_an_authorisation_of_another_product_tells_nothing_of_a_lot() -> None:
    other = granted(gtin(2), authorisation="VD-2", local_step="full")
    assert origin(made(under="VD-2"), granted(**PACKED), other) == "import"
    assert origin(made(under="VD-9"), granted(**PACKED)) == "import"


def test_an_authorisation_to_import_tells_nothing_of_what_is_made_here() -> None:
    imported = granted(authorisation="VN-1", origin="import", granted_on="2025-05-05")
    assert origin(made(), granted(**PACKED), imported) == "import"


def balance(name: str, origin: Origin, available: int) -> Balance:
    return Balance(lot(name, available=available), origin, None)


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        (("domestic", "domestic", "domestic"), "domestic"),
        (("domestic", "import", "domestic"), "unknown"),
        (("import", "domestic", "domestic"), "unknown"),
        (("domestic", "domestic", "unknown"), "unknown"),
        (("unknown", "domestic", "domestic"), "unknown"),
        (("import",), "import"),
        ((), "unknown"),
    ],
)
@pytest.mark.parametrize("unnamed", [True, False])
def test_a_product_has_the_origin_that_all_its_named_lots_have(
    origins: tuple[Origin, ...], expected: str, unnamed: bool
) -> None:
    lots = [balance("", "unknown", available=-1)] * unnamed
    lots += [balance(f"L{number}", found, available=5) for number, found in enumerate(origins)]
    sums = by_product(balance_item(item, ON) for item in lots)
    assert [item["origin"] for item in sums] == [expected] * bool(lots)
    assert [item["places"]["available"] for item in sums] == [5 * len(origins) - unnamed] * bool(lots)
