"""Reads a record of a trusted topic into a typed event, fast: the models of the catalogue as msgspec structs.

Fields that it does not know are ignored, so that a reader may be older than the writer; a test holds it to read all
that the models accept, to the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from shared.events.fields import FIRST_YEAR, LAST_YEAR, MAX_PACKS, MAX_VND

HASH_BYTES: Final = 16
# By what authority an event was said. Ingest alone writes it, from the sender's roles: what a sender puts into
# extension attributes is never passed on.
AUTHORITY: Final = "ce_authority"
REGULATOR: Final = b"regulator"

Gtin = Annotated[str, Meta(min_length=14, max_length=14, pattern="^[0-9]{14}$")]
Gln = Annotated[str, Meta(min_length=13, max_length=13)]
Lot = Annotated[str, Meta(min_length=1, max_length=20)]
Packs = Annotated[int, Meta(ge=1, le=MAX_PACKS)]
PacksOrNone = Annotated[int, Meta(ge=0, le=MAX_PACKS)]
Delta = Annotated[int, Meta(ge=-MAX_PACKS, le=MAX_PACKS)]
Vnd = Annotated[int, Meta(ge=0, le=MAX_VND)]
PackSize = Annotated[int, Meta(ge=1, le=1_000_000)]
Year = Annotated[int, Meta(ge=FIRST_YEAR, le=LAST_YEAR)]


class Unreadable(Exception):
    """A record that is no event of the catalogue; `reason` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def _check_finite(value: Decimal | None) -> None:
    if value is not None and not value.is_finite():
        raise ValueError("not a finite number")


class Data(Struct, frozen=True, omit_defaults=True, gc=False):
    """The base of every type's data."""


class Input(Struct, frozen=True, omit_defaults=True, gc=False):
    gtin: Gtin
    lot: Lot
    quantity: Packs


class BatchProduced(Data, frozen=True, omit_defaults=True, gc=False):
    gtin: Gtin
    lot: Lot
    quantity: Packs
    produced_on: date
    expires_on: date
    manufacturer: Gln
    site: Gln | None = None
    authorisation: str | None = None
    inputs: tuple[Input, ...] = ()


class BatchReleased(Data, frozen=True, omit_defaults=True, gc=False):
    gtin: Gtin
    lot: Lot
    quantity: Packs
    released_on: date
    certificate: str | None = None


class BatchRejected(Data, frozen=True, omit_defaults=True, gc=False):
    gtin: Gtin
    lot: Lot
    quantity: Packs
    rejected_on: date
    reason: str


class ImportReceived(Data, frozen=True, omit_defaults=True, gc=False):
    gtin: Gtin
    lot: Lot
    quantity: Packs
    received_on: date
    expires_on: date
    importer: Gln
    country_of_origin: str
    hold: bool = False
    basis: Literal["registered", "permit", "donation"] = "registered"
    authorisation: str | None = None
    declaration: str | None = None
    value: Vnd | None = None


class ExportShipped(Data, frozen=True, omit_defaults=True, gc=False, rename={"from_": "from"}):
    gtin: Gtin
    lot: Lot
    quantity: Packs
    shipped_on: date
    destination: str
    exporter: Gln
    from_: Literal["available", "quarantine"] = "available"
    declaration: str | None = None
    value: Vnd | None = None


class StockReturned(Data, frozen=True, omit_defaults=True, gc=False, rename={"from_": "from"}):
    gtin: Gtin
    lot: Lot
    quantity: Packs
    returned_on: date
    from_: Literal["consumed", "exported"]
    to: Literal["quarantine", "available"]
    reason: str


class ConsumptionReported(Data, frozen=True, omit_defaults=True, gc=False):
    gtin: Gtin
    quantity: PacksOrNone
    period_start: date
    period_end: date
    lot: Lot | None = None


class BatchRecalled(Data, frozen=True, omit_defaults=True, gc=False):
    gtin: Gtin
    level: Annotated[int, Meta(ge=1, le=3)]
    recalled_on: date
    reason: str
    lot: Lot | None = None


class RecallClosed(Data, frozen=True, omit_defaults=True, gc=False):
    gtin: Gtin
    closed_on: date
    recovered: PacksOrNone
    lot: Lot | None = None


class BatchDestroyed(Data, frozen=True, omit_defaults=True, gc=False, rename={"from_": "from"}):
    gtin: Gtin
    lot: Lot
    quantity: Packs
    destroyed_on: date
    reason: str
    from_: Literal["available", "quarantine", "rejected"] = "available"


class StockCounted(Data, frozen=True, omit_defaults=True, gc=False):
    gtin: Gtin
    lot: Lot
    quantity: PacksOrNone
    counted_on: date
    holder: Gln
    covers: Literal["holder", "national"]


class StockAdjusted(Data, frozen=True, omit_defaults=True, gc=False):
    gtin: Gtin
    lot: Lot
    delta: Delta
    adjusted_on: date
    reason: str


class Product(Struct, frozen=True, omit_defaults=True, gc=False, rename={"class_": "class"}):
    name: str
    substance: str
    atc: str
    form: str
    class_: Literal["originator", "generic", "vaccine", "biological", "new_here"]
    strength: str | None = None
    brand_owner: Gln | None = None


class Pack(Struct, frozen=True, omit_defaults=True, gc=False):
    gtin: Gtin
    pack_size: PackSize
    ddd_per_pack: Decimal | None = None

    def __post_init__(self) -> None:
        _check_finite(self.ddd_per_pack)


Origin = Literal["domestic", "import"]
LocalStep = Literal["full", "fill_finish", "packaging"]


class RegistrationGranted(Data, frozen=True, omit_defaults=True, gc=False):
    authorisation: str
    product: Product
    packs: tuple[Pack, ...]
    origin: Origin
    holder: Gln
    manufacturer: Gln
    granted_on: date
    expires_on: date
    local_step: LocalStep | None = None
    agreement: str | None = None


class RegistrationVaried(Data, frozen=True, omit_defaults=True, gc=False):
    authorisation: str
    effective_on: date
    product: Product | None = None
    packs: tuple[Pack, ...] | None = None
    origin: Origin | None = None
    local_step: LocalStep | None = None
    holder: Gln | None = None
    manufacturer: Gln | None = None
    granted_on: date | None = None
    expires_on: date | None = None
    agreement: str | None = None


class RegistrationRenewalFiled(Data, frozen=True, omit_defaults=True, gc=False):
    authorisation: str
    filed_on: date


class RegistrationRenewed(Data, frozen=True, omit_defaults=True, gc=False):
    authorisation: str
    effective_on: date
    expires_on: date


class RegistrationSuspended(Data, frozen=True, omit_defaults=True, gc=False):
    authorisation: str
    effective_on: date
    reason: str


class RegistrationReinstated(Data, frozen=True, omit_defaults=True, gc=False):
    authorisation: str
    effective_on: date
    reason: str


class RegistrationRevoked(Data, frozen=True, omit_defaults=True, gc=False):
    authorisation: str
    effective_on: date
    reason: str


class PriceDeclared(Data, frozen=True, omit_defaults=True, gc=False):
    gtin: Gtin
    price: Vnd
    currency: Literal["VND"]
    effective_on: date


class DemandEstimated(Data, frozen=True, omit_defaults=True, gc=False):
    year: Year
    quantity: Packs
    unit: Literal["packs", "ddd"]
    gtin: Gtin | None = None
    substance: str | None = None
    form: str | None = None


class GmpCertified(Data, frozen=True, omit_defaults=True, gc=False):
    certificate: str
    site: Gln
    holder: Gln
    country: str
    standard: Literal["EU-GMP", "PIC/S-GMP", "WHO-GMP"]
    effective_on: date
    expires_on: date
    lines: tuple[str, ...] = ()


class GmpWithdrawn(Data, frozen=True, omit_defaults=True, gc=False):
    certificate: str
    effective_on: date
    reason: str


class TransferProduct(Struct, frozen=True, omit_defaults=True, gc=False):
    name: str
    substance: str
    gtins: tuple[Gtin, ...] = ()


class Milestone(Struct, frozen=True, omit_defaults=True, gc=False):
    milestone: str
    title: str
    owner: Gln | None = None
    due_on: date | None = None
    met_by: Literal["first_produced", "first_registered", "first_released", "first_exported"] | None = None


class TransferSigned(Data, frozen=True, omit_defaults=True, gc=False):
    agreement: str
    title: str
    originator: Gln
    recipient: Gln
    signed_on: date
    products: tuple[TransferProduct, ...]
    milestones: tuple[Milestone, ...]


class TransferAmended(Data, frozen=True, omit_defaults=True, gc=False):
    agreement: str
    effective_on: date
    title: str | None = None
    originator: Gln | None = None
    recipient: Gln | None = None
    signed_on: date | None = None
    products: tuple[TransferProduct, ...] | None = None
    milestones: tuple[Milestone, ...] | None = None


class TransferEnded(Data, frozen=True, omit_defaults=True, gc=False):
    agreement: str
    effective_on: date
    reason: str


class TransferReached(Data, frozen=True, omit_defaults=True, gc=False):
    agreement: str
    milestone: str
    reached_on: date
    evidence: str | None = None


class TransferReported(Data, frozen=True, omit_defaults=True, gc=False):
    agreement: str
    period_start: date
    period_end: date
    summary: str


class InterruptionNotified(Data, frozen=True, omit_defaults=True, gc=False):
    interruption: str
    cause: str
    started_on: date
    gtin: Gtin | None = None
    site: Gln | None = None
    expected_until: date | None = None


class InterruptionResolved(Data, frozen=True, omit_defaults=True, gc=False):
    interruption: str
    resolved_on: date


class FigureReported(Data, frozen=True, omit_defaults=True, gc=False):
    figure: str
    scope: str
    period_end: date
    value: Decimal
    unit: str
    source: str

    def __post_init__(self) -> None:
        _check_finite(self.value)


class Corrects(Struct, frozen=True, omit_defaults=True, gc=False):
    source: str
    id: str
    type: str


class Replacement(Struct, frozen=True, omit_defaults=True):
    """What the corrected event counts as; `data` is the struct of `type`."""

    type: str
    data: Data


class EventCorrected(Data, frozen=True, omit_defaults=True):
    corrects: Corrects
    key: str
    corrected_on: date
    reason: str
    replacement: Replacement | None = None


class _RawReplacement(Struct):
    type: str
    data: Raw


class _RawCorrected(Struct):
    corrects: Corrects
    key: str
    corrected_on: date
    reason: str
    replacement: _RawReplacement | None = None


class Event(Struct, frozen=True):
    """One event of a trusted topic. `type` is the whole CloudEvents type, `time` is aware and in UTC.

    `by_regulator`: ingest knew its sender as a regulator. That is no part of its content.
    """

    source: str
    id: str
    type: str
    time: datetime
    subject: str | None
    data: Data
    by_regulator: bool = False


STRUCTS: Final[Mapping[str, type[Data]]] = MappingProxyType(
    {
        "supply.batch.produced.v1": BatchProduced,
        "supply.batch.released.v1": BatchReleased,
        "supply.batch.rejected.v1": BatchRejected,
        "supply.import.received.v1": ImportReceived,
        "supply.export.shipped.v1": ExportShipped,
        "supply.stock.returned.v1": StockReturned,
        "supply.consumption.reported.v1": ConsumptionReported,
        "supply.batch.recalled.v1": BatchRecalled,
        "supply.recall.closed.v1": RecallClosed,
        "supply.batch.destroyed.v1": BatchDestroyed,
        "supply.stock.counted.v1": StockCounted,
        "supply.stock.adjusted.v1": StockAdjusted,
        "supply.registration.granted.v1": RegistrationGranted,
        "supply.registration.varied.v1": RegistrationVaried,
        "supply.registration.renewal_filed.v1": RegistrationRenewalFiled,
        "supply.registration.renewed.v1": RegistrationRenewed,
        "supply.registration.suspended.v1": RegistrationSuspended,
        "supply.registration.reinstated.v1": RegistrationReinstated,
        "supply.registration.revoked.v1": RegistrationRevoked,
        "supply.price.declared.v1": PriceDeclared,
        "supply.demand.estimated.v1": DemandEstimated,
        "supply.gmp.certified.v1": GmpCertified,
        "supply.gmp.withdrawn.v1": GmpWithdrawn,
        "supply.transfer.signed.v1": TransferSigned,
        "supply.transfer.amended.v1": TransferAmended,
        "supply.transfer.ended.v1": TransferEnded,
        "supply.transfer.reached.v1": TransferReached,
        "supply.transfer.reported.v1": TransferReported,
        "supply.interruption.notified.v1": InterruptionNotified,
        "supply.interruption.resolved.v1": InterruptionResolved,
        "supply.figure.reported.v1": FigureReported,
        "supply.event.corrected.v1": EventCorrected,
    }
)
CORRECTED: Final = "supply.event.corrected.v1"

_NUL_ESCAPE: Final = b"\\u0000"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_encode: Final = msgspec.json.Encoder().encode
_decode_corrected: Final = msgspec.json.Decoder(_RawCorrected).decode


def _corrected(value: bytes | Raw) -> EventCorrected:
    raw = _decode_corrected(value)
    replacement = None
    if raw.replacement is not None:
        kind = raw.replacement.type
        decode = _DECODERS.get(kind)
        if decode is None:
            raise Unreadable(f"a replacement of an unknown type: {kind[:100]!r}")
        replacement = Replacement(kind, decode(raw.replacement.data))
    return EventCorrected(raw.corrects, raw.key, raw.corrected_on, raw.reason, replacement)


_DECODERS: Final[dict[str, Callable[[bytes | Raw], Data]]] = {
    **{type_: msgspec.json.Decoder(struct).decode for type_, struct in STRUCTS.items()},
    CORRECTED: _corrected,
}
# By the header's own bytes: one look-up instead of a decoding.
_BY_TYPE: Final[dict[bytes, tuple[str, Callable[[bytes | Raw], Data]]]] = {
    type_.encode(): (type_, decode) for type_, decode in _DECODERS.items()
}


def read(headers: Sequence[tuple[str, bytes]], value: bytes | None) -> Event:
    """The event that a record of a trusted topic holds. Raises Unreadable, and nothing else."""
    if value is None:
        raise Unreadable("no value")
    found = dict(headers)
    if len(found) != len(headers):
        raise Unreadable("a header stands twice")
    try:
        type_, decode = _BY_TYPE[found["ce_type"]]
        source = found["ce_source"].decode()
        id_ = found["ce_id"].decode()
        time = datetime.fromisoformat(found["ce_time"].decode())
        if time.tzinfo is not UTC:
            time = _in_utc(time)
        subject = found["ce_subject"].decode() if "ce_subject" in found else None
        if not source or not id_ or "\0" in source or "\0" in id_ or (subject and "\0" in subject):
            raise Unreadable("source, id or subject is empty or holds a NUL")
        if _NUL_ESCAPE in value:
            _refuse_nul(msgspec.json.decode(value))
        return Event(source, id_, type_, time, subject, decode(value), found.get(AUTHORITY) == REGULATOR)
    except KeyError as error:
        raise Unreadable(_missing(found, error)) from None
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError, AttributeError, TypeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}"[:300]) from None


def read_data(type_: str, value: bytes) -> Data:
    """The data alone of a stored event of a known type. Raises Unreadable."""
    try:
        return _DECODERS[type_](value)
    except (KeyError, msgspec.MsgspecError, ValueError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}"[:300]) from None


def _in_utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise Unreadable("ce_time has no offset")
    return time.astimezone(UTC)


def _missing(headers: Mapping[str, bytes], error: KeyError) -> str:
    name = error.args[0]
    return f"no header {name}" if isinstance(name, str) else f"unknown type: {headers['ce_type']!r}"[:300]


def _refuse_nul(value: Any) -> None:
    """PostgreSQL's text holds no NUL."""
    if isinstance(value, str) and "\0" in value:
        raise Unreadable("a text holds a NUL")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_nul(item)


def replacement_data(corrected: EventCorrected) -> Data | None:
    """What the corrected event counts as from now on; None if as nothing."""
    return None if corrected.replacement is None else corrected.replacement.data


def content_hash(event: Event) -> bytes:
    """16 bytes that are equal for equal content: type, time, and data whether or not defaults were written out."""
    microseconds = (event.time - _EPOCH) // _MICROSECOND
    kind = event.type.encode()
    hashed = blake2b(b"%d %s %d " % (len(kind), kind, microseconds), digest_size=HASH_BYTES)
    hashed.update(_encode(event.data))
    return hashed.digest()


def event_key(source: str, id: str) -> bytes:
    """16 bytes that stand for (source, id)."""
    first, second = source.encode(), id.encode()
    return blake2b(b"%d:%b%d:%b" % (len(first), first, len(second), second), digest_size=HASH_BYTES).digest()
