"""What an API key is and who stands behind it: key format, roles, principals. Pure but for fresh randomness."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

import msgspec

PRODUCER: Final = "producer"
VIEWER: Final = "viewer"
OPERATOR: Final = "operator"
ADMIN: Final = "admin"
PEOPLE: Final = (VIEWER, OPERATOR, ADMIN)

KEY_PREFIX: Final = "sw"
KEY_ID_LENGTH: Final = 12
KEY_SECRET_BYTES: Final = 32  # 43 characters of base64url
KEY_MAX_LENGTH: Final = 64


class AccessRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """What ingest publishes of a key on supply.access.v1 (key = key id); a value of null forgets the key."""

    key_id: str
    sha256: str
    role: str
    name: str
    label: str = ""
    glns: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    revoked_at: str | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a producer by its name, or a person or program by its label."""

    key_id: str
    role: str
    name: str
    glns: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as shown once, and what is kept of it."""

    key_id: str
    key: str
    sha256: str


def new_key() -> NewKey:
    """A fresh key `sw_<12 base32>_<43 base64url>`."""
    key_id = base64.b32encode(secrets.token_bytes(8)).decode().lower()[:KEY_ID_LENGTH]
    key = f"{KEY_PREFIX}_{key_id}_{secrets.token_urlsafe(KEY_SECRET_BYTES)}"
    return NewKey(key_id, key, key_hash(key))


def key_hash(key: str) -> str:
    """What is stored of a key. A key has 256 random bits, so a plain hash keeps it secret."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_id_of(key: str) -> str | None:
    """The id inside a key; None if `key` has not the form of one. The secret may itself hold underscores."""
    parts = key.split("_", 2)
    well_formed = len(parts) == 3 and parts[0] == KEY_PREFIX and len(parts[1]) == KEY_ID_LENGTH
    return parts[1] if well_formed and len(key) <= KEY_MAX_LENGTH else None
