"""Reads what is odd about records: ids used twice, what nobody understands, corrections that wait or have lost.

`odd_since` tells what changed between two checkpoints: it looks at what was recorded between them, and at what hangs
together with that. `odd_at` tells all that is odd at one. Neither leaves anything out, and both go step by step.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from datetime import date
from typing import Any, Final

import asyncpg
import msgspec

from services.supply.anomalies import Anomaly, Behind, event_subject
from services.supply.asof import BEFORE, CUT, Cut
from services.supply.claims import TOPIC_OF
from services.supply.correction import Correction, State
from services.supply.fold import Known, Verdict
from services.supply.known_events import family, originals
from services.supply.record import named_in, unpack_headers
from shared.clock import day_of

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
RECORD_KINDS: Final = ("id_conflict", "unreadable")
CORRECTION_KINDS: Final = ("correction_conflict", "correction_without_original")
RECORDS_A_STEP: Final = 20_000
CORRECTIONS_A_STEP: Final = 1_000
ROWS_A_PART: Final = 1_000
_CORRECTED: Final = "supply.event.corrected.v1"

# What `odd_record` reads, of rows of `journal`; last the place of the event that was recorded under this id.
ODD_COLUMNS: Final = """
verdict, topic_id, partition, kafka_offset, recorded_at, headers, (
    SELECT ARRAY[recorded.topic_id, recorded.partition, recorded.kafka_offset]
    FROM event_ids recorded WHERE recorded.event_key = journal.event_key
)"""
_ODD_AT = f"SELECT {ODD_COLUMNS} FROM journal {CUT} WHERE {BEFORE} AND verdict >= {int(Verdict.CONFLICT)}"
_BETWEEN = "topic_id = $1 AND partition = $2 AND kafka_offset >= $3 AND kafka_offset < $4"
_ODD_BETWEEN = f"SELECT {ODD_COLUMNS} FROM journal WHERE {_BETWEEN} AND verdict >= {int(Verdict.CONFLICT)}"
# The corrections that were recorded, and those of what was.
_TOUCHED = f"""
WITH fresh AS MATERIALIZED (SELECT event_key FROM journal WHERE {_BETWEEN} AND verdict = {int(Verdict.RECORDED)})
SELECT event_key, target FROM fresh JOIN corrections USING (event_key)
UNION SELECT corrections.event_key, target FROM fresh JOIN corrections ON target = fresh.event_key
"""
_BEFORE = f"SELECT event_key FROM event_ids {CUT} WHERE {BEFORE} AND event_key = ANY($4::bytea[])"
# A header as services.supply.record packs it.
_NAMES_TYPE = (
    "position('\\x00000007'::bytea || 'ce_type'::bytea || int4send(octet_length(said.data->'corrects'->>'type'))"
    " || convert_to(said.data->'corrects'->>'type', 'UTF8') IN first.headers) > 0"
)
# A correction holds, without a look at others, if it has no rival and nobody corrects it, and an event of the type and
# key that it names was recorded under the id that it corrects. All others may be odd.
_PERHAPS_ODD = f"""
WITH step AS MATERIALIZED (
    SELECT * FROM corrections WHERE (target, event_key) > ($4::bytea, $5::bytea)
    ORDER BY target, event_key LIMIT {RECORDS_A_STEP}
)
SELECT said.event_key, said.target, coalesce({BEFORE}, FALSE) AND (
    EXISTS (SELECT FROM corrections above WHERE above.target = said.event_key)
    OR EXISTS (SELECT FROM corrections rival WHERE rival.target = said.target AND rival.event_key <> said.event_key)
    OR '{_CORRECTED}' IN (said.data->'corrects'->>'type', coalesce(said.data->'replacement'->>'type', ''))
    OR NOT EXISTS (
        SELECT FROM event_ids JOIN journal first USING (topic_id, partition, kafka_offset) {CUT}
        WHERE event_ids.event_key = said.target AND first.seq = 0 AND {BEFORE}
        AND first.record_key = convert_to(said.data->>'key', 'UTF8') AND {_NAMES_TYPE}
    )
)
FROM step said LEFT {CUT} ORDER BY said.target, said.event_key
"""


class Odd(msgspec.Struct, frozen=True):
    """What became of some events: by key, the anomalies that are open, and the days from which others are over."""

    open: dict[str, Anomaly]
    over: dict[str, date]


def odd_record(row: Any) -> Anomaly:
    """What is odd about the record in a row of ODD_COLUMNS: an id used again, or that no reader understands it."""
    verdict, topic_id, partition, offset, recorded_at, headers, first = row
    place = (TOPIC_OF[topic_id], partition, offset)
    named = named_in(unpack_headers(headers))
    where = "/".join(map(str, place))
    if verdict == Verdict.UNREADABLE:
        subject = where if named is None else event_subject(*named)
        behind = () if named is None else (Behind(*named, place),)
        detail = f"no reader understands the record at {where}"
        return Anomaly("unreadable", subject, day_of(recorded_at), detail, behind)
    assert named is not None
    # The first is nowhere only while the table of identities is damaged.
    of_first = None if first is None else (TOPIC_OF[first[0]], first[1], first[2])
    at = "" if of_first is None else f" at {'/'.join(map(str, of_first))}"
    detail = f"the record at {where} repeats the id of the event{at} with other content; the first stands"
    both = (Behind(*named, of_first), Behind(*named, place))
    return Anomaly("id_conflict", event_subject(*named), day_of(recorded_at), detail, both)


_WHY_ODD: Final[dict[State, tuple[str, str]]] = {
    "waiting": ("correction_without_original", "the event that it corrects has not come"),
    "conflict": ("correction_conflict", "another correction of the same event holds"),
}


def odd_correction(correction: Correction, state: State) -> Anomaly | None:
    """What is odd about a correction in `state`; None for one that holds or has no effect."""
    if state not in _WHY_ODD:
        return None
    kind, detail = _WHY_ODD[state]
    named = (correction.source, correction.id)
    return Anomaly(kind, event_subject(*named), day_of(correction.time), detail, (Behind(*named),))


async def odd_since(connection: Connection, since: Cut, cut: Cut) -> AsyncIterator[Odd]:
    """What became odd, or is so no longer, by what was recorded after `since` and before `cut`.

    The transaction must see nothing that `cut` leaves out. What is odd about a record itself is so for ever.
    """
    for step in _steps(since, cut):
        rows = await connection.fetch(_ODD_BETWEEN, *step)
        if rows:
            yield Odd(earliest(map(odd_record, rows)), {})
        touched = await connection.fetch(_TOUCHED, *step)
        for start in range(0, len(touched), CORRECTIONS_A_STEP):
            part = touched[start : start + CORRECTIONS_A_STEP]
            # Whatever hangs together with them may have changed; to judge that, what in turn hangs together with it.
            keys = {row[0] for row in part}
            near = await family(connection, climb_from=keys, keys=keys | {row[1] for row in part})
            known = await _known(connection, cut, set(near))
            yield await asyncio.to_thread(
                judged, known, [item for item in known.corrections.values() if item.key in near]
            )


def _steps(since: Cut, cut: Cut) -> Iterator[tuple[int, int, int, int]]:
    """Topic id, partition, the first offset and that after the last, of a bounded number of records each."""
    had = {(topic_id, partition): offset for topic_id, partition, offset in zip(*since.columns, strict=True)}
    for topic_id, partition, end in zip(*cut.columns, strict=True):
        for first in range(had.get((topic_id, partition), 0), end, RECORDS_A_STEP):
            yield topic_id, partition, first, min(first + RECORDS_A_STEP, end)


async def odd_at(connection: Connection, cut: Cut, kinds: Collection[str]) -> AsyncIterator[list[Anomaly]]:
    """All that is odd as known at `cut`, of these kinds; of several anomalies with one key the earliest is meant."""
    wanted = {int(Verdict[kind.removeprefix("id_").upper()]) for kind in RECORD_KINDS if kind in kinds}
    if wanted:
        records = await connection.cursor(_ODD_AT, *cut.columns)
        while rows := await records.fetch(ROWS_A_PART):
            yield [odd_record(row) for row in rows if row[0] in wanted]
    if not set(CORRECTION_KINDS).isdisjoint(kinds):
        async for found in _odd_corrections_at(connection, cut):
            yield [anomaly for anomaly in found.open.values() if anomaly.kind in kinds]


async def _odd_corrections_at(connection: Connection, cut: Cut) -> AsyncIterator[Odd]:
    """By rising target, so that those that compete come together: they are judged together."""
    after = (b"", b"")
    done: set[bytes] = set()
    while rows := await connection.fetch(_PERHAPS_ODD, *cut.columns, *after):
        after = (rows[-1][1], rows[-1][0])
        doubtful = [(key, target) for key, target, odd in rows if odd]
        for start in range(0, len(doubtful), CORRECTIONS_A_STEP):
            part = [(key, target) for key, target in doubtful[start : start + CORRECTIONS_A_STEP] if key not in done]
            if not part:
                continue
            known = await _known(connection, cut, {key for key, _ in part})
            targets = {target for _, target in part}
            judge = [item for item in known.corrections.values() if item.target in targets]
            done = {item.key for item in judge}
            yield await asyncio.to_thread(judged, known, judge)


async def _known(connection: Connection, cut: Cut, keys: set[bytes]) -> Known:
    """The corrections with these keys and what hangs together with them, as far as `cut` knows them."""
    around = await family(connection, climb_from=keys, keys=keys)
    targets = {correction.target for correction in around.values()}
    before = {row[0] for row in await connection.fetch(_BEFORE, *cut.columns, list(around.keys() | targets))}
    corrections = [correction for key, correction in around.items() if key in before]
    return Known({}, await originals(connection, (targets - around.keys()) & before), corrections)


def judged(known: Known, corrections: Sequence[Correction]) -> Odd:
    """What is odd about these corrections and what is not. What is not is over, as known now, since the last word in
    their family: all that was said of the first original and its corrections."""
    found = Odd({}, {})
    last = _last_words(known)
    for correction in corrections:
        odd = odd_correction(correction, known.state_of(correction))
        root = known.root_of(correction)
        for kind in CORRECTION_KINDS:
            key = f"{kind}/{event_subject(correction.source, correction.id)}"
            if odd is not None and odd.kind == kind:
                found.open[key] = odd
            else:
                found.over[key] = day_of(correction.time) if root is None else last[root.key]
    return found


def _last_words(known: Known) -> dict[bytes, date]:
    """By first original, the day on which the last of it and its corrections was said."""
    last: dict[bytes, date] = {}
    for correction in known.corrections.values():
        root = known.root_of(correction)
        if root is not None:
            last[root.key] = max(last.get(root.key, day_of(root.time)), day_of(correction.time))
    return last


def earliest(found: Iterable[Anomaly]) -> dict[str, Anomaly]:
    """By key; of several with one key the earliest."""
    held: dict[str, Anomaly] = {}
    for anomaly in found:
        if anomaly.key not in held or anomaly.rank < held[anomaly.key].rank:
            held[anomaly.key] = anomaly
    return held
