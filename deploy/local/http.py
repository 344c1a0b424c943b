"""Speaks JSON over HTTP to the stack's own services while it starts; no proxy, every wait bounded."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Final

TIMEOUT_SECONDS: Final = 20.0
PROBE_TIMEOUT_SECONDS: Final = 2.0
PROBE_EVERY_SECONDS: Final = 0.05
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Exception):
    """A service answered with something that is not a success."""

    def __init__(self, method: str, url: str, status: int, body: str) -> None:
        self.status = status
        super().__init__(f"{method} {url}: {status} {body[:300]}")


def call(method: str, url: str, key: str, body: Any = None) -> Any:
    """The JSON answer, None if it is empty. Raises Refused, or OSError while nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Accept": "application/json"}
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with _DIRECT.open(request, timeout=TIMEOUT_SECONDS) as answer:
            content = answer.read()
    except urllib.error.HTTPError as error:
        raise Refused(method, url, error.code, error.read().decode(errors="replace")) from None
    return json.loads(content) if content else None


def text(url: str) -> str:
    """What an open page says. Raises OSError if it does not answer."""
    with _DIRECT.open(url, timeout=TIMEOUT_SECONDS) as answer:
        return str(answer.read().decode())


def wait_for_200(url: str, timeout_seconds: float, gives_up: Callable[[], bool]) -> bool:
    """Waits until `url` answers 200; False if it does not in time or `gives_up` says so."""
    end = time.monotonic() + timeout_seconds
    while time.monotonic() < end and not gives_up():
        try:
            with _DIRECT.open(url, timeout=PROBE_TIMEOUT_SECONDS) as answer:
                if answer.status == 200:
                    return True
        except OSError:  # refused, reset, timed out, or an answer that is no success
            pass
        time.sleep(PROBE_EVERY_SECONDS)
    return False
