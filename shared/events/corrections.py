"""What may be said about an earlier event: that it counts as something else, or as nothing."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import (
    AfterValidator,
    Field,
    SerializeAsAny,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from shared import topics
from shared.events import movements, registry
from shared.events.fields import (
    IDENTIFIER_CACHE_KEYS,
    Day,
    EventData,
    Reason,
    Told,
    TopicKey,
    gln,
    gtin,
    refuse,
    refuse_nested,
)

SOURCE_PREFIX: Final = "urn:gln:"
# Of UTF-8. Subjects of anomalies hold an id percent-encoded, three times as long, and PostgreSQL indexes 2,700 bytes.
EVENT_ID_BYTES: Final = 512

TOPICS: Final[dict[str, str]] = {
    **{model.TYPE: topics.MOVEMENTS for model in movements.MODELS},
    **{model.TYPE: topics.REGISTRY for model in registry.MODELS},
}
_MODELS: Final[dict[str, type[Told]]] = {
    **{model.TYPE: model for model in movements.MODELS},
    **{model.TYPE: model for model in registry.MODELS},
}


@lru_cache(IDENTIFIER_CACHE_KEYS)  # of a few firms; a fault is never cached
def source(value: str) -> str:
    """`value`, a producer's URI urn:gln:<GLN>. Raises PydanticCustomError `pattern` or `check_digit`."""
    if not value.startswith(SOURCE_PREFIX):
        refuse("pattern", "a source is urn:gln: and a GLN")
    gln(value.removeprefix(SOURCE_PREFIX))
    return value


Source = Annotated[
    str, AfterValidator(source), WithJsonSchema({"type": "string", "pattern": "^urn:gln:[0-9]{13}$", "title": "Source"})
]


def event_id(value: str) -> str:
    """`value`, an event's id. Raises PydanticCustomError `length`."""
    if len(value.encode("utf-8", "surrogatepass")) > EVENT_ID_BYTES:
        refuse("length", f"an id has at most {EVENT_ID_BYTES} bytes in UTF-8")
    return value


EventId = Annotated[str, StringConstraints(min_length=1, max_length=EVENT_ID_BYTES), AfterValidator(event_id)]


def _original_type(value: str) -> str:
    if value not in TOPICS:
        refuse("unknown_type", "no type of the catalogue that a first original can have")
    return value


class Corrects(EventData):
    """The event that is corrected; `type` is that of the first original in the chain."""

    source: Source
    id: EventId
    type: Annotated[str, AfterValidator(_original_type)]


class Replacement(EventData):
    """What the corrected event counts as from now on."""

    type: str
    data: Annotated[
        SerializeAsAny[EventData], WithJsonSchema({"type": "object", "description": "What events of this type hold"})
    ]

    @field_validator("type")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value != EventCorrected.TYPE and value not in TOPICS:
            refuse("unknown_type", "no type of the catalogue")
        return value

    @field_validator("data", mode="before")
    @classmethod
    def _of_its_type(cls, value: Any, info: ValidationInfo) -> EventData:
        kind = info.data.get("type")
        model: type[EventData] = EventCorrected if kind == EventCorrected.TYPE else _MODELS.get(str(kind), EventData)
        if kind is None or isinstance(value, model):
            return value if isinstance(value, EventData) else EventData()  # an unknown type is a fault already
        try:
            return model.model_validate(value)
        except ValidationError as error:
            refuse_nested(error)


class EventCorrected(Told):
    """An earlier event of the same source counts as its replacement, or as nothing."""

    TYPE: ClassVar[str] = "supply.event.corrected.v1"

    corrects: Corrects
    key_: TopicKey = Field(alias="key")
    corrected_on: Day
    reason: Reason
    replacement: Replacement | None = None

    @field_validator("key_")
    @classmethod
    def _as_the_original_was_keyed(cls, value: str, info: ValidationInfo) -> str:
        corrects: Corrects | None = info.data.get("corrects")
        if corrects is None:
            return value
        if TOPICS[corrects.type] == topics.MOVEMENTS or corrects.type == registry.PriceDeclared.TYPE:
            return gtin(value)
        if corrects.type == registry.DemandEstimated.TYPE and "/" not in value:
            return gtin(value)
        return gln(value) if corrects.type == registry.GmpCertified.TYPE else value

    @model_validator(mode="after")
    def _stays_in_its_place(self) -> Self:
        if self.replacement is None:
            return self
        told = self.replacement.data
        if isinstance(told, EventCorrected):
            type_, key = told.corrects.type, told.key()
            if type_ != self.corrects.type:
                refuse("topic_mismatch", "the inner correction is of another type's event")
        else:
            assert isinstance(told, Told)
            type_, key = told.TYPE, told.key()
        if TOPICS[type_] != TOPICS[self.corrects.type]:
            refuse("topic_mismatch", f"a replacement stays on {TOPICS[self.corrects.type]}")
        if key != self.key_:
            raise PydanticCustomError(
                "key_mismatch",
                "the replacement's key is {found}, not {expected}",
                {"found": key, "expected": self.key_},
            )
        return self

    def key(self) -> str:
        return self.key_
