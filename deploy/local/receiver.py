"""Receives webhooks: checks each signature, keeps one JSON line a delivery; the line that people read of each."""

from __future__ import annotations

import argparse
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from deploy.local.ports import HOST

BODY_LIMIT_BYTES: Final = 1024 * 1024
LINE_MAX_LENGTH: Final = 400
SHUTDOWN_TIMEOUT_SECONDS: Final = 2.0


def verification_error(secret: str | None, body: bytes, headers: dict[str, str]) -> str | None:
    """Why the signature does not hold; None if it does. `headers` have lower-case names."""
    if not secret:
        return "the receiver does not know its secret yet"
    try:
        Webhook(secret).verify(body, headers)
    except (WebhookVerificationError, ValueError) as error:  # the library lets malformed input through as ValueError
        return str(error) or type(error).__name__
    return None


def delivery_line(now: datetime, body: bytes, headers: dict[str, str], error: str | None) -> dict[str, Any]:
    """What the log keeps of one delivery; the body as JSON where it is JSON, else as text."""
    return {
        "received_at": now.isoformat().replace("+00:00", "Z"),
        "verified": error is None,
        "error": error,
        "headers": headers,
        "body": _readable(body),
    }


def _readable(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", errors="replace")


def summary(line: dict[str, Any]) -> str:
    """One line for people, whatever was sent: it may end up on a terminal."""
    body = line["body"] if isinstance(line["body"], dict) else {}
    data = body.get("data")
    alert = data if isinstance(data, dict) else {}
    signature = "signed" if line["verified"] else f"NOT VERIFIED ({line['error']})"
    transition = str(body.get("type", "?")).removeprefix("supply.alert.").removesuffix(".v1")
    what = alert.get("summary") or alert.get("rule") or "no alert in it"
    severity = str(alert.get("severity", ""))
    told = f"{line['received_at']}  {transition:<12} {severity:<8} {what}  [{signature}]"
    return "".join(letter if letter.isprintable() else "?" for letter in told[:LINE_MAX_LENGTH])


def told_of(kept: bytes) -> str:
    """The line for people of a line of the log."""
    try:
        return summary(json.loads(kept))
    except (ValueError, TypeError, KeyError):  # cut off by a full disk
        return "a delivery whose line in the log cannot be read"


class Receiver:
    """The receiver's two files: the secret, read anew for each delivery, and the log, appended to."""

    def __init__(self, log: Path, secret_file: Path) -> None:
        self._log = log
        self._secret_file = secret_file

    def _secret(self) -> str | None:
        try:
            return self._secret_file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None

    async def receive(self, request: web.Request) -> web.Response:
        """204 for what is signed, 401 for the rest; both are kept."""
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        error = verification_error(self._secret(), body, headers)
        line = delivery_line(datetime.now(UTC), body, headers, error)
        self._append(line)
        print(summary(line), flush=True)
        return web.Response(status=204) if error is None else web.Response(status=401, text=error)

    def _append(self, line: dict[str, Any]) -> None:
        """One write, so that readers never see half a line."""
        descriptor = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, json.dumps(line, ensure_ascii=False).encode() + b"\n")
        finally:
            os.close(descriptor)

    async def ready(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ready"})

    def application(self) -> web.Application:
        app = web.Application(client_max_size=BODY_LIMIT_BYTES)
        app.add_routes([web.post("/webhooks", self.receive), web.get("/health/ready", self.ready)])
        return app


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.receiver", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True, help="JSON lines, one a delivery")
    parser.add_argument("--secret-file", type=Path, required=True, help="holds whsec_…; may appear later")
    chosen = parser.parse_args()
    app = Receiver(chosen.log, chosen.secret_file).application()
    web.run_app(
        app,
        host=HOST,
        port=chosen.port,
        print=lambda *_: None,
        access_log=None,
        shutdown_timeout=SHUTDOWN_TIMEOUT_SECONDS,
    )


if __name__ == "__main__":
    main()
