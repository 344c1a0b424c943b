"""Runs heavy reading in a process of its own: its memory and its processor time are then not those of the service.

The child reads one line, its order, from its input, and writes its outcome. It lives as long as its input is open, so
it ends with whoever began it, however that ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Any, Final, TypeVar

import msgspec

from shared.settings import ROOT

NICENESS: Final = 10
READ_BYTES: Final = 65_536
T = TypeVar("T")


class ChildFailed(RuntimeError):
    """The child ended with an exit code."""


async def outcome_of(module: str, order: msgspec.Struct, timeout_seconds: float) -> bytes:
    """What `python -m module` makes of `order`. Raises TimeoutError, ChildFailed."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module), cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdin is not None and child.stdout is not None
    try:
        async with asyncio.timeout(timeout_seconds):
            child.stdin.write(msgspec.json.encode(order) + b"\n")
            await child.stdin.drain()
            told = await child.stdout.read()
            code = await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if code != 0:
        raise ChildFailed(f"{module} ended with code {code}")
    return told


def take_order(kind: type[T]) -> T:
    """In the child: what it is to do. From then on it ends when its input does."""
    os.nice(NICENESS)
    order = msgspec.json.decode(_first_line(), type=kind)
    threading.Thread(target=_end_with_input, daemon=True).start()
    return order


def tell(outcome: Any) -> None:
    """In the child: hands over what came of it, a struct."""
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


def _first_line() -> bytes:
    """Read past Python's own buffer, whose lock a thread that waits for more would hold when the process ends."""
    told = b""
    while not told.endswith(b"\n") and (part := os.read(0, READ_BYTES)):
        told += part
    return told


def _end_with_input() -> None:
    while os.read(0, READ_BYTES):
        pass
    os._exit(0)
