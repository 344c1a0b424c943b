"""A browser at an application in the same process, without a socket: it keeps cookies and asks for pages."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers

PAGE = {"accept": "text/html,application/xhtml+xml"}


@dataclass(frozen=True)
class Answer:
    """What it got."""

    status: int
    headers: Headers
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class AsgiBrowser:
    """See above; `headers` are sent with every request."""

    app: FastAPI
    headers: dict[str, str] = field(default_factory=lambda: dict(PAGE))
    cookies: dict[str, str] = field(default_factory=dict)

    async def get(self, address: str, **headers: str) -> Answer:
        path, _, query = address.partition("?")
        kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        said = self.headers | {"cookie": kept} | {name.replace("_", "-"): value for name, value in headers.items()}
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in said.items()],
        }
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        answered = Headers(raw=sent[0]["headers"])
        for line in answered.getlist("set-cookie"):
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        body = b"".join(message.get("body", b"") for message in sent)
        return Answer(sent[0]["status"], answered, body.decode())
