"""Decides what the cookie of a person at a browser holds, whether it still stands, and what its forms must carry. Pure.

A cookie is `<key id>.<end, unix seconds>.<nonce>.<seal>`. The seal covers the hash of the very key too, so that a
session ends with its key, whatever takes the key's place. Time is real time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final, Self

from shared.keys import KEY_ID_LENGTH, AccessRecord

NONCE_BYTES: Final = 16
_COOKIE: Final = re.compile(
    rf"(?P<key_id>[\w-]{{{KEY_ID_LENGTH}}})\.(?P<ends_at>[0-9]{{1,12}})\.(?P<nonce>[\w-]{{22}})\.(?P<seal>[0-9a-f]{{64}})",
    re.ASCII,
)


def nonce() -> str:
    """22 characters that nobody guesses."""
    return secrets.token_urlsafe(NONCE_BYTES)


@dataclass(frozen=True, slots=True)
class Session:
    """What a cookie says; `holds` tells whether it is ours."""

    key_id: str
    ends_at: int
    nonce: str
    seal: str

    @classmethod
    def begin(cls, secret: bytes, record: AccessRecord, ends_at: int) -> Self:
        """A fresh session of the person with this key. `ends_at` is in unix seconds."""
        fresh = nonce()
        return cls(record.key_id, ends_at, fresh, _seal(secret, record, ends_at, fresh))

    @classmethod
    def read(cls, cookie: str) -> Self | None:
        """None if `cookie` has not the form of one."""
        found = _COOKIE.fullmatch(cookie)
        if found is None:
            return None
        return cls(found["key_id"], int(found["ends_at"]), found["nonce"], found["seal"])

    def cookie(self) -> str:
        return f"{self.key_id}.{self.ends_at}.{self.nonce}.{self.seal}"

    def holds(self, secret: bytes, record: AccessRecord | None, now: float) -> bool:
        """Whether we began it for this key, its time is not over and the key is not revoked."""
        if record is None or record.key_id != self.key_id or record.revoked_at is not None or now >= self.ends_at:
            return False
        return hmac.compare_digest(self.seal, _seal(secret, record, self.ends_at, self.nonce))


def form_token(secret: bytes, cookie: str) -> str:
    """What a form must send back beside `cookie`: another site can make a browser send the cookie, not know this."""
    return _mac(secret, "form", cookie)


def is_form_token(secret: bytes, cookie: str, token: str) -> bool:
    return hmac.compare_digest(form_token(secret, cookie).encode(), token.encode("utf-8", "replace"))


def _seal(secret: bytes, record: AccessRecord, ends_at: int, fresh: str) -> str:
    return _mac(secret, "session", record.key_id, record.sha256, str(ends_at), fresh)


def _mac(secret: bytes, purpose: str, *parts: str) -> str:
    """No part holds a NUL, so no two different lists are one message."""
    return hmac.new(secret, "\0".join((purpose, *parts)).encode(), hashlib.sha256).hexdigest()
