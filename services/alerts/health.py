"""Watches the parts of the service and keeps the gauges, so that /health/ready and /metrics answer at once."""

from __future__ import annotations

import asyncio
from typing import Final

from services.alerts import metrics
from services.alerts.alert import Severity
from services.alerts.parts import Parts
from shared.errors import Transient

EVERY_SECONDS: Final = 2.0
PING_TIMEOUT_SECONDS: Final = 2.0


class Health:
    """What was true at the last look."""

    def __init__(self) -> None:
        self.database = False
        self.kafka = False

    async def run(self, running: Parts) -> None:
        while True:
            self.database = await self._database(running)
            self.kafka = await running.signals.answers(PING_TIMEOUT_SECONDS)
            await asyncio.sleep(EVERY_SECONDS)

    async def _database(self, running: Parts) -> bool:
        try:
            figures = await running.queries.figures(running.clock.real_now())
            lag = await running.signals.lag(PING_TIMEOUT_SECONDS)
        except Transient:
            return False
        for severity in Severity:
            metrics.OPEN.labels(severity.value).set(figures.open.get(severity.value, 0))
        for state, count in figures.endpoints.items():
            metrics.ENDPOINTS.labels(state).set(count)
        if lag is not None:
            metrics.LAG.set(lag)
        metrics.PENDING_DELIVERIES.set(figures.pending)
        metrics.OLDEST_PENDING_SECONDS.set(figures.oldest_pending_seconds)
        metrics.UNPUBLISHED.set(figures.unpublished)
        metrics.RULE_FAULTS.set(len(running.alerts.rule_errors))
        return True
