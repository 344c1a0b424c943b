"""Takes changed rules into force without a restart: once they have stood still for a moment and nothing is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from services.alerts import metrics
from services.alerts.rule_files import digest_of, read, texts_in
from services.alerts.rules import RuleSet
from shared.errors import Fault, Invalid
from shared.telemetry import logger

log = logger(__name__)


class RuleWatch:
    """Looks at the folder again and again. Rules with a fault are not taken: those in force stay, and it is told."""

    def __init__(
        self,
        folder: Path,
        in_force: str,
        adopt: Callable[[RuleSet], Awaitable[object]],
        *,
        poll_seconds: float,
    ) -> None:
        self._folder = folder
        self._in_force = in_force
        self._seen = in_force
        self._adopt = adopt
        self._poll_seconds = poll_seconds
        self.faults: list[Fault] = []

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            await self.look()

    async def look(self) -> None:
        """Adopts what differs from the rules in force, if it was there at the last look already: files are not written
        all at once, and half of a list of rules is a list of rules."""
        try:
            texts = await asyncio.to_thread(texts_in, self._folder)
        except (Invalid, OSError) as error:
            self._refuse(error.faults if isinstance(error, Invalid) else [Fault(None, "unreadable", str(error))], "")
            return
        digest = digest_of(texts)
        settled, self._seen = digest == self._seen, digest
        if digest == self._in_force:
            self._accept()
        elif settled:
            await self._take(texts, digest)

    async def _take(self, texts: dict[str, str], digest: str) -> None:
        rules, inhibitions, faults = await asyncio.to_thread(read, texts)
        if faults:
            self._refuse(faults, digest)
            return
        await self._adopt(RuleSet(rules, digest, inhibitions))
        self._in_force = digest
        self._accept()
        log.info("rules taken into force", rules=len(rules), inhibitions=len(inhibitions), digest=digest)

    def _accept(self) -> None:
        self.faults = []
        metrics.RULES_REFUSED.set(0)

    def _refuse(self, faults: Sequence[Fault], digest: str) -> None:
        if list(faults) != self.faults:
            said = [f"{fault.field}: {fault.detail}" for fault in faults[:10]]
            log.error("changed rules are not taken", digest=digest, faults=said)
        self.faults = list(faults)
        metrics.RULES_REFUSED.set(1)
