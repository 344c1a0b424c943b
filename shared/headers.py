"""Puts on every answer what tells a browser to be careful with it; a page says itself what it may load."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HSTS: Final = ("strict-transport-security", "max-age=31536000")
# What is no page runs and loads nothing, whatever a browser takes it for.
CAREFUL: Final = (
    ("content-security-policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)


class Careful:
    """The headers that an answer does not set itself; over https also that it stays so."""

    def __init__(self, app: ASGIApp, https: bool) -> None:
        self.app = app
        headers = (*CAREFUL, HSTS) if https else CAREFUL
        self._headers = [(name.encode(), value.encode()) for name, value in headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", ())
                set_already = {name for name, _ in own}
                missing = [header for header in self._headers if header[0] not in set_already]
                message = {**message, "headers": [*own, *missing]}
            await send(message)

        await self.app(scope, receive, careful)
