"""Works on capture jobs: each is decided, published and noted as done, and taken up again if that was cut short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from services.ingest import metrics
from services.ingest.capture.capturer import Broken, Capturer
from services.ingest.capture.entry import Entry, lessons
from services.ingest.capture.jobs import Job, Jobs
from services.ingest.capture.store import Captures, Kept
from services.ingest.capture.verdict import Verdict, given_up, verdict
from services.ingest.epcis import documents
from services.ingest.epcis.documents import Document
from services.ingest.epcis.occasion import Sender
from services.ingest.settings import IngestSettings
from services.ingest.store import Store
from shared.errors import Transient
from shared.json_input import loads
from shared.patience import patiently
from shared.telemetry import logger
from shared.web import stop_tasks

RENEWALS_A_LEASE: Final = 3

log = logger(__name__)


class Worker:
    """Run `run` as a task; `wake` when there is something new."""

    def __init__(
        self, settings: IngestSettings, store: Store, jobs: Jobs, captures: Captures, capturer: Capturer
    ) -> None:
        self._settings = settings
        self._store = store
        self._jobs = jobs
        self._captures = captures
        self._capturer = capturer
        self._news = asyncio.Event()

    def wake(self) -> None:
        self._news.set()

    async def run(self) -> None:
        await patiently("jobs to release", self._jobs.release, metrics.CAPTURE_RETRIES)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            for _ in range(self._settings.capture_jobs_at_once):
                tasks.create_task(self._work())

    async def _watch(self) -> None:
        while True:
            with suppress(Transient):
                metrics.CAPTURE_WAITING.set(await self._jobs.waiting())
            await asyncio.sleep(self._settings.capture_poll_seconds)

    async def _work(self) -> None:
        while True:
            self._news.clear()
            job = await patiently("a job", self._jobs.claim, metrics.CAPTURE_RETRIES)
            if job is not None:
                await self._do(job)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.capture_poll_seconds):
                    await self._news.wait()

    async def _do(self, job: Job) -> None:
        async with self._held(job):
            sender = await patiently("the sender", lambda: self._sender(job), metrics.CAPTURE_RETRIES)
            told, entries = await self._decide(job, sender)
            became = await patiently(
                "events to publish", lambda: self._capturer.publish(sender, entries), metrics.CAPTURE_RETRIES
            )
            kept = Kept(job.producer, job.id, entries, became, lessons(entries, self._capturer.latest()))
            if not await patiently(
                "a job to finish", lambda: self._captures.finish(self._jobs, job, told, kept), metrics.CAPTURE_RETRIES
            ):
                log.warning("another instance took the job over", job=str(job.id))
                return
        metrics.count_capture(told.state, told.counts)

    async def _decide(self, job: Job, sender: Sender) -> tuple[Verdict, Sequence[Entry]]:
        if job.attempts > self._settings.capture_attempts:
            log.critical("a job ended the service again and again", job=str(job.id), attempts=job.attempts)
            return given_up(Document(())), ()
        document = await asyncio.to_thread(lambda: documents.read(loads(job.document)))
        try:
            decided = await patiently(
                "what is known", lambda: self._capturer.decide(document, sender), metrics.CAPTURE_RETRIES
            )
            return verdict(decided, job.behaviour)
        except Broken:
            return given_up(document), ()

    async def _sender(self, job: Job) -> Sender:
        producer = await self._store.producer(job.producer)
        assert producer is not None, "a producer is never deleted"
        return Sender(producer.name, frozenset(producer.roles), producer.glns)

    @asynccontextmanager
    async def _held(self, job: Job) -> AsyncIterator[None]:
        renewing = asyncio.create_task(self._renew(job))
        try:
            yield
        finally:
            await stop_tasks(renewing)

    async def _renew(self, job: Job) -> None:
        while True:
            await asyncio.sleep(self._settings.capture_lease_seconds / RENEWALS_A_LEASE)
            with suppress(Transient):  # another instance may then do the same, which is harmless
                await self._jobs.renew(job)
