"""What may be said about the rules of supply: registrations, prices, demand, plants, agreements, interruptions."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from shared.events.fields import (
    AS_TUPLE,
    COUNTED,
    MAX_ITEMS,
    Atc,
    Country,
    Day,
    EventData,
    Figure,
    Gln,
    Gtin,
    Gtins,
    Identifier,
    Identifiers,
    Name,
    Packs,
    PositiveFigure,
    Reason,
    Summary,
    Title,
    Told,
    Vnd,
    Year,
    in_order,
    refuse,
)


class Fact(Told):
    """Something that holds from a day on; what it is about is its topic key."""


class Product(EventData):
    """What is registered."""

    name: Name
    substance: Name
    atc: Atc
    form: Name
    strength: Name | None = None
    class_: Literal["originator", "generic", "vaccine", "biological", "new_here"] = Field(alias="class")
    brand_owner: Gln | None = None


class Pack(EventData):
    """One pack size of a product; `ddd_per_pack` is how many defined daily doses it holds."""

    gtin: Gtin
    pack_size: Annotated[int, Field(ge=1, le=1_000_000)]
    ddd_per_pack: PositiveFigure | None = None


Packings = Annotated[tuple[Pack, ...], AS_TUPLE, Field(min_length=1, max_length=MAX_ITEMS), COUNTED]
Origin = Literal["domestic", "import"]
LocalStep = Literal["full", "fill_finish", "packaging"]


def _one_pack_a_gtin(packs: tuple[Pack, ...]) -> None:
    if len({pack.gtin for pack in packs}) != len(packs):
        refuse("duplicate", "packs names the same gtin twice")


class OfAuthorisation(Fact):
    """A fact about one authorisation."""

    authorisation: Identifier

    def key(self) -> str:
        return self.authorisation


class RegistrationGranted(OfAuthorisation):
    """A medicine may be supplied, in these packs, by this holder."""

    TYPE: ClassVar[str] = "supply.registration.granted.v1"

    product: Product
    packs: Packings
    origin: Origin
    local_step: LocalStep | None = None
    holder: Gln
    manufacturer: Gln
    granted_on: Day
    expires_on: Day
    agreement: Identifier | None = None

    @model_validator(mode="after")
    def _expires_after_grant(self) -> Self:
        in_order(self.granted_on, self.expires_on, "expires_on is before granted_on")
        _one_pack_a_gtin(self.packs)
        return self


class RegistrationVaried(OfAuthorisation):
    """Some fields of the grant changed; those not named stay."""

    TYPE: ClassVar[str] = "supply.registration.varied.v1"

    effective_on: Day
    product: Product | None = None
    packs: Packings | None = None
    origin: Origin | None = None
    local_step: LocalStep | None = None
    holder: Gln | None = None
    manufacturer: Gln | None = None
    granted_on: Day | None = None
    expires_on: Day | None = None
    agreement: Identifier | None = None

    @model_validator(mode="after")
    def _something_changes(self) -> Self:
        _some_change(self)
        _one_pack_a_gtin(self.packs or ())
        return self


def _some_change(fact: EventData) -> None:
    changes = (name for name, field in type(fact).model_fields.items() if not field.is_required())
    if all(getattr(fact, name) is None for name in changes):
        refuse("nothing_changed", "names none of the fields that could change")


class RegistrationRenewalFiled(OfAuthorisation):
    """The holder asked for renewal; the authorisation stays in use meanwhile."""

    TYPE: ClassVar[str] = "supply.registration.renewal_filed.v1"

    filed_on: Day


class RegistrationRenewed(OfAuthorisation):
    """The authorisation holds until a later day."""

    TYPE: ClassVar[str] = "supply.registration.renewed.v1"

    effective_on: Day
    expires_on: Day

    @model_validator(mode="after")
    def _expires_after_renewal(self) -> Self:
        in_order(self.effective_on, self.expires_on, "expires_on is before effective_on")
        return self


class RegistrationSuspended(OfAuthorisation):
    """The authorisation does not hold for the time being."""

    TYPE: ClassVar[str] = "supply.registration.suspended.v1"

    effective_on: Day
    reason: Reason


class RegistrationReinstated(OfAuthorisation):
    """A suspended authorisation holds again."""

    TYPE: ClassVar[str] = "supply.registration.reinstated.v1"

    effective_on: Day
    reason: Reason


class RegistrationRevoked(OfAuthorisation):
    """The authorisation ended before its time."""

    TYPE: ClassVar[str] = "supply.registration.revoked.v1"

    effective_on: Day
    reason: Reason


class PriceDeclared(Fact):
    """The price of one pack from a day on."""

    TYPE: ClassVar[str] = "supply.price.declared.v1"

    gtin: Gtin
    price: Vnd
    currency: Literal["VND"]
    effective_on: Day

    def key(self) -> str:
        return self.gtin


class DemandEstimated(Fact):
    """What the country needs in a year: of one product, or of one substance and form."""

    TYPE: ClassVar[str] = "supply.demand.estimated.v1"

    gtin: Gtin | None = None
    substance: Name | None = None
    form: Name | None = None
    year: Year
    quantity: Packs
    unit: Literal["packs", "ddd"]

    @model_validator(mode="after")
    def _of_a_product_or_of_a_substance(self) -> Self:
        named = (self.substance is not None, self.form is not None)
        if named != ((False, False) if self.gtin is not None else (True, True)):
            refuse("one_of", "names either gtin, or substance and form")
        return self

    def key(self) -> str:
        return self.gtin if self.gtin is not None else f"{self.substance}/{self.form}"


class GmpCertified(Fact):
    """A plant works to a standard of good manufacturing practice."""

    TYPE: ClassVar[str] = "supply.gmp.certified.v1"

    certificate: Identifier
    site: Gln
    holder: Gln
    country: Country
    standard: Literal["EU-GMP", "PIC/S-GMP", "WHO-GMP"]
    lines: Identifiers = ()
    effective_on: Day
    expires_on: Day

    @model_validator(mode="after")
    def _expires_after_certification(self) -> Self:
        in_order(self.effective_on, self.expires_on, "expires_on is before effective_on")
        return self

    def key(self) -> str:
        return self.site


class GmpWithdrawn(Fact):
    """A certificate no longer holds."""

    TYPE: ClassVar[str] = "supply.gmp.withdrawn.v1"

    certificate: Identifier
    effective_on: Day
    reason: Reason

    def key(self) -> str:
        # It does not name the site; the registry is the same for every order of its facts, so any stable key will do.
        return self.certificate


class TransferProduct(EventData):
    """A medicine whose making is handed over."""

    name: Name
    substance: Name
    gtins: Gtins = ()


class Milestone(EventData):
    """A step of an agreement; `met_by` names the evidence in the ledger that meets it by itself."""

    milestone: Identifier
    title: Title
    owner: Gln | None = None
    due_on: Day | None = None
    met_by: Literal["first_produced", "first_registered", "first_released", "first_exported"] | None = None


TransferProducts = Annotated[tuple[TransferProduct, ...], AS_TUPLE, Field(min_length=1, max_length=MAX_ITEMS), COUNTED]
Milestones = Annotated[tuple[Milestone, ...], AS_TUPLE, Field(max_length=MAX_ITEMS), COUNTED]


def _one_of_each_milestone(milestones: tuple[Milestone, ...]) -> None:
    if len({milestone.milestone for milestone in milestones}) != len(milestones):
        refuse("duplicate", "milestones names the same milestone twice")


class OfAgreement(Fact):
    """A fact about one agreement."""

    agreement: Identifier

    def key(self) -> str:
        return self.agreement


class TransferSigned(OfAgreement):
    """An originator hands the making of medicines over to a firm here."""

    TYPE: ClassVar[str] = "supply.transfer.signed.v1"

    title: Title
    originator: Gln
    recipient: Gln
    signed_on: Day
    products: TransferProducts
    milestones: Milestones

    @model_validator(mode="after")
    def _names_each_milestone_once(self) -> Self:
        _one_of_each_milestone(self.milestones)
        return self


class TransferAmended(OfAgreement):
    """Some fields of the agreement changed; those not named stay."""

    TYPE: ClassVar[str] = "supply.transfer.amended.v1"

    effective_on: Day
    title: Title | None = None
    originator: Gln | None = None
    recipient: Gln | None = None
    signed_on: Day | None = None
    products: TransferProducts | None = None
    milestones: Milestones | None = None

    @model_validator(mode="after")
    def _something_changes(self) -> Self:
        _some_change(self)
        _one_of_each_milestone(self.milestones or ())
        return self


class TransferEnded(OfAgreement):
    """The agreement no longer holds."""

    TYPE: ClassVar[str] = "supply.transfer.ended.v1"

    effective_on: Day
    reason: Reason


class TransferReached(OfAgreement):
    """A milestone was reached."""

    TYPE: ClassVar[str] = "supply.transfer.reached.v1"

    milestone: Identifier
    reached_on: Day
    evidence: Reason | None = None


class TransferReported(OfAgreement):
    """The yearly report of an agreement."""

    TYPE: ClassVar[str] = "supply.transfer.reported.v1"

    period_start: Day
    period_end: Day
    summary: Summary

    @model_validator(mode="after")
    def _period_runs_forward(self) -> Self:
        in_order(self.period_start, self.period_end, "period_end is before period_start")
        return self


class InterruptionNotified(Fact):
    """Supply of a product or from a site stopped."""

    TYPE: ClassVar[str] = "supply.interruption.notified.v1"

    interruption: Identifier
    gtin: Gtin | None = None
    site: Gln | None = None
    cause: Reason
    started_on: Day
    expected_until: Day | None = None

    @model_validator(mode="after")
    def _ends_after_it_began(self) -> Self:
        in_order(self.started_on, self.expected_until, "expected_until is before started_on")
        return self

    def key(self) -> str:
        return self.interruption


class InterruptionResolved(Fact):
    """Supply goes on."""

    TYPE: ClassVar[str] = "supply.interruption.resolved.v1"

    interruption: Identifier
    resolved_on: Day

    def key(self) -> str:
        return self.interruption


class FigureReported(Fact):
    """An official statistic that the ledger cannot know."""

    TYPE: ClassVar[str] = "supply.figure.reported.v1"

    figure: Identifier
    scope: Identifier
    period_end: Day
    value: Figure
    unit: Identifier
    source: Reason

    def key(self) -> str:
        return self.figure


MODELS: Final[tuple[type[Fact], ...]] = (
    RegistrationGranted,
    RegistrationVaried,
    RegistrationRenewalFiled,
    RegistrationRenewed,
    RegistrationSuspended,
    RegistrationReinstated,
    RegistrationRevoked,
    PriceDeclared,
    DemandEstimated,
    GmpCertified,
    GmpWithdrawn,
    TransferSigned,
    TransferAmended,
    TransferEnded,
    TransferReached,
    TransferReported,
    InterruptionNotified,
    InterruptionResolved,
    FigureReported,
)
