"""A session of a person at a browser: what lets it stand, and what ends it."""

from __future__ import annotations

import pytest

from shared.keys import AccessRecord
from shared.sessions import Session, form_token, is_form_token

SECRET, NOW, LATER = b"secret of this stack", 1_000_000.0, 1_000_600
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
