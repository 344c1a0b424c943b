"""Writes every secret that compose.yaml names, random, each in a file; what is there already stays as it is.

    python -m deploy.compose.make_secrets [folder] [--host kafka.example.org]

The folder is closed to everybody but its owner; the files in it can be read by whatever user a container runs as, since
Docker mounts them as they are. ca.key is for this program alone: it signs the broker's certificate.
"""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from deploy.compose.certificates import Authority, certificate_for, new_authority
from services.supply.signing import Signer
from shared.keys import new_key

FOLDER: Final = Path(__file__).resolve().parent / "secrets"
PASSWORD_BYTES: Final = 24
ROLES: Final = ("ingest", "supply", "alerts", "grafana")
KAFKA_USERS: Final = ("ingest", "ingest-admin", "supply", "alerts", "keda")
DATABASE: Final = "postgres:5432/supply_watch"
BROKER: Final = ("kafka", "localhost", "127.0.0.1")
READABLE, PRIVATE = 0o444, 0o400


class Secrets:
    """The folder of the secrets; what is asked of it is made if it is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[str] = []
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)

    def __call__(self, name: str, make: Callable[[], bytes | str], mode: int = READABLE) -> bytes:
        """The secret of this name."""
        file = self.folder / name
        if not file.exists():
            value = make()
            fresh = file.with_name(f".{name}.new")
            fresh.unlink(missing_ok=True)
            fresh.write_bytes(value if isinstance(value, bytes) else value.encode())
            fresh.chmod(mode)
            fresh.rename(file)
            self.made.append(name)
        return file.read_bytes()


def make_secrets(folder: Path, hosts: tuple[str, ...] = (), database: str = DATABASE) -> list[str]:
    """Makes what is missing in `folder`; the names of what was made. `hosts` are the broker's names beside its own."""
    kept, now = Secrets(folder), datetime.now(UTC)
    passwords = _of_the_database(kept, database)
    _of_kafka(kept)
    authority = new_authority(now)
    key = kept("ca.key", lambda: authority.key, PRIVATE)
    certificate = kept("ca.pem", lambda: authority.certificate)
    kept("kafka.pem", lambda: certificate_for((*BROKER, *hosts), Authority(certificate, key), now))
    signer = Signer.from_pem(kept("checkpoint-key.pem", Signer.fresh().private_pem))
    kept("checkpoint-key.pub.pem", signer.public_pem)
    kept("session_secret", _password)
    kept("bootstrap_admin_key", lambda: new_key().key)
    kept("grafana_admin_password", _password)
    kept("grafana_database_password", lambda: passwords["grafana"])
    return kept.made


def _of_the_database(kept: Secrets, database: str) -> Mapping[str, str]:
    """The superuser's password, each role's, and the address with it."""
    superuser = kept("postgres_password", _password).decode()
    kept("postgres_url", lambda: f"postgresql://postgres:{superuser}@{database}")
    told = kept("postgres_roles.json", lambda: json.dumps({role: _password() for role in ROLES}, indent=2))
    passwords: dict[str, str] = json.loads(told)
    for role in ROLES[:3]:
        kept(f"{role}_database_url", f"postgresql://{role}:{passwords[role]}@{database}".encode)
    return passwords


def _of_kafka(kept: Secrets) -> None:
    for name in ("kafka_admin_password", "kafka_controller_password"):
        kept(name, _password)
    told = kept("kafka_users.json", lambda: json.dumps({user: _password() for user in KAFKA_USERS}, indent=2))
    users: dict[str, str] = json.loads(told)
    for user, password in users.items():
        kept(f"kafka_{user.replace('-', '_')}_password", password.encode)


def _password() -> str:
    """Url-safe, so that it can stand in an address and in a line of Kafka's settings."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.compose.make_secrets", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--host", action="append", default=[], help="a name or address at which producers reach Kafka")
    chosen = parser.parse_args()
    made = make_secrets(chosen.folder, tuple(chosen.host))
    print(f"{chosen.folder}: made {', '.join(made) if made else 'nothing, all is there'}")


if __name__ == "__main__":
    main()
