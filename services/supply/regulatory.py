"""Decides which dated duties of registrations, plants, recalls, reports, interruptions are open, met, cancelled. Pure.

Each is opened, met and cancelled by events; alerts keeps the clock. What is opened by a window that begins, such as a
renewal, is not told before that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import quote

from services.supply.agreements import Agreement
from services.supply.facts import Fact, until
from services.supply.interruptions import Interruption
from services.supply.lot import gtin_text
from services.supply.obligations import Obligation, State
from services.supply.registry import Authorisation, Registry
from shared.clock import day_of
from shared.events.reader import (
    BatchRecalled,
    GmpCertified,
    GmpWithdrawn,
    RecallClosed,
    RegistrationRenewalFiled,
    RegistrationRenewed,
    RegistrationRevoked,
    TransferReported,
)

RENEWAL_WINDOW_MONTHS: Final = 12  # before expiry
REASSESSED_EVERY_YEARS: Final = 3
REPORT_DUE_DAYS: Final = 31  # after the end of the year
MAX_REPORTS: Final = 100  # of one agreement
RECALL_DAYS: Final = {1: 3, 2: 15, 3: 30}  # by level


Made = Mapping[str, Collection[int]]


def duties(registry: Registry, on: date, made: Made) -> Iterator[Obligation]:
    """All of them, on a day. `made`: the products of which lots were made, by GLN of the site or firm."""
    for agreement in registry.agreements(on):
        yield from reports(agreement, on)
    held = registry.authorisations(on)
    yield from renewals(held, on)
    for facts in registry.certifications(on):
        yield from reassessments(facts, on)
    yield from recalls(registry, on)
    for interruption in registry.interruptions(on):
        yield expected_end(interruption, made)


def reports(agreement: Agreement, on: date) -> Iterator[Obligation]:
    """A report a calendar year, from that of the signing on, due by the end of the January after it."""
    told = [fact for fact in agreement.events if isinstance(fact.data, TransferReported)]
    first = agreement.signed_on.year
    for year in range(first, min(on.year + 1, first + MAX_REPORTS)):
        ends = date(year, 12, 31)
        met = [fact for fact in told if fact.data.period_end >= ends and fact.data.period_start <= ends]  # type: ignore[attr-defined]
        said = min(met, key=lambda fact: fact.rank, default=None)
        if said is not None and _said_on(said) > on:
            said = None
        ended = agreement.ended_on is not None and agreement.ended_on <= ends
        yield Obligation(
            obligation=f"{agreement.agreement}:report-{year}",
            kind="transfer_report",
            subject=agreement.agreement,
            title=f"{agreement.title}: report on {year}",
            due_on=ends + timedelta(days=REPORT_DUE_DAYS),
            state=_state(said is not None, ended),
            met_on=None if said is None else _said_on(said),
            opened_on=max(agreement.signed_on, date(year, 1, 1)),
            events=_events(agreement.events[:1], [] if said is None else [said]),
        )


def _said_on(fact: Fact) -> date:
    """The day on which a report came: a report speaks of a period, and does not say when it was written."""
    data: Any = fact.data
    said: date = max(day_of(fact.time), data.period_end)
    return said


def renewals(authorisations: Sequence[Authorisation], on: date) -> Iterator[Obligation]:
    """Of each authorisation in its last 12 months, or lapsed: met when renewal is filed, which keeps it in use.

    Of one that has lapsed the duty is cancelled when it is revoked, or another that holds names the same packs.
    """
    in_force = {pack.gtin for held in authorisations if held.valid_on(on) for pack in held.packs}
    for held in authorisations:
        due, filed = held.expires_on, _last(held.events, RegistrationRenewalFiled)
        renewed = _last(held.events, RegistrationRenewed)
        if renewed is not None and (before := _expired_before(held, renewed)) is not None:
            if filed is not None and filed.data.filed_on <= renewed.data.effective_on:
                yield _renewal(held, before, "met", filed.data.filed_on, [filed, renewed])
            else:
                yield _renewal(held, before, "met", renewed.data.effective_on, [renewed])
        opens = _months_before(due, RENEWAL_WINDOW_MONTHS)
        if opens > on:
            continue
        is_filed = filed is not None and held.renewal_filed_on is not None
        replaced = not held.valid_on(on) and all(pack.gtin in in_force for pack in held.packs)
        state = _state(is_filed, held.status == "revoked" or replaced)
        met_on = held.renewal_filed_on if state == "met" else None
        revoked = _last(held.events, RegistrationRevoked)
        yield _renewal(held, due, state, met_on, [fact for fact in (filed, revoked) if fact is not None])


def _expired_before(held: Authorisation, renewed: Any) -> date | None:
    """The expiry that the last renewal put off, as the grant or the renewal before it said."""
    told = [fact.data.expires_on for fact in held.events if hasattr(fact.data, "expires_on") and fact is not renewed]
    said = [day for day in told if day is not None and day < renewed.data.expires_on]
    return max(said, default=None)


def _renewal(held: Authorisation, due: date, state: State, met_on: date | None, said: Sequence[Fact]) -> Obligation:
    return Obligation(
        obligation=f"{held.authorisation}:renewal-{due.isoformat()}",
        kind="renewal",
        subject=held.authorisation,
        title=f"{held.product.name} ({held.authorisation}): renewal to be filed before it lapses",
        due_on=due,
        state=state,
        met_on=met_on,
        opened_on=_months_before(due, RENEWAL_WINDOW_MONTHS),
        events=_events(held.events[:1], said),
    )


def reassessments(facts: Sequence[Fact], on: date) -> Iterator[Obligation]:
    """The facts about one site's certificates of one standard, in order: each is to be followed by another before it
    expires, or after three years."""
    given = [fact for fact in facts if isinstance(fact.data, GmpCertified)]
    for number, fact in enumerate(given):
        data: Any = fact.data
        after = given[number + 1] if number + 1 < len(given) else None
        withdrawn = _withdrawn(facts, data)
        due = min(data.expires_on, _years_after(data.effective_on, REASSESSED_EVERY_YEARS))
        yield Obligation(
            obligation=f"{data.certificate}:reassessment-{due.isoformat()}",
            kind="gmp_reassessment",
            subject=data.site,
            title=f"{data.standard} of site {data.site} ({data.certificate}): to be reassessed",
            due_on=due,
            state=_state(after is not None, withdrawn is not None),
            met_on=None if after is None else after.data.effective_on,  # type: ignore[attr-defined]
            opened_on=data.effective_on,
            events=_events([fact], [item for item in (after, withdrawn) if item is not None]),
        )


def _withdrawn(facts: Iterable[Fact], data: Any) -> Fact | None:
    return next(
        (
            fact
            for fact in facts
            if isinstance(fact.data, GmpWithdrawn)
            and fact.data.certificate == data.certificate
            and fact.data.effective_on >= data.effective_on
        ),
        None,
    )


def recalls(registry: Registry, on: date) -> Iterator[Obligation]:
    """Of each recall, its completion within the days of its level; met by recall.closed for the lot or for all."""
    for gtin, facts in sorted(registry.recalls.items()):
        closings = until(registry.recalls_closed.get(gtin, ()), on)
        for fact in until(facts, on):
            data: Any = fact.data
            assert isinstance(data, BatchRecalled)
            closed = next((item for item in closings if _closes(item.data, data)), None)
            named = f"{data.gtin}/{quote(data.lot, safe='')}" if data.lot is not None else data.gtin
            yield Obligation(
                obligation=f"{named}:recall-{data.recalled_on.isoformat()}",
                kind="recall",
                subject=named,
                title=f"Recall of {'lot ' + data.lot if data.lot else 'all lots'} of {data.gtin} (level {data.level})",
                due_on=data.recalled_on + timedelta(days=RECALL_DAYS[data.level]),
                state=_state(closed is not None, False),
                met_on=None if closed is None else closed.data.closed_on,  # type: ignore[attr-defined]
                opened_on=data.recalled_on,
                events=_events([fact], [] if closed is None else [closed]),
            )


def _closes(closing: Any, recall: BatchRecalled) -> bool:
    assert isinstance(closing, RecallClosed)
    return closing.closed_on >= recall.recalled_on and closing.lot in (None, recall.lot)


def expected_end(held: Interruption, made: Made) -> Obligation:
    """The end of an interruption on the day that was told; without one it stays open without a date."""
    products = [int(held.gtin)] if held.gtin is not None else sorted(made.get(held.site or "", ()))
    about = "" if held.gtin is None and held.site is None else f" of {held.gtin or held.site}"
    return Obligation(
        obligation=f"{held.interruption}:expected-end",
        kind="interruption",
        subject=held.interruption,
        title=f"Interruption{about} to end ({held.cause})",
        due_on=held.expected_until,
        state=_state(held.resolved_on is not None, False),
        met_on=held.resolved_on,
        opened_on=held.started_on,
        events=_events(held.events, ()),
        products=tuple(f"gtin:{gtin_text(gtin)}" for gtin in products),
    )


def _state(met: bool, cancelled: bool) -> State:
    return "met" if met else "cancelled" if cancelled else "open"


def _last(facts: Iterable[Fact], kind: type[Any]) -> Any | None:
    return next((fact for fact in reversed(list(facts)) if isinstance(fact.data, kind)), None)


def _events(opened: Iterable[Fact], closed: Iterable[Fact]) -> tuple[tuple[str, str], ...]:
    """The events that opened it, then those that ended it."""
    return tuple(dict.fromkeys((fact.source, fact.id) for fact in (*opened, *closed)))


def _months_before(day: date, months: int) -> date:
    month = day.year * 12 + day.month - 1 - months
    return _on_day(month // 12, month % 12 + 1, day.day)


def _years_after(day: date, years: int) -> date:
    return _on_day(day.year + years, day.month, day.day)


def _on_day(year: int, month: int, day: int) -> date:
    """That day, or the last one of its month where it has fewer."""
    following = date(year + month // 12, month % 12 + 1, 1)
    return min(following - timedelta(days=1), date(year, month, 1) + timedelta(days=day - 1))
