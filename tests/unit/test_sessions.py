"""A session of a person at a browser: what lets it stand, and what ends it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.keys import AccessRecord
from shared.sessions import Link, Person, Session, UsedLinks, form_token, is_form_token, sealed, unsealed

SECRET, NOW, LATER = b"secret of this stack", 1_000_000.0, 1_000_600
LAN = Person("u-17", "Lan Trần", "operator", "the provider of now")
MAI = AccessRecord("abcdefghijkl", "hash of the key", "viewer", "Mai")


def told(cookie: str) -> Session:
    session = Session.read(cookie)
    assert session is not None
    return session


def test_a_session_holds_until_its_end() -> None:
    session = told(Session.begin(SECRET, MAI, LATER).cookie())
    assert session.holds(SECRET, MAI, NOW)
    assert session.holds(SECRET, MAI, LATER - 0.001)
    assert not session.holds(SECRET, MAI, LATER)


def test_it_ends_with_its_key() -> None:
    session = Session.begin(SECRET, MAI, LATER)
    revoked = AccessRecord(MAI.key_id, MAI.sha256, MAI.role, MAI.name, revoked_at="2026-11-24T00:00:00Z")
    replaced = AccessRecord(MAI.key_id, "hash of another key", MAI.role, MAI.name)
    assert not session.holds(SECRET, revoked, NOW)
    assert not session.holds(SECRET, replaced, NOW)
    assert not session.holds(SECRET, None, NOW)


def test_of_another_secret_it_is_not_ours() -> None:
    assert not Session.begin(b"another", MAI, LATER).holds(SECRET, MAI, NOW)


@pytest.mark.parametrize("part", range(4))
def test_a_cookie_that_was_changed_is_none(part: int) -> None:
    parts = Session.begin(SECRET, MAI, LATER).cookie().split(".")
    parts[part] = ("1" if parts[part][0] != "1" else "2") + parts[part][1:]
    changed = told(".".join(parts))
    assert not changed.holds(SECRET, MAI, NOW)


@pytest.mark.parametrize("cookie", ["", "x", "a.b.c.d", "abcdefghijkl.99999999999999.x.y", "\0" * 40, "…" * 40])
def test_what_has_not_the_form_of_a_cookie_is_none(cookie: str) -> None:
    assert Session.read(cookie) is None


def test_a_form_belongs_to_one_cookie() -> None:
    token = form_token(SECRET, "mine")
    assert is_form_token(SECRET, "mine", token)
    assert not is_form_token(SECRET, "another's", token)
    assert not is_form_token(b"another", "mine", token)
    assert not is_form_token(SECRET, "mine", "…\ud800")


def test_a_session_of_a_person_says_who_by_the_provider_of_now() -> None:
    session = told(Session.begin(SECRET, LAN, LATER).cookie())
    assert session.key_id is None and session.person(LAN.provider) == LAN
    assert session.holds(SECRET, session.person(LAN.provider), NOW)
    assert not session.holds(SECRET, session.person("another provider"), NOW)
    assert not session.holds(SECRET, session.person(LAN.provider), LATER)
    assert LAN.principal().key_id == "oidc:u-17"


def test_nobody_gives_themselves_another_role() -> None:
    mine, theirs = (Session.begin(SECRET, replace(LAN, role=role), LATER) for role in ("viewer", "admin"))
    forged = replace(theirs, seal=mine.seal)
    assert not forged.holds(SECRET, forged.person(LAN.provider), NOW)
    producer = Session.begin(SECRET, replace(LAN, role="producer"), LATER)
    assert producer.person(LAN.provider) is None


def test_the_longest_name_fits_into_a_cookie() -> None:
    longest = replace(LAN, subject="ữ" * 255, name="ữ" * 100)
    cookie = Session.begin(SECRET, longest, LATER).cookie()
    assert len(cookie) < 3_500 and told(cookie).person(LAN.provider) == longest


def linked(token: str) -> Link:
    link = Link.read(token)
    assert link is not None
    return link


def test_a_link_holds_once_at_its_service_until_its_end() -> None:
    link = linked(Link.make(SECRET, MAI, LATER, "supply"))
    assert link.holds(SECRET, MAI, "supply", NOW)
    assert not link.holds(SECRET, MAI, "alerts", NOW)
    assert not link.holds(SECRET, MAI, "supply", LATER)
    assert not link.holds(SECRET, replace_key(), "supply", NOW)
    used = UsedLinks()
    assert [used.take(link, NOW), used.take(link, NOW)] == [True, False]


def replace_key() -> AccessRecord:
    return AccessRecord(MAI.key_id, "hash of another key", MAI.role, MAI.name)


def test_a_link_is_no_session_and_a_session_no_link() -> None:
    token, cookie = Link.make(SECRET, MAI, LATER, "supply"), Session.begin(SECRET, MAI, LATER).cookie()
    assert not told(token).holds(SECRET, MAI, NOW)
    assert not linked(cookie).holds(SECRET, MAI, "supply", NOW)
    assert Link.read(Session.begin(SECRET, LAN, LATER).cookie()) is None


def test_what_a_browser_keeps_for_us_cannot_be_changed() -> None:
    kept = sealed(SECRET, "one", "Lan …")
    assert unsealed(SECRET, "one", kept) == "Lan …"
    assert [unsealed(SECRET, "other", kept), unsealed(b"x", "one", kept), unsealed(SECRET, "one", "…\ud800")] == [
        None
    ] * 3
    assert unsealed(SECRET, "one", "A" + kept[1:]) is None
