"""What the scenario's firms say is valid, possible, and the same at every telling."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice

from deploy.local.simulator.timeline import tell
from shared.events.catalogue import CATALOGUE, OWN_GLNS
from shared.events.cloudevent import check, from_structured
from shared.events.fields import check_digit
from tests.unit.plain_figures import CORRECTED, standing, transfers
from tests.unit.scenario_told import scenario, told

# More than a year of which every kind of mishap is seen.
SAME_EVENTS = 6_000
INTRODUCED_BY_ITSELF = {"produced", "imported"}


def test_every_event_of_the_story_is_valid() -> None:
    for said in told():
        event = check(from_structured(said.event))
        assert event.data.key() == said.event["subject"]


def test_every_event_is_said_by_a_firm_that_may_say_it() -> None:
    firms = scenario().firm
    for said in told():
        firm, event = firms[said.producer], said.event
        kind = event["data"]["corrects"]["type"] if event["type"] == CORRECTED else event["type"]
        assert CATALOGUE[kind].roles & set(firm.roles), event
        assert event["source"] in {f"urn:gln:{gln}" for gln in firm.gln}
        if firm.name != scenario().regulator:
            for field in OWN_GLNS.get(event["type"], ()):
                assert event["data"].get(field, firm.gln[0]) in firm.gln, event


def test_the_same_data_and_seed_tell_the_same_story() -> None:
    again = islice(tell(scenario()), SAME_EVENTS)
    assert all(one == other for one, other in zip(again, told(), strict=False))


def test_events_come_in_the_order_in_which_they_are_said_and_never_before_what_they_tell() -> None:
    dues = [said.due for said in told()]
    assert dues == sorted(dues)
    for said in told():
        for on, *_ in transfers(said.event["type"], said.event["data"]):
            assert on <= said.due.date(), said.event


def test_an_event_said_twice_is_the_very_same() -> None:
    first: dict[tuple[str, str], object] = {}
    again = 0
    for said in told():
        name = (said.event["source"], said.event["id"])
        again += name in first
        assert first.setdefault(name, said.event) == said.event
    assert again > 50


def test_the_book_by_date_of_effect_is_never_short() -> None:
    """Every lot, at the end of every day, once everything that concerns the day has been said."""
    by_lot = defaultdict(list)
    for kind, data in standing(said.event for said in told()):
        for transfer in transfers(kind, data):
            by_lot[transfer[1]].append(transfer)
    for lot, posted in by_lot.items():
        held: Counter[str] = Counter()
        days = sorted({on for on, *_ in posted})
        for day in days:
            for on, _, debit, credit, packs in posted:
                if on == day:
                    held[debit] -= packs
                    held[credit] += packs
            short = {place: packs for place, packs in held.items() if packs < 0 and place not in INTRODUCED_BY_ITSELF}
            assert not short, (lot, day, short)


def test_the_book_as_recorded_is_short_only_where_the_story_wants_it() -> None:
    wanted = {late.gtin for late in scenario().story.late_releases}
    held: defaultdict[tuple[str, str | None], Counter[str]] = defaultdict(Counter)
    seen: set[tuple[str, str]] = set()
    short = set()
    for said in told():
        name = (said.event["source"], said.event["id"])
        if name in seen or said.event["type"] == CORRECTED:
            continue
        seen.add(name)
        for _, lot, debit, credit, packs in transfers(said.event["type"], said.event["data"]):
            held[lot][debit] -= packs
            held[lot][credit] += packs
            if held[lot]["available"] < 0:
                short.add(lot[0])
    assert short == wanted


def test_a_share_of_the_events_is_late_said_twice_or_corrected() -> None:
    kinds = Counter(said.event["type"] for said in told())
    assert kinds[CORRECTED] > 5
    assert any(said.event["data"].get("corrects", {}).get("id", "").startswith("correction-") for said in told())
    late = [
        said
        for said in told()
        if said.event["type"] == "supply.consumption.reported.v1"
        and (said.due.date() - next(transfers(said.event["type"], said.event["data"]))[0]).days > 10
    ]
    assert len(late) > 20


def test_the_history_has_some_twenty_thousand_events_of_nearly_every_type() -> None:
    history = [said for said in told() if said.due < scenario().story.live_start]
    assert 20_000 <= len(history) <= 40_000
    assert len({said.event["type"] for said in told()}) >= 22


def test_every_gtin_and_gln_bears_the_demonstration_prefix_and_a_right_check_digit() -> None:
    numbers = [product.gtin for _, product in scenario().products()]
    numbers += [gln for firm in scenario().firms for gln in firm.gln] + [party.gln for party in scenario().parties]
    for number in numbers:
        assert number.lstrip("0").startswith("952")
        assert number[-1] == check_digit(number[:-1])
