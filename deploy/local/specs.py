"""Decides how each of our own processes is run: its command and the settings that it gets from the stack."""

from __future__ import annotations

import base64
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.local.children import ChildSpec
from deploy.local.kafka import INGEST_ADMIN, REPLICATION, SASL_MECHANISM, SECURITY_PROTOCOL
from deploy.local.ports import HOST, Ports
from deploy.local.rundir import RunDir, read_json, write_private, write_private_text
from services.supply.signing import Signer

ROOT: Final = Path(__file__).resolve().parent.parent.parent
# Few arenas keep the memory of the many threads of client libraries small.
PYTHON: Final = {"PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2"}
ALLOWED_CIDRS: Final = "SUPPLY_WATCH_ALERTS_ALLOWED_CIDRS"
RECEIVER_NETWORK: Final = "127.0.0.1/32"


@dataclass(frozen=True)
class Surroundings:
    """What the stack tells a service of the rest."""

    run_dir: RunDir
    ports: Ports
    clock: str
    database_url: str
    kafka_bootstrap: str
    kafka_password: str
    kafka_admin_password: str
    session_secret: str
    bootstrap_key: str
    environment: Mapping[str, str] = field(default_factory=dict)


def service(name: str, instance: int, http_port: int, around: Surroundings) -> ChildSpec:
    """One instance of a service. The first bears the service's name, the second `<name>-2`."""
    child = name if instance == 1 else f"{name}-{instance}"
    common = {
        "HTTP_HOST": HOST,
        "HTTP_PORT": str(http_port),
        "PUBLIC_URL": f"http://{HOST}:{http_port}",
        **{f"LINKS_{other.upper()}_URL": around.ports.url(other) for other in ("supply", "alerts", "ingest")},
        "DATABASE_URL": around.database_url,
        "KAFKA_BOOTSTRAP": around.kafka_bootstrap,
        "KAFKA_SECURITY_PROTOCOL": SECURITY_PROTOCOL,
        "KAFKA_SASL_MECHANISM": SASL_MECHANISM,
        "KAFKA_USERNAME": name,
        "KAFKA_PASSWORD": around.kafka_password,
        "CLOCK": around.clock,
        "SESSION_SECRET": around.session_secret,
        "INSTANCE": child,
    }
    prefix = f"SUPPLY_WATCH_{name.upper()}_"
    settings = {prefix + key: value for key, value in {**common, **_own(name, around)}.items()}
    environment = {**PYTHON, **settings, **_network_of_webhooks(name), **around.environment}
    return ChildSpec(child, (sys.executable, "-m", f"services.{name}"), ROOT, environment)


def _own(name: str, around: Surroundings) -> dict[str, str]:
    """The settings that one service has alone."""
    if name == "ingest":
        return {
            "BOOTSTRAP_ADMIN_KEY": around.bootstrap_key,
            "KAFKA_ADMIN_USERNAME": INGEST_ADMIN,
            "KAFKA_ADMIN_PASSWORD": around.kafka_admin_password,
            "INBOUND_REPLICATION": str(REPLICATION),
        }
    if name == "supply":
        return {
            "GOALS_DIR": str(ROOT / "deploy" / "goals"),
            "CHECKPOINT_DIR": str(around.run_dir / "checkpoints"),
            "CHECKPOINT_KEY_FILE": str(checkpoint_key(around.run_dir)),
        }
    return {"RULES_DIR": str(ROOT / "deploy" / "rules")}


def checkpoint_key(run_dir: RunDir) -> Path:
    """The key that signs checkpoints, made once; its public half, for whoever verifies, is beside it."""
    file = run_dir / "checkpoint-key.pem"
    if not file.exists():
        fresh = Signer.fresh()
        (run_dir / "checkpoint-key.pub.pem").write_bytes(fresh.public_pem())
        write_private_text(file, fresh.private_pem().decode())
    return file


def _network_of_webhooks(name: str) -> dict[str, str]:
    """Here webhooks reach the receiver of this machine, unless whoever starts the stack says otherwise."""
    return {ALLOWED_CIDRS: os.environ.get(ALLOWED_CIDRS, RECEIVER_NETWORK)} if name == "alerts" else {}


def receiver(run_dir: RunDir, ports: Ports) -> ChildSpec:
    """The webhook receiver."""
    command = (sys.executable, "-m", "deploy.local.receiver", "--port", str(ports.of("receiver")))
    return ChildSpec(
        "receiver",
        (*command, "--log", str(run_dir.webhooks), "--secret-file", str(run_dir / "receiver-secret")),
        ROOT,
        PYTHON,
    )


def simulator(run_dir: RunDir, scenario: str, clock: str) -> ChildSpec:
    """The producers that send the scenario's history and then go on live; it may end by itself when all is told."""
    command = (sys.executable, "-m", "deploy.local.simulate", "--run-dir", str(run_dir.path))
    return ChildSpec(
        "simulator",
        (*command, "--scenario", scenario, "--clock", clock),
        ROOT,
        PYTHON,
        restarts_after_success=False,
    )


def bootstrap_key(run_dir: RunDir) -> str:
    """The administrator's first key, `sw_<12 base32>_<43 base64url>`; the same at every run."""
    file = run_dir / "bootstrap-key.json"
    kept: dict[str, str] | None = read_json(file)
    if kept is None:
        identity = base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]
        kept = {"key": f"sw_{identity}_{secrets.token_urlsafe(32)}"}
        write_private(file, kept)
    return kept["key"]
