"""Decides what the cookie of a person at a browser holds, whether it still stands, and what its forms must carry. Pure.

A cookie is `<who>.<end, unix seconds>.<nonce>.<seal>`, where who is a key id, or `~` and base64url of what the sign-in
provider said of a person. The seal covers the hash of the very key too, or who the provider is, so that a session ends
with its key or its provider, whatever takes their place. Time is real time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final, Self

import msgspec

from shared.keys import KEY_ID_LENGTH, PEOPLE, AccessRecord, Principal

NONCE_BYTES: Final = 16
PERSON_MARK: Final = "~"
# What a provider may say of a person; a cookie has at most 4,096 bytes.
SUBJECT_MAX: Final = 255
NAME_MAX: Final = 100
_WHO_MAX: Final = 2_000
_COOKIE: Final = re.compile(
    rf"(?P<who>[\w-]{{{KEY_ID_LENGTH}}}|{PERSON_MARK}[\w-]{{1,{_WHO_MAX}}})\.(?P<ends_at>[0-9]{{1,12}})"
    r"\.(?P<nonce>[\w-]{22})\.(?P<seal>[0-9a-f]{64})",
    re.ASCII,
)


def nonce() -> str:
    """22 characters that nobody guesses."""
    return secrets.token_urlsafe(NONCE_BYTES)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom a sign-in provider vouches for; `provider` tells this one from any other, however configured."""

    subject: str
    name: str
    role: str
    provider: str

    def principal(self) -> Principal:
        return Principal(f"oidc:{self.subject}", self.role, self.name)


Holder = AccessRecord | Person


class _Said(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    subject: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Session:
    """What a cookie says; `holds` tells whether it is ours."""

    who: str
    ends_at: int
    nonce: str
    seal: str

    @classmethod
    def begin(cls, secret: bytes, holder: Holder, ends_at: int) -> Self:
        """A fresh session of this person, or of the person with this key. `ends_at` is in unix seconds."""
        fresh = nonce()
        return cls(_who(holder), ends_at, fresh, _seal(secret, holder, ends_at, fresh))

    @classmethod
    def read(cls, cookie: str) -> Self | None:
        """None if `cookie` has not the form of one."""
        found = _COOKIE.fullmatch(cookie)
        if found is None:
            return None
        return cls(found["who"], int(found["ends_at"]), found["nonce"], found["seal"])

    @property
    def key_id(self) -> str | None:
        """The key of the session; None for a person whom a provider vouches for."""
        return None if self.who.startswith(PERSON_MARK) else self.who

    def person(self, provider: str) -> Person | None:
        """The person of the session, by the `provider` of now; None if there is none."""
        if self.key_id is not None:
            return None
        try:
            raw = base64.urlsafe_b64decode(self.who[1:] + "=" * (-len(self.who[1:]) % 4))
            said = msgspec.json.decode(raw, type=_Said)
        except (ValueError, msgspec.MsgspecError):
            return None
        return Person(said.subject, said.name, said.role, provider) if said.role in PEOPLE else None

    def cookie(self) -> str:
        return f"{self.who}.{self.ends_at}.{self.nonce}.{self.seal}"

    def holds(self, secret: bytes, holder: Holder | None, now: float) -> bool:
        """Whether we began it for this holder, its time is not over and a key is not revoked."""
        if holder is None or now >= self.ends_at or self.who != _who(holder):
            return False
        if isinstance(holder, AccessRecord) and holder.revoked_at is not None:
            return False
        return hmac.compare_digest(self.seal, _seal(secret, holder, self.ends_at, self.nonce))


@dataclass(frozen=True, slots=True)
class Link:
    """What the one-time token of a sign-in link says: `<key id>.<end>.<nonce>.<seal>`, good at one service."""

    session: Session

    @classmethod
    def make(cls, secret: bytes, record: AccessRecord, ends_at: int, service: str) -> str:
        """A fresh token."""
        fresh = nonce()
        return f"{record.key_id}.{ends_at}.{fresh}.{_link_seal(secret, record, ends_at, fresh, service)}"

    @classmethod
    def read(cls, token: str) -> Self | None:
        """None if `token` has not the form of one."""
        found = Session.read(token)
        return None if found is None or found.key_id is None else cls(found)

    @property
    def key_id(self) -> str:
        return self.session.who

    def holds(self, secret: bytes, record: AccessRecord | None, service: str, now: float) -> bool:
        """Whether it was made for this key and service, its time is not over and the key is not revoked."""
        said = self.session
        if record is None or record.key_id != said.who or record.revoked_at is not None or now >= said.ends_at:
            return False
        return hmac.compare_digest(said.seal, _link_seal(secret, record, said.ends_at, said.nonce, service))


class UsedLinks:
    """Which links were used, until their time is over: only links of our making come here, so they are few."""

    def __init__(self) -> None:
        self._ends: dict[str, int] = {}

    def take(self, link: Link, now: float) -> bool:
        """False if it was used before."""
        self._ends = {used: ends_at for used, ends_at in self._ends.items() if ends_at > now}
        if link.session.nonce in self._ends:
            return False
        self._ends[link.session.nonce] = link.session.ends_at
        return True


def form_token(secret: bytes, cookie: str) -> str:
    """What a form must send back beside `cookie`: another site can make a browser send the cookie, not know this."""
    return _mac(secret, "form", cookie)


def is_form_token(secret: bytes, cookie: str, token: str) -> bool:
    return hmac.compare_digest(form_token(secret, cookie).encode(), token.encode("utf-8", "replace"))


def sealed(secret: bytes, purpose: str, text: str) -> str:
    """`text`, which a browser keeps for us and cannot change: base64url with a seal."""
    packed = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return f"{packed}.{_mac(secret, purpose, packed)}"


def unsealed(secret: bytes, purpose: str, kept: str) -> str | None:
    """What we sealed for this purpose; None if we did not."""
    packed, _, seal = kept.partition(".")
    if not hmac.compare_digest(_mac(secret, purpose, packed).encode(), seal.encode("utf-8", "replace")):
        return None
    return base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode()


def _who(holder: Holder) -> str:
    if isinstance(holder, AccessRecord):
        return holder.key_id
    said = msgspec.json.encode(_Said(holder.subject, holder.name, holder.role))
    return PERSON_MARK + base64.urlsafe_b64encode(said).decode().rstrip("=")


def _seal(secret: bytes, holder: Holder, ends_at: int, fresh: str) -> str:
    bound_to = holder.sha256 if isinstance(holder, AccessRecord) else holder.provider
    return _mac(secret, "session", _who(holder), bound_to, str(ends_at), fresh)


def _link_seal(secret: bytes, record: AccessRecord, ends_at: int, fresh: str, service: str) -> str:
    return _mac(secret, "link", record.key_id, record.sha256, str(ends_at), fresh, service)


def _mac(secret: bytes, purpose: str, *parts: str) -> str:
    """No part holds a NUL, so no two different lists are one message."""
    return hmac.new(secret, "\0".join((purpose, *parts)).encode("utf-8", "replace"), hashlib.sha256).hexdigest()
