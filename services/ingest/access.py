"""Administers producers and keys over HTTP, for admins alone."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from services.ingest.announcement import Announcer
from services.ingest.epcis.places import HOME
from services.ingest.kafka_admin import KafkaAdmin
from services.ingest.settings import IngestSettings
from services.ingest.store import GlnTaken, NameTaken, ProducerRow, Store
from services.ingest.tables import Key
from shared import topics
from shared.access import AccessCache, require
from shared.audit import SETTINGS, Author
from shared.clock import rfc3339
from shared.errors import Fault, Invalid, Problem, Transient
from shared.events import fields
from shared.events.catalogue import Role
from shared.faults import faults
from shared.forms import require_author
from shared.json_input import loads
from shared.keys import ADMIN, PRODUCER, AccessRecord, NewKey, Principal, key_hash, key_id_of, new_key
from shared.openapi import json_body
from shared.web import Limit, decode_cursor, json_response, page

# Part of a topic's name: dots and underscores would collide in Kafka's metrics, capitals in people's minds.
_NAME: Final = r"^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?$"
_Admin = Annotated[Principal, Depends(require(ADMIN))]
_Author = Annotated[Author, Depends(require_author(ADMIN))]
BOOTSTRAP: Final = "bootstrap"
NAME_SHOWN_CHARACTERS: Final = 100


def _unique(items: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(items)) != len(items):
        fields.refuse("duplicate", "the same item stands twice")
    return items


_NOT_EMPTY_AND_UNIQUE: Final = (fields.AS_TUPLE, Field(min_length=1), fields.COUNTED, AfterValidator(_unique))


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NewProducer(Body):
    """{name, glns, roles, country?}: the country is where its GLNs are, unless more is told of one (`PUT /parties`)."""

    name: Annotated[str, Field(pattern=_NAME)]
    glns: Annotated[tuple[fields.Gln, ...], *_NOT_EMPTY_AND_UNIQUE]
    roles: Annotated[tuple[Role, ...], *_NOT_EMPTY_AND_UNIQUE]
    country: fields.Country = HOME


class NewProducerKey(Body):
    """{label?}"""

    label: fields.Name | None = None


class NewPersonKey(Body):
    """{role, label}"""

    role: Literal["viewer", "operator", "admin"]
    label: fields.Name


class ProducerAnswer(BaseModel):
    """A producer with its GLNs."""

    name: str
    glns: list[str]
    roles: list[str]
    country: str
    created_at: datetime


class ProducerList(BaseModel):
    """A page of producers, by name."""

    items: list[ProducerAnswer]
    next: str | None


class KafkaUser(BaseModel):
    """A way into Kafka; the password is shown this once."""

    username: str
    password: str
    topic: str


class ProducerKeyAnswer(BaseModel):
    """A producer's key, shown this once."""

    key_id: str
    key: str
    kafka: KafkaUser


class PersonKeyAnswer(BaseModel):
    """The key of a person or program, shown this once."""

    key_id: str
    key: str
    role: str
    label: str


class KeyAnswer(BaseModel):
    """What is kept of a key."""

    key_id: str
    role: str
    name: str
    label: str
    kafka_username: str | None
    created_by: str
    created_at: datetime
    revoked_at: datetime | None


class KeyList(BaseModel):
    """A page of keys, by id; revoked ones too."""

    items: list[KeyAnswer]
    next: str | None


B = TypeVar("B", bound=Body)


async def read_body(request: Request, shape: type[B]) -> B:
    """Raises Problem 400 for what is not JSON, 422 for what is not `shape`."""
    body = await request.body()
    try:
        value = loads(body or b"{}")
    except Invalid as error:
        raise Problem(400, "Bad Request", "the body is not JSON", error.faults) from None
    return shaped(value, shape)


def shaped(value: Any, shape: type[B]) -> B:
    """`value` as `shape`. Raises Invalid with every fault."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise Invalid(faults(error)) from None


class Access:
    """Issues and revokes keys; what it changes, this instance knows at once and the others within seconds."""

    def __init__(
        self, settings: IngestSettings, store: Store, cache: AccessCache, announcer: Announcer, admin: KafkaAdmin
    ) -> None:
        self._settings = settings
        self._store = store
        self._cache = cache
        self._announcer = announcer
        self._admin = admin

    async def open(self) -> None:
        """Loads every key, and makes the one of the settings an administrator's."""
        secret = self._settings.bootstrap_admin_key
        if secret is not None:
            key = secret.get_secret_value()
            fresh = NewKey(key_id_of(key) or "", key, key_hash(key))
            row, author = _row(fresh, ADMIN, BOOTSTRAP, BOOTSTRAP, by=BOOTSTRAP), Author(SETTINGS, BOOTSTRAP, ADMIN)
            await self._store.ensure_bootstrap_key(row, _now(), author)
        for record in await self._store.access_records():
            self._cache.put(record)
        self._cache.ready.set()

    async def add_producer(self, wanted: NewProducer, author: Author) -> ProducerRow:
        """Raises Problem 409."""
        glns, roles = tuple(sorted(wanted.glns)), tuple(sorted(wanted.roles))
        row = ProducerRow(wanted.name, glns, roles, _now(), wanted.country)
        try:
            await self._store.add_producer(row, author)
        except NameTaken:
            raise _conflict("name", "name_taken", f"there is or was a producer {wanted.name}") from None
        except GlnTaken as error:
            raise _conflict("glns", "gln_taken", f"{error} belongs to another producer") from None
        return row

    async def issue_to_producer(self, name: str, label: str | None, author: Author) -> dict[str, Any]:
        """The answer that shows the key, and the way into Kafka that goes with it, once. Raises Problem 404."""
        producer = await self._store.producer(name) if name.isprintable() else None
        if producer is None:
            raise no_producer(name)
        fresh = new_key()
        username = f"{name}.{fresh.key_id}"
        password = await self._admin.admit(name, username)
        key = _row(fresh, PRODUCER, name, label or name, by=author.key_id, kafka_username=username)
        await self._issue(key, producer, author)
        way_in = {"username": username, "password": password, "topic": topics.inbound(name)}
        return {"key_id": fresh.key_id, "key": fresh.key, "kafka": way_in}

    async def issue_to_person(self, wanted: NewPersonKey, author: Author) -> dict[str, Any]:
        """The answer that shows the key once."""
        fresh = new_key()
        key = _row(fresh, wanted.role, wanted.label, wanted.label, by=author.key_id)
        await self._issue(key, None, author)
        return {"key_id": fresh.key_id, "key": fresh.key, "role": wanted.role, "label": wanted.label}

    async def _issue(self, key: Key, producer: ProducerRow | None, author: Author) -> None:
        await self._store.add_key(key, author)
        glns, roles = (producer.glns, producer.roles) if producer else ((), ())
        self._cache.put(AccessRecord(key.key_id, key.sha256, key.role, key.name, key.label, glns, roles))
        await self._announce()

    async def rotate(self, key_id: str, author: Author) -> dict[str, Any]:
        """A second key for whoever has this one, which stays valid until it is revoked. Raises Problem 404."""
        former = await self._store.key(key_id) if key_id.isprintable() else None
        if former is None:
            raise _no_key(key_id)
        if former.role == PRODUCER:
            return await self.issue_to_producer(former.name, former.label, author)
        return await self.issue_to_person(shaped({"role": former.role, "label": former.label}, NewPersonKey), author)

    async def revoke(self, key_id: str, author: Author) -> None:
        """Raises Problem 404."""
        record = await self._store.revoke_key(key_id, _now(), author) if key_id.isprintable() else None
        if record is None:
            raise _no_key(key_id)
        self._cache.put(record)
        await self._announce()

    async def _announce(self) -> None:
        """At once if Kafka is there, so that a key works everywhere when its owner first sees it; else soon."""
        with suppress(Transient):
            await self._announcer.now()


def _now() -> datetime:
    return datetime.now(UTC)


def _row(fresh: NewKey, role: str, name: str, label: str, *, by: str, kafka_username: str | None = None) -> Key:
    return Key(
        key_id=fresh.key_id,
        sha256=fresh.sha256,
        role=role,
        name=name,
        label=label,
        kafka_username=kafka_username,
        created_at=_now(),
        created_by=by,
        announced=False,
    )


def _conflict(field: str, code: str, detail: str) -> Problem:
    return Problem(409, "Conflict", detail, [Fault(field, code, detail)])


def _not_found(detail: str) -> Problem:
    return Problem(404, "Not Found", detail, [Fault(None, "not_found", detail)])


def _no_key(key_id: str) -> Problem:
    return _not_found(f"there is no key {key_id[:NAME_SHOWN_CHARACTERS]}")


def no_producer(name: str) -> Problem:
    return _not_found(f"there is no producer {name[:NAME_SHOWN_CHARACTERS]}")


def producer_json(row: ProducerRow) -> dict[str, Any]:
    """An item of GET /producers."""
    told = {"name": row.name, "glns": row.glns, "roles": row.roles, "country": row.country}
    return {**told, "created_at": rfc3339(row.created_at)}


def key_json(key: Key) -> dict[str, Any]:
    """An item of GET /keys."""
    revoked = None if key.revoked_at is None else rfc3339(key.revoked_at)
    shown = key.model_dump(include={"key_id", "role", "name", "label", "kafka_username", "created_by"})
    return {**shown, "created_at": rfc3339(key.created_at), "revoked_at": revoked}


def router(store: Store, access: Access) -> APIRouter:
    routes = APIRouter()

    @routes.get("/producers", response_model=ProducerList)
    async def list_producers(_: _Admin, limit: Limit, cursor: str | None = None) -> Response:
        """Producers, by name."""
        rows = await store.producers(decode_cursor(cursor, str), limit + 1)
        return _paged([producer_json(row) for row in rows], limit, "name")

    @routes.post(
        "/producers",
        status_code=201,
        response_model=ProducerAnswer,
        responses={409: {"description": "The name was used before, or a GLN is another's"}},
        openapi_extra=json_body(NewProducer),
    )
    async def add_producer(request: Request, author: _Author) -> Response:
        """A new producer; its name is never used again."""
        row = await access.add_producer(await read_body(request, NewProducer), author)
        return json_response(producer_json(row), 201)

    @routes.post(
        "/producers/{name}/keys",
        status_code=201,
        response_model=ProducerKeyAnswer,
        openapi_extra=json_body(NewProducerKey, required=False),
    )
    async def add_producer_key(request: Request, name: str, author: _Author) -> Response:
        """A key for a producer, with a Kafka user of its own."""
        wanted = await read_body(request, NewProducerKey)
        return json_response(await access.issue_to_producer(name, wanted.label, author), 201)

    @routes.get("/keys", response_model=KeyList)
    async def list_keys(_: _Admin, limit: Limit, cursor: str | None = None) -> Response:
        """Keys, by id."""
        rows = await store.keys(decode_cursor(cursor, str), limit + 1)
        return _paged([key_json(row) for row in rows], limit, "key_id")

    @routes.post("/keys", status_code=201, response_model=PersonKeyAnswer, openapi_extra=json_body(NewPersonKey))
    async def add_key(request: Request, author: _Author) -> Response:
        """A key for a viewer, an operator or an administrator."""
        return json_response(await access.issue_to_person(await read_body(request, NewPersonKey), author), 201)

    @routes.delete("/keys/{key_id}", status_code=204)
    async def revoke_key(key_id: str, author: _Author) -> Response:
        """Revokes a key for good, everywhere within 5 s."""
        await access.revoke(key_id, author)
        return Response(status_code=204)

    return routes


def _paged(items: list[dict[str, Any]], limit: int, key: str) -> Response:
    shown = items[:limit]
    return json_response(page(shown, shown[-1][key] if len(items) > limit else None))
