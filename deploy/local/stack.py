"""Starts and stops a stack in order, and lets tests and demo stop, kill and start its parts."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from confluent_kafka import KafkaException

from deploy.kafka.apply import apply
from deploy.kafka.client import why_silent
from deploy.kafka.plan import PlanError
from deploy.local import anchor, http, records, specs
from deploy.local.access import Access, credentials, set_up_access
from deploy.local.anchor import ScaledTime
from deploy.local.children import Children, ChildSpec, rotate_logs
from deploy.local.faults import Cancelled, CannotStart
from deploy.local.firms import Firm, firms_of
from deploy.local.kafka import INGEST_ADMIN, REPLICATION, Kafka
from deploy.local.kafka import READY_TIMEOUT_SECONDS as KAFKA_READY_TIMEOUT_SECONDS
from deploy.local.packages import check_packages
from deploy.local.ports import HOST, Ports, check_free
from deploy.local.postgres import READY_TIMEOUT_SECONDS as POSTGRES_READY_TIMEOUT_SECONDS
from deploy.local.postgres import SUPERUSER, Postgres
from deploy.local.progress import SilentSteps, Steps
from deploy.local.rundir import RunDir, write_private
from deploy.local.watching import GRAFANA, HEALTH, PROMETHEUS, SCRAPE_SECONDS, Watchers
from deploy.local.watching import READY_TIMEOUT_SECONDS as WATCHER_READY_TIMEOUT_SECONDS
from deploy.postgres.roles import ROLE_SETTINGS
from shared.database import READ_ONLY_ROLE

SERVICES: Final = ("ingest", "supply", "alerts")
SERVICE_READY_TIMEOUT_SECONDS: Final = 60.0
READY_POLL_SECONDS: Final = 0.05
DEATHS_BEFORE_GIVING_UP: Final = 3
BAD_SETTING: Final = 2  # the exit code with which a service refuses its settings: starting it again is of no use
CLOCK_KEPT_EVERY_SECONDS: Final = 2.0
PASSWORDS: Final = (
    *("kafka-admin", "kafka-controller", "kafka-ingest", "kafka-ingest-admin", "kafka-supply", "kafka-alerts"),
    *("postgres-postgres", "postgres-ingest", "postgres-supply", "postgres-alerts", "postgres-grafana", "session"),
    "grafana-admin",
)


@dataclass(frozen=True)
class StackOptions:
    """What a stack is made of. `clock` None is real time; `scenario` "none" is an empty system without simulator.

    `watched`: Prometheus and Grafana are started with it, where they are installed.
    """

    run_dir: Path
    port_base: int = 8000
    scenario: str = "none"
    clock: ScaledTime | None = None
    services: tuple[str, ...] = SERVICES
    environment: Mapping[str, str] = field(default_factory=dict)
    simulate: bool = True
    watched: bool = False


class Stack:
    """One running stack, as a context manager:

        with Stack(StackOptions(run_dir=…, port_base=…)) as stack:
            stack.credentials["ingest"]

    Entering returns when everything is ready and credentials.json is in place; it raises CannotStart with one line
    otherwise, and leaves nothing running. Leaving stops everything in order. `cancel` may be called from any thread
    or signal handler while it starts.
    """

    def __init__(self, options: StackOptions, steps: Steps | None = None) -> None:
        self.options = options
        self.run_dir = RunDir(options.run_dir)
        self.ports = Ports(options.port_base)
        self.clock = anchor.REAL
        self.credentials: dict[str, Any] = {}
        self.watchers = Watchers(self.run_dir, self.ports)
        self.watching: tuple[str, ...] = ()  # of them those that run
        self._steps: Steps = steps or SilentSteps()
        self._cancelled = threading.Event()
        self._closing = threading.Event()
        self._extra_ports: dict[str, int] = {}
        self._children: Children | None = None
        self._keeper: threading.Thread | None = None

    # The life of a stack.

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def show_on(self, steps: Steps) -> None:
        """Shows the steps of the start, and what happens to children later, on `steps`."""
        self._steps = steps

    def cancel(self) -> None:
        """Lets a start that is under way end soon, with Cancelled."""
        self._cancelled.set()

    def start(self) -> None:
        """See the class. Raises CannotStart, or Cancelled."""
        check_packages()
        self.run_dir.claim()
        try:
            self._clear_away()
            self._start_everything()
        except BaseException:
            self.stop()
            raise

    def _clear_away(self) -> None:
        self.run_dir.credentials.unlink(missing_ok=True)
        records.end_leftovers(self._record_file)
        check_free(self.ports, self._port_names())
        rotate_logs(self.run_dir.logs)

    @property
    def _record_file(self) -> Path:
        return self.run_dir / "children.json"

    def _port_names(self) -> tuple[str, ...]:
        watchers = self.watchers.installed() if self.options.watched else ()
        return ("kafka", "kafka-controller", "postgres", *self.options.services, "receiver", *watchers)

    def _start_everything(self) -> None:
        self._passwords = self.run_dir.passwords(PASSWORDS)
        self._bootstrap_key = specs.bootstrap_key(self.run_dir)
        self._firms: tuple[Firm, ...] = firms_of(self.options.scenario)
        self._children = Children(self._record_file, self.run_dir.logs, self._died)
        self._children.start()
        self._together(self._start_postgres, self._start_kafka, self._start_receiver)
        self.clock = anchor.anchored(self._clock_file, self.options.clock, time.time())
        self._keeper = threading.Thread(target=self._keep_clock, name="clock", daemon=True)
        self._keeper.start()
        self._together(*(lambda name=name: self._start_service(name) for name in self.options.services))
        if self.options.watched:
            self.start_watchers()
        self._set_up_access()
        write_private(self.run_dir.credentials, self.credentials)
        if self.options.scenario != "none" and self.options.simulate:
            self.children.start_child(specs.simulator(self.run_dir, self.options.scenario, self.clock))

    def _together(self, *actions: Callable[[], None]) -> None:
        """Runs the actions side by side; raises the first failure when all have ended."""
        if not actions:
            return
        with ThreadPoolExecutor(len(actions)) as pool:
            running: list[Future[None]] = [pool.submit(action) for action in actions]
            for future in running:
                future.add_done_callback(lambda done: self.cancel() if done.exception() else None)
        failures = [error for error in (future.exception() for future in running) if error is not None]
        for failure in sorted(failures, key=lambda error: isinstance(error, Cancelled)):
            raise failure
        self._check()

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled

    @property
    def children(self) -> Children:
        if self._children is None:
            raise RuntimeError("the stack has not been started")
        return self._children

    def stop(self) -> None:
        """Stops everything in order: what sends first, then the services, then Kafka and PostgreSQL. Safe to repeat."""
        if not self.run_dir.is_held:
            return
        self._closing.set()
        if self._children is not None:
            names = self._children.names()
            last: list[str] = [name for name in ("kafka", "postgres") if name in names]
            services_running = [name for name in names if name.partition("-")[0] in SERVICES]
            first = [name for name in names if name not in last and name not in services_running]
            for group in (first, services_running, last):
                self._stop_group(group)
            self._children.close()
            self._children = None
        if self._keeper is not None:
            self._keeper.join()
            self._keeper = None
            anchor.keep(self._clock_file, self.clock)
        self.run_dir.credentials.unlink(missing_ok=True)
        self.run_dir.release()

    def _stop_group(self, names: list[str]) -> None:
        if names:
            with ThreadPoolExecutor(len(names)) as pool:
                list(pool.map(self.children.stop_child, names))

    # Its parts, in the order of a start.

    def _start_postgres(self) -> None:
        with self._steps.step("PostgreSQL 18"):
            self.postgres = Postgres(
                self.run_dir, self.ports, self._passwords_of("postgres", SUPERUSER, *ROLE_SETTINGS, READ_ONLY_ROLE)
            )
            self.children.start_child(self.postgres.prepare(self._cancelled.is_set))
            if not self.postgres.wait_until_answering(POSTGRES_READY_TIMEOUT_SECONDS, self._gives_up("postgres")):
                raise self._not_ready("postgres")
            self.postgres.set_up()

    def _start_kafka(self) -> None:
        self.kafka = Kafka(self.run_dir, self.ports, self._passwords_of("kafka", "admin", "controller"))
        with self._steps.step("Apache Kafka 4.3") as detail:
            self.children.start_child(self.kafka.prepare(detail, self._cancelled.is_set))
            detail("starting")
            self._wait_for_kafka(KAFKA_READY_TIMEOUT_SECONDS)
        with self._steps.step("topics, users and rights"):
            users = self._passwords_of("kafka", *SERVICES, INGEST_ADMIN)
            try:
                apply(self.kafka.admin_login, users, replication=REPLICATION)
            except (PlanError, KafkaException) as error:
                raise CannotStart(f"Kafka's topics and rights cannot be set up: {error}") from None

    @property
    def session_secret(self) -> str:
        """What seals the sessions of browsers, of a stack that runs."""
        return self._passwords["session"]

    def _passwords_of(self, system: str, *names: str) -> dict[str, str]:
        return {name: self._passwords[f"{system}-{name}"] for name in names}

    def _start_receiver(self) -> None:
        with self._steps.step("webhook receiver"):
            self.children.start_child(specs.receiver(self.run_dir, self.ports))
            self.wait_ready("receiver")

    def _start_service(self, name: str) -> None:
        with self._steps.step(name):
            self.children.start_child(self._service(name, 1, self.ports.of(name)))
            self.wait_ready(name)

    def start_watchers(self) -> None:
        """What watches is no part of what is watched: one that does not start is told of, and the stack goes on."""
        for name in self.watchers.installed():
            try:
                with self._steps.step(name):
                    self.start_prometheus() if name == PROMETHEUS else self._start_grafana()
            except CannotStart as reason:
                self.children.forget(name)
                self._steps.say(f"{name} is left out: {reason}")
            else:
                self.watching = (*self.watching, name)

    def start_prometheus(self, scrape_seconds: int = SCRAPE_SECONDS) -> None:
        """Prometheus that scrapes the services of this stack. Raises CannotStart if it does not become ready."""
        self.children.start_child(self.watchers.prometheus(self.options.services, scrape_seconds))
        self.wait_ready(PROMETHEUS, WATCHER_READY_TIMEOUT_SECONDS)

    def _start_grafana(self) -> None:
        passwords = self._passwords["grafana-admin"], self._passwords[f"postgres-{READ_ONLY_ROLE}"]
        self.children.start_child(self.watchers.grafana(*passwords))
        self.wait_ready(GRAFANA, WATCHER_READY_TIMEOUT_SECONDS)

    def _service(self, name: str, instance: int, http_port: int) -> ChildSpec:
        surroundings = specs.Surroundings(
            run_dir=self.run_dir,
            ports=self.ports,
            clock=self.clock,
            database_url=self.postgres.url(name),
            kafka_bootstrap=self.kafka.bootstrap,
            kafka_password=self._passwords[f"kafka-{name}"],
            kafka_admin_password=self._passwords[f"kafka-{INGEST_ADMIN}"],
            session_secret=self._passwords["session"],
            bootstrap_key=self._bootstrap_key,
            environment=self.options.environment,
        )
        return specs.service(name, instance, http_port, surroundings)

    def _set_up_access(self) -> None:
        access = Access()
        if "ingest" in self.options.services:
            with self._steps.step("keys and producers") as detail:
                with_alerts = "alerts" in self.options.services
                try:
                    access = set_up_access(
                        self.run_dir, self.ports, self._bootstrap_key, self._firms, with_alerts, detail, self._check
                    )
                except (http.Refused, OSError) as error:
                    raise CannotStart(f"keys and producers cannot be set up: {error}") from None
        self.credentials = credentials(self.run_dir, self.ports, self.kafka.coordinates, access)

    # While it starts and runs.

    def _gives_up(self, name: str) -> Callable[[], bool]:
        """A question for waiting loops: is it of no use to wait on for this child?"""
        before = self.children.deaths(name)

        def of_no_use() -> bool:
            deaths = self.children.deaths(name) - before
            refused = deaths > 0 and self.children.last_exit(name) == BAD_SETTING
            return self._cancelled.is_set() or refused or deaths >= DEATHS_BEFORE_GIVING_UP

        return of_no_use

    def _not_ready(self, name: str, more: str = "") -> Exception:
        if self._cancelled.is_set():
            return Cancelled()
        log = self.run_dir.logs / f"{name}.log"
        last = next((line for line in reversed(_tail(log)) if line.strip()), "it said nothing")
        what = "ends again and again" if self.children.deaths(name) else "does not become ready"
        return CannotStart(f"{name} {what}{more}: {last[:300]} (all of it: {log})")

    def _died(self, name: str, code: int) -> None:
        if not self._closing.is_set():
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            self._steps.say(f"{name} ended {how}; it is started again (log: {self.run_dir.logs / name}.log)")

    @property
    def _clock_file(self) -> Path:
        return self.run_dir / "clock.json"

    def _keep_clock(self) -> None:
        while not self._closing.wait(CLOCK_KEPT_EVERY_SECONDS):
            anchor.keep(self._clock_file, self.clock)

    # What tests, demo and fault campaign do to it. Names: postgres, kafka, ingest, supply, alerts, receiver, simulator.

    def wait_ready(self, name: str, timeout_seconds: float = SERVICE_READY_TIMEOUT_SECONDS) -> None:
        """Waits until the child answers. Raises CannotStart with the last line of its log if it does not."""
        gives_up = self._gives_up(name)
        if name == "postgres":
            ready = self.postgres.wait_until_answering(timeout_seconds, gives_up)
        elif name == "kafka":
            self._wait_for_kafka(timeout_seconds)
            return
        else:
            ready = http.wait_for_200(self._health(name), timeout_seconds, gives_up)
        if not ready:
            raise self._not_ready(name)

    def _wait_for_kafka(self, timeout_seconds: float) -> None:
        reason = why_silent(self.kafka.admin_login, timeout_seconds, self._gives_up("kafka"))
        if reason is not None:
            raise self._not_ready("kafka", f" (a client is told: {reason})")

    def _health(self, name: str) -> str:
        port = self._extra_ports.get(name) or self.ports.of(name)
        return f"http://{HOST}:{port}{HEALTH.get(name, '/health/ready')}"

    def stop_child(self, name: str) -> None:
        """Stops a child as Ctrl-C would; it stays down."""
        self.children.stop_child(name)

    def kill_child(self, name: str, number: int = signal.SIGKILL, *, stays_down: bool = False) -> None:
        """Sends a signal. A child that dies of it is started again after a second unless it `stays_down`."""
        self.children.kill_child(name, number, stays_down=stays_down)

    def start_child(self, name: str, *, wait: bool = True) -> None:
        """Starts a child that was stopped or killed, as it was."""
        self.children.start_again(name)
        if wait:
            self.wait_ready(name)

    def restart_child(self, name: str) -> None:
        """Stops a child in order, starts it, waits until it is ready."""
        self.stop_child(name)
        self.start_child(name)

    def spawn_service(self, name: str, *, instance: int = 2, http_port: int | None = None, wait: bool = True) -> str:
        """Starts one more instance of a service; the name of the new child, e.g. "supply-2"."""
        port = http_port or self.ports.of(name) + instance - 1
        spec = self._service(name, instance, port)
        self._extra_ports[spec.name] = port
        self.children.start_child(spec)
        if wait:
            self.wait_ready(spec.name)
        return spec.name

    def service_spec(self, name: str, *, instance: int = 1, http_port: int | None = None) -> ChildSpec:
        """How an instance of a service is run here; started by `children.start_child`."""
        return self._service(name, instance, http_port or self.ports.of(name) + instance - 1)

    def end_service(self, name: str) -> None:
        """Stops an instance that `spawn_service` started, and forgets it."""
        self.children.forget(name)
        self._extra_ports.pop(name, None)

    def kafka_password(self, name: str) -> str:
        """The password of one of the stack's own Kafka users: ingest, ingest-admin, supply, alerts."""
        return self._passwords[f"kafka-{name}"]

    def pid(self, name: str) -> int | None:
        """The pid of a child; None while it is down."""
        return self.children.pid(name)


def _tail(log: Path, size_bytes: int = 8192) -> list[str]:
    try:
        with open(log, "rb") as source:
            source.seek(0, os.SEEK_END)
            source.seek(max(0, source.tell() - size_bytes))
            return source.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
