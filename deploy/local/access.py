"""Creates the producers, keys and the webhook endpoint of a stack over HTTP, as an administrator would; once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from deploy.local.firms import Firm
from deploy.local.ports import Ports
from deploy.local.rundir import RunDir, read_json, write_private, write_private_text
from shared.json_http import Refused, call

ROLES: Final = ("admin", "operator", "viewer")
CONFLICT: Final = 409


@dataclass
class Access:
    """What has been created so far, kept in RUN_DIR after each step."""

    keys: dict[str, str] = field(default_factory=dict)
    producers: dict[str, dict[str, Any]] = field(default_factory=dict)
    endpoint: dict[str, str] = field(default_factory=dict)


class AccessSetUp:
    """One run of creating what is missing."""

    def __init__(self, run_dir: RunDir, ports: Ports, bootstrap_key: str) -> None:
        self._file = run_dir / "access.json"
        self._secret_file = run_dir / "receiver-secret"
        self._ports = ports
        self._key = bootstrap_key
        self.access = Access(**(read_json(self._file) or {}))

    def _keep(self) -> None:
        write_private(self._file, vars(self.access))

    def _ingest(self, path: str, body: Any) -> Any:
        return call("POST", self._ports.url("ingest") + path, self._key, body)

    def add_keys(self) -> None:
        """One key for each role of people."""
        for role in ROLES:
            if role not in self.access.keys:
                answer = self._ingest("/keys", {"role": role, "label": f"{role} of the embedded stack"})
                self.access.keys[role] = answer["key"]
                self._keep()

    def add_producer(self, firm: Firm) -> None:
        """The producer with a key and its own way into Kafka. One made in a run that was cut short gets a new key."""
        if firm.name in self.access.producers:
            return
        try:
            self._ingest("/producers", {"name": firm.name, "glns": list(firm.gln), "roles": list(firm.roles)})
        except Refused as refused:
            if refused.status != CONFLICT:
                raise
        answer = self._ingest(f"/producers/{firm.name}/keys", {})
        kafka = answer["kafka"]
        self.access.producers[firm.name] = {
            "key": answer["key"],
            "gln": list(firm.gln),
            "roles": list(firm.roles),
            "topic": kafka["topic"],
            "kafka_username": kafka["username"],
            "kafka_password": kafka["password"],
        }
        self._keep()

    def add_endpoint(self) -> None:
        """The receiver as an endpoint of alerts; anew if PORT_BASE has changed since."""
        url = webhook_url(self._ports)
        if self.access.endpoint.get("url") != url:
            endpoints = self._ports.url("alerts") + "/endpoints"
            admin = self.access.keys["admin"]
            if former := self.access.endpoint.get("id"):
                call("DELETE", f"{endpoints}/{former}", admin)
            body = {"url": url, "format": "standard", "description": "the receiver of the embedded stack"}
            answer = call("POST", endpoints, admin, body)
            self.access.endpoint = {"id": str(answer["id"]), "url": url, "secret": answer["secret"]}
            self._keep()
        write_private_text(self._secret_file, self.access.endpoint["secret"])


def webhook_url(ports: Ports) -> str:
    return ports.url("receiver") + "/webhooks"


def set_up_access(
    run_dir: RunDir,
    ports: Ports,
    bootstrap_key: str,
    firms: tuple[Firm, ...],
    with_alerts: bool,
    on_progress: Callable[[str], None],
    check: Callable[[], None],
) -> Access:
    """Creates what is missing of keys, producers and the endpoint. `check` may raise to end it between two steps."""
    work = AccessSetUp(run_dir, ports, bootstrap_key)
    work.add_keys()
    for firm in firms:
        check()
        on_progress(firm.name)
        work.add_producer(firm)
    if with_alerts:
        work.add_endpoint()
    return work.access


def credentials(run_dir: RunDir, ports: Ports, kafka: dict[str, str], access: Access) -> dict[str, Any]:
    """What credentials.json tells whoever uses the stack."""
    return {
        **{name: ports.url(name) for name in ("ingest", "supply", "alerts")},
        "kafka": kafka,
        "keys": access.keys,
        "producers": access.producers,
        "receiver": {
            "url": webhook_url(ports),
            "secret": access.endpoint.get("secret"),
            "log": str(run_dir.webhooks),
        },
    }
