"""Signs checkpoints with Ed25519, and says what exactly is signed. Pure.

The signed bytes are UTF-8 JSON, keys sorted, without white space:
{"at","key","n","places":[{"chain","next_offset","partition","topic"}],"previous","type":"supply.checkpoint.v1"}.
`at` is RFC 3339 in UTC with six decimals, `chain` hex, `previous` the SHA-256 (hex) of the signed bytes of the signed
checkpoint before this one (null for the first), so that none can be left out; `key` the first 16 hex digits of the
SHA-256 of the raw public key. A record of `supply.checkpoints.v1`, like a line of the file, is this object with
`signature` (base64) added.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Self

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from services.supply.findings import TOPIC_OF, Head

TYPE: Final = "supply.checkpoint.v1"
KEY_ID_CHARACTERS: Final = 16
_TOPIC_IDS: Final = {name: number for number, name in TOPIC_OF.items()}
_encode: Final = msgspec.json.Encoder(order="sorted").encode


class BadKey(Exception):
    """What should be an Ed25519 key in PEM is none."""


class SignedPlace(msgspec.Struct, frozen=True):
    """Where one partition stood: `chain` is the hash of the record before `next_offset`, in hex."""

    topic: str
    partition: int
    next_offset: int
    chain: str


class Signed(msgspec.Struct, frozen=True):
    """A signed checkpoint as it stands on the topic and in the file."""

    n: int
    at: str
    places: tuple[SignedPlace, ...]
    previous: str | None
    key: str
    signature: str
    type: str = TYPE

    @property
    def statement(self) -> bytes:
        """The bytes that are signed."""
        return _statement(self.n, self.at, self.places, self.previous, self.key)

    @property
    def digest(self) -> str:
        """By which the next checkpoint names this one."""
        return hashlib.sha256(self.statement).hexdigest()

    def line(self) -> bytes:
        """The JSON of the topic and the file."""
        return _encode(self)

    def heads(self) -> list[Head]:
        """What it says of each partition. Raises ValueError for a topic or a hash that is none."""
        try:
            return [
                Head(_TOPIC_IDS[place.topic], place.partition, place.next_offset, bytes.fromhex(place.chain), self.n)
                for place in self.places
            ]
        except KeyError as error:
            raise ValueError(f"the ledger has no topic {error}") from None


_read: Final = msgspec.json.Decoder(Signed).decode


def _statement(n: int, at: str, places: Sequence[SignedPlace], previous: str | None, key: str) -> bytes:
    return _encode({"n": n, "at": at, "places": places, "previous": previous, "key": key, "type": TYPE})


def read_signed(line: bytes) -> Signed:
    """A record of the topic or a line of the file. Raises ValueError for what is no signed checkpoint."""
    try:
        found = _read(line)
    except msgspec.MsgspecError as error:
        raise ValueError(f"no signed checkpoint: {error}") from None
    if found.type != TYPE:
        raise ValueError(f"a checkpoint of type {found.type[:60]!r}, which nobody here can read")
    return found


def moment_text(at: datetime) -> str:
    """A moment as it is signed."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def stored_places(places: Iterable[SignedPlace]) -> list[dict[str, Any]]:
    """As the table `checkpoints` keeps them."""
    return [
        {
            "topic_id": _TOPIC_IDS[place.topic],
            "partition": place.partition,
            "next_offset": place.next_offset,
            "chain": place.chain,
        }
        for place in places
    ]


def signed_places(stored: Iterable[Mapping[str, Any]]) -> tuple[SignedPlace, ...]:
    """The other way round."""
    return tuple(
        SignedPlace(TOPIC_OF[place["topic_id"]], place["partition"], place["next_offset"], place["chain"])
        for place in stored
    )


class Signer:
    """Holds a private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.key_id = key_id(key.public_key())

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Raises BadKey for anything but an unencrypted Ed25519 key in PKCS8."""
        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError) as error:
            raise BadKey(f"no private key in PEM without a password: {error}") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise BadKey("not an Ed25519 key")
        return cls(key)

    @classmethod
    def fresh(cls) -> Self:
        return cls(Ed25519PrivateKey.generate())

    def private_pem(self) -> bytes:
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def public_pem(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, n: int, at: datetime, places: Sequence[SignedPlace], previous: str | None) -> Signed:
        said = moment_text(at)
        signature = self._key.sign(_statement(n, said, places, previous, self.key_id))
        return Signed(n, said, tuple(places), previous, self.key_id, base64.b64encode(signature).decode())


def key_id(key: Ed25519PublicKey) -> str:
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:KEY_ID_CHARACTERS]


PublicKeys = Mapping[str, Ed25519PublicKey]


def public_keys(pems: Iterable[bytes]) -> dict[str, Ed25519PublicKey]:
    """Public keys by their id. Raises BadKey."""
    found = {}
    for pem in pems:
        try:
            key = load_pem_public_key(pem)
        except ValueError as error:
            raise BadKey(f"no public key in PEM: {error}") from None
        if not isinstance(key, Ed25519PublicKey):
            raise BadKey("not an Ed25519 key")
        found[key_id(key)] = key
    return found


def fault_of(signed: Signed, keys: PublicKeys) -> str | None:
    """Why the signature does not hold; None if it does."""
    key = keys.get(signed.key)
    if key is None:
        return f"it is signed with key {signed.key[:KEY_ID_CHARACTERS]}, of which no public key was given"
    try:
        key.verify(base64.b64decode(signed.signature, validate=True), signed.statement)
    except (InvalidSignature, ValueError):
        return f"its signature is not that of key {signed.key}"
    return None
