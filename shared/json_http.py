"""Asks our own services over HTTP, from a command or a starting stack: JSON in and out, no proxy, no redirect."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, Final

TIMEOUT_SECONDS: Final = 20.0
ANSWER_LIMIT_BYTES: Final = 64 * 1024 * 1024


class _Stay(urllib.request.HTTPRedirectHandler):
    """A key goes to the address that was named and to no other."""

    def redirect_request(self, *_: Any) -> None:
        return None


DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay())


class Refused(Exception):
    """A service answered with something that is not a success, or not with JSON; `body` as it came."""

    def __init__(self, method: str, url: str, status: int, body: str) -> None:
        self.status = status
        self.body = body
        super().__init__(f"{method} {url}: {status} {body[:300]}")


def call(method: str, url: str, key: str, body: Any = None) -> Any:
    """The JSON answer, None if it is empty. Raises Refused, or OSError while nobody who speaks HTTP answers."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Accept": "application/json"}
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with DIRECT.open(request, timeout=TIMEOUT_SECONDS) as answer:
            content = answer.read(ANSWER_LIMIT_BYTES)
    except urllib.error.HTTPError as error:
        raise Refused(method, url, error.code, error.read(ANSWER_LIMIT_BYTES).decode(errors="replace")) from None
    except HTTPException as error:
        raise ConnectionError(f"{url} does not speak HTTP: {error!r}") from error
    try:
        return json.loads(content) if content else None
    except ValueError:
        raise Refused(method, url, answer.status, content.decode(errors="replace")) from None
