"""Stands in for supply towards alerts: publishes signals, and asks alerts what became of them."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import aiohttp
from aiokafka import AIOKafkaProducer

from deploy.local.stack import Stack
from shared import topics
from shared.signals import Signal, headers

JSON = dict[str, Any]


def version() -> int:
    """Above every version that was handed out before."""
    return time.time_ns() // 1000


def goal(name: str, status: str, *, value: str = "0.712", expected: str = "0.741", at_version: int = 0) -> Signal:
    """The assessment of a goal with the status alone told apart."""
    data = {
        "goal": name,
        "title": "80 % of demand met by domestic production by 2030",
        "source": "Decision 1165/QD-TTg, 9 October 2023",
        "indicator": "domestic_share_volume",
        "scope": "all",
        "status": status,
        "value": value,
        "expected": expected,
        "target": "0.80",
        "by": "2030-12-31",
        "gap": "-0.029",
        "pace": "0.01",
        "required_pace": "0.02",
        "projected_on": None,
        "on": "2026-11-20",
    }
    return Signal(subject=f"goal/{name}", version=at_version or version(), at=datetime.now(UTC), data=data)


def obligation(name: str, due_on: date, state: str = "open") -> Signal:
    data = {
        "obligation": name,
        "kind": "milestone",
        "subject": "agreement:servier-ampharco",
        "title": "First product on the market",
        "due_on": due_on.isoformat(),
        "state": state,
        "met_on": None,
    }
    return Signal(subject=f"obligation/{name}", version=version(), at=datetime.now(UTC), data=data)


def in_days(days: int) -> date:
    return (datetime.now(UTC) + timedelta(days=days)).date()


def unique(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:10]}"


async def publish(stack: Stack, *signals: Signal) -> None:
    """Sends signals as supply does, each acknowledged."""
    producer = AIOKafkaProducer(
        bootstrap_servers=stack.credentials["kafka"]["bootstrap"],
        security_protocol=stack.credentials["kafka"]["security_protocol"],
        sasl_mechanism=stack.credentials["kafka"]["sasl_mechanism"],
        sasl_plain_username="supply",
        sasl_plain_password=stack.kafka_password("supply"),
        enable_idempotence=True,
        acks="all",
    )
    await producer.start()
    try:
        partitions = len(await producer.partitions_for(topics.SIGNALS))
        for signal in signals:
            key = signal.subject.encode()
            await producer.send_and_wait(
                topics.SIGNALS,
                signal.model_dump_json().encode(),
                key=key,
                partition=topics.partition_for(key, partitions),
                headers=headers(signal),
            )
    finally:
        await producer.stop()


class Alerts:
    """The API of alerts with one key."""

    def __init__(self, http: aiohttp.ClientSession, credentials: JSON, role: str = "operator") -> None:
        self._http = http
        self._base = credentials["alerts"]
        self._headers = {"Authorization": f"Bearer {credentials['keys'][role]}"}

    async def call(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, JSON]:
        """Status and JSON of the answer; a 204 has none."""
        request = self._http.request(method, self._base + path, json=body, params=query, headers=self._headers)
        async with request as response:
            return response.status, ({} if response.status == 204 else await response.json(content_type=None))

    async def items(self, path: str, **query: str) -> list[JSON]:
        status, answer = await self.call("GET", path, **query)
        assert status == 200, answer
        found: list[JSON] = answer["items"]
        return found

    async def of(self, subject: str, **query: str) -> list[JSON]:
        """The alerts of a subject, the newest first."""
        return await self.items("/alerts", subject=subject, **query)
