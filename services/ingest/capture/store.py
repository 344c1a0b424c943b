"""Writes and reads captured events and what they taught; tells what capture needs to know of earlier ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import ARRAY, Boolean, DateTime, LargeBinary, Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from services.ingest.capture.entry import Entry, Key, id_hash, is_serial
from services.ingest.capture.jobs import Job, Jobs, record, run
from services.ingest.capture.query_document import Shown
from services.ingest.capture.verdict import OUTCOMES, Verdict
from services.ingest.epcis.capture import Needs, SerialLot
from services.ingest.epcis.occasion import Known, Original
from services.ingest.epcis.outcome import Incomplete
from services.ingest.inbound import Inbound, refused
from services.ingest.rejection import moment
from services.ingest.transaction import transaction

# Up to so many events that go by one id are shown.
SHOWN_EVENTS: Final = 100

# What is said of a party itself holds over the country of the producer that it belongs to.
_COUNTRIES: Final = text(
    "SELECT gln, coalesce(parties.country, producers.country) FROM unnest(:glns) AS wanted (gln)"
    " LEFT JOIN parties USING (gln) LEFT JOIN glns USING (gln) LEFT JOIN producers ON producers.name = glns.producer"
    " WHERE coalesce(parties.country, producers.country) IS NOT NULL"
).bindparams(bindparam("glns", type_=ARRAY(Text)))
# What the sender told itself holds, else what was told last by those who bring packs into being or into the country:
# nobody else's word moves a firm's packs to another lot.
_LOTS: Final = text(
    "SELECT DISTINCT ON (gtin, serial) gtin, serial, lot FROM unnest(:gtins, :serials) AS wanted (gtin, serial)"
    " JOIN serials USING (gtin, serial) JOIN producers ON producers.name = serials.producer"
    " WHERE serials.producer = :producer OR producers.roles && ARRAY['manufacturer', 'importer']"
    " ORDER BY gtin, serial, (serials.producer = :producer) DESC, told_at DESC, serials.producer"
).bindparams(bindparam("gtins", type_=ARRAY(Text)), bindparam("serials", type_=ARRAY(Text)))
_MAPPED: Final = text(
    "SELECT id_hash, content, event_id, declared, became FROM captured_events"
    " WHERE id_hash = ANY(:ids) AND producer = :producer AND outcome = 'mapped' ORDER BY number"
).bindparams(bindparam("ids", type_=ARRAY(LargeBinary)))
_SHOWN: Final = text(
    "SELECT event_id, event, frame, recorded_at FROM captured_events JOIN captures ON captures.id = capture"
    " WHERE id_hash = :id AND (CAST(:producer AS text) IS NULL OR captured_events.producer = :producer)"
    " ORDER BY captured_events.number LIMIT :limit"
)

_ONE: Final = text(
    "SELECT event_id, event, declared, frame FROM captured_events JOIN captures ON captures.id = capture"
    " WHERE captured_events.number = :number"
)
# Whoever captures the same event at this moment notes the same, and may be waiting for us.
_AMEND: Final = text(
    "UPDATE captured_events SET outcome = :outcome, became = CAST(:became AS jsonb) WHERE number ="
    " (SELECT number FROM captured_events WHERE number = :number AND outcome <> 'mapped' FOR UPDATE SKIP LOCKED)"
)

# One writer of a producer's at a time: two that meet in the same events would lock one another out.
_ALONE: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('capture/' || :producer, 0))")
_KEEP_TYPES: Final[Mapping[str, Any]] = {
    "id_hash": LargeBinary,
    "content": LargeBinary,
    "event_id": Text,
    "event": Text,
    "declared": Boolean,
    "outcome": Text,
    "became": Text,
}
_KEEP: Final = text(
    "INSERT INTO captured_events AS held (producer, capture, id_hash, content, event_id, event, declared, outcome,"
    " became) SELECT :producer, CAST(:capture AS uuid), * FROM unnest("
    "CAST(:id_hash AS bytea[]), CAST(:content AS bytea[]),"
    " CAST(:event_id AS text[]), CAST(:event AS text[]), CAST(:declared AS boolean[]), CAST(:outcome AS text[]),"
    " CAST(CAST(:became AS text[]) AS jsonb[])) ON CONFLICT (id_hash, producer, content) DO UPDATE"
    " SET outcome = EXCLUDED.outcome, became = EXCLUDED.became WHERE held.outcome <> 'mapped'"
).bindparams(*(bindparam(name, type_=ARRAY(kind)) for name, kind in _KEEP_TYPES.items()))
# What has been told in full under its id needs nothing more.
_INCOMPLETE: Final = text(
    'INSERT INTO rejections (kind, captured, producer, event_id, topic, "partition", "offset", at, code, detail,'
    " raw_value, raw_headers) SELECT 'incomplete', number, producer, event_id, :topic, CAST(:partition AS integer),"
    " CAST(:offset AS bigint), :at, code, detail, convert_to(event, 'UTF8'), '\\x90' FROM captured_events"
    " JOIN unnest(CAST(:id_hash AS bytea[]), CAST(:content AS bytea[]), CAST(:code AS text[]), CAST(:detail AS text[]))"
    " AS why (id_hash, content, code, detail) USING (id_hash, content)"
    " WHERE producer = :producer AND outcome = 'incomplete' AND (declared OR NOT EXISTS"
    " (SELECT FROM captured_events told WHERE told.id_hash = why.id_hash AND told.producer = :producer"
    " AND told.outcome = 'mapped' AND NOT told.declared)) ON CONFLICT (captured) DO UPDATE"
    " SET code = EXCLUDED.code, detail = EXCLUDED.detail, state = 'open', replayed_at = NULL"
).bindparams(
    *(bindparam(name, type_=ARRAY(LargeBinary)) for name in ("id_hash", "content")),
    *(bindparam(name, type_=ARRAY(Text)) for name in ("code", "detail")),
    bindparam("topic", type_=Text),
    bindparam("at", type_=DateTime(timezone=True)),
)
# An event that is told in full now waits no more; nor does what was sent under its id before.
_CLOSE: Final = text(
    "UPDATE rejections SET state = 'replayed', replayed_at = clock_timestamp() WHERE state = 'open' AND captured IN"
    " (SELECT number FROM captured_events JOIN unnest(CAST(:id_hash AS bytea[]), CAST(:content AS bytea[]),"
    " CAST(:declared AS boolean[])) AS told (id_hash, content, declared) USING (id_hash)"
    " WHERE producer = :producer AND (captured_events.content = told.content"
    " OR NOT (captured_events.declared OR told.declared)))"
).bindparams(
    *(bindparam(name, type_=ARRAY(LargeBinary)) for name in ("id_hash", "content")),
    bindparam("declared", type_=ARRAY(Boolean)),
)
_LEARN: Final = text(
    "INSERT INTO serials AS held (producer, gtin, serial, lot, told_at) SELECT :producer, * FROM unnest("
    "CAST(:gtin AS text[]), CAST(:serial AS text[]), CAST(:lot AS text[]), CAST(:told_at AS timestamptz[]))"
    " ON CONFLICT (gtin, serial, producer) DO UPDATE SET lot = EXCLUDED.lot, told_at = EXCLUDED.told_at"
    " WHERE held.told_at <= EXCLUDED.told_at"
).bindparams(
    *(bindparam(name, type_=ARRAY(Text)) for name in ("gtin", "serial", "lot")),
    bindparam("told_at", type_=ARRAY(DateTime(timezone=True))),
)


class Became(NamedTuple):
    """An event of the catalogue that a captured event is, where it lies."""

    source: str
    id: str
    type: str
    key: str
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What is to be kept of a document: its events, what those that are mapped became, and the lots that it told.

    `record` is the Kafka record that it came in, if it did.
    """

    producer: str
    capture: UUID
    entries: Sequence[Entry]
    became: Mapping[Key, Sequence[Became]]
    lessons: Sequence[SerialLot]
    record: Inbound | None = None


class Waiting(NamedTuple):
    """An event that is not complete, as JSON, with the frame of its document; `declared`: it declares an error."""

    event_id: str
    event: str
    declared: bool
    frame: str


class Captures:
    """Every method raises Transient while PostgreSQL is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def known(self, producer: str, needs: Needs) -> Known:
        """What is known of what a document of that producer needs."""
        serials = [one for one in needs.serials if is_serial(one[1])]
        lots = {"gtins": [gtin for gtin, _ in serials], "serials": [serial for _, serial in serials]}
        async with transaction(self._engine) as session:
            countries = await _rows(session, _COUNTRIES, glns=list(needs.glns)) if needs.glns else []
            told = await _rows(session, _LOTS, producer=producer, **lots) if serials else []
            mapped = await _mapped(session, producer, [id_hash(id) for id in needs.originals])
        originals: dict[str, tuple[Original, ...]] = {}
        for row in mapped:
            if not row.declared:
                more = (Original(one.source, one.id, one.type, one.key) for one in _became(row))
                originals[row.event_id] = tuple(dict.fromkeys((*originals.get(row.event_id, ()), *more)))
        lots_told = {(gtin, serial): lot for gtin, serial, lot in told}
        return Known({gln: country for gln, country in countries}, lots_told, originals)

    async def mapped(self, producer: str, entries: Sequence[Entry]) -> dict[Key, list[Became]]:
        """What became of those of `entries` that have been captured before and were mapped then."""
        wanted = {entry.key for entry in entries}
        async with transaction(self._engine) as session:
            rows = await _mapped(session, producer, [id for id, _ in wanted])
        return {key: _became(row) for row in rows if (key := (row.id_hash, row.content)) in wanted}

    async def finish(self, jobs: Jobs, job: Job, verdict: Verdict, kept: Kept) -> bool:
        """Notes that a job is done, with all that is kept of it; False, and nothing, if it is not ours any more."""
        async with transaction(self._engine) as session:
            ours = await jobs.finish(session, job, verdict)
            if ours:
                await _keep(session, kept)
            return ours

    async def record(self, verdict: Verdict, kept: Kept, size_bytes: int) -> None:
        """A document that came in a Kafka record, done already; once by the id of its capture."""
        async with transaction(self._engine) as session:
            await record(session, kept.capture, kept.producer, size_bytes, verdict)
            await _keep(session, kept)

    async def one(self, number: int) -> Waiting:
        async with transaction(self._engine) as session:
            (row,) = await _rows(session, _ONE, number=number)
        return Waiting(*row)

    async def told(self, event_id: str, producer: str) -> list[Became]:
        """What became of the producer's events that go by an id, declarations of an error aside."""
        async with transaction(self._engine) as session:
            rows = await _mapped(session, producer, [id_hash(event_id)])
        return list(dict.fromkeys(one for row in rows if not row.declared for one in _became(row)))

    async def amend(self, number: int, entry: Entry, became: Sequence[Became]) -> None:
        """Notes what became of an event that had been incomplete."""
        told = {"outcome": OUTCOMES[type(entry.outcome)], "became": _became_json(became)}
        async with transaction(self._engine) as session:
            await run(session, _AMEND, {"number": number, **told})

    async def shown(self, event_id: str, producer: str | None) -> list[Shown]:
        """The events that go by an id, of one producer or of all, in the order of their capture."""
        async with transaction(self._engine) as session:
            rows = await _rows(session, _SHOWN, id=id_hash(event_id), producer=producer, limit=SHOWN_EVENTS)
        return [Shown(*row) for row in rows]


async def _keep(session: AsyncSession, kept: Kept) -> None:
    """Keeps it, in the caller's transaction; the same twice is kept once. The incomplete wait among the rejections."""
    await run(session, _ALONE, {"producer": kept.producer})
    if kept.entries:
        await run(session, _KEEP, {"producer": kept.producer, "capture": kept.capture, **_columns(kept)})
    incomplete = [(entry, entry.outcome) for entry in kept.entries if isinstance(entry.outcome, Incomplete)]
    if incomplete:
        await run(session, _INCOMPLETE, _waiting(kept, incomplete))
    if len(incomplete) < len(kept.entries):
        told = [entry for entry in kept.entries if not isinstance(entry.outcome, Incomplete)]
        await run(session, _CLOSE, {"producer": kept.producer, **_keys(told), "declared": [e.declared for e in told]})
    if kept.lessons:
        lessons = {name: [getattr(one, name) for one in kept.lessons] for name in ("gtin", "serial", "lot", "told_at")}
        await run(session, _LEARN, {"producer": kept.producer, **lessons})


def _columns(kept: Kept) -> dict[str, list[Any]]:
    entries = kept.entries
    return {
        **_keys(entries),
        "event_id": [entry.id for entry in entries],
        "event": [entry.event for entry in entries],
        "declared": [entry.declared for entry in entries],
        "outcome": [OUTCOMES[type(entry.outcome)] for entry in entries],
        "became": [_became_json(kept.became.get(entry.key, ())) for entry in entries],
    }


def _became_json(became: Sequence[Became]) -> str:
    return orjson.dumps([one._asdict() for one in became]).decode()


def _keys(entries: Sequence[Entry]) -> dict[str, list[bytes]]:
    return {"id_hash": [entry.key[0] for entry in entries], "content": [entry.key[1] for entry in entries]}


def _waiting(kept: Kept, incomplete: Sequence[tuple[Entry, Incomplete]]) -> dict[str, Any]:
    why = [refused(outcome.faults) for _, outcome in incomplete]
    record = kept.record
    return {
        **_keys([entry for entry, _ in incomplete]),
        "code": [one.code for one in why],
        "detail": [one.detail for one in why],
        "producer": kept.producer,
        "topic": record and record.topic,
        "partition": record and record.partition,
        "offset": record and record.offset,
        "at": record and moment(record.at),
    }


async def _mapped(session: AsyncSession, producer: str, ids: Sequence[bytes]) -> list[Any]:
    return await _rows(session, _MAPPED, producer=producer, ids=ids) if ids else []


def _became(row: Any) -> list[Became]:
    return [Became(**one) for one in row.became]


async def _rows(session: AsyncSession, statement: Any, **told: Any) -> list[Any]:
    return await run(session, statement, told)
