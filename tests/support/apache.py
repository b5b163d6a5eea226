"""The real Apache Kafka as our own child: one JVM that is broker and controller, its jars resolved by Maven."""

import base64
import fcntl
import os
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from service.demo.processes import free_port
from service.demo.server import Command, LocalServer, Unavailable

POM = Path(__file__).parent / "kafka" / "pom.xml"
PARTS = Path(__file__).parents[2] / ".parts"

_JAVA_OPTIONS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # starts in half the time, and no test lives long enough for C2
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",  # which says that it has started
)
PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "broker.session.timeout.ms": "3000",  # a broker that was killed is let in again only after it
    "broker.heartbeat.interval.ms": "500",
    "log.segment.bytes": str(16 * 2**20),
    "log.index.size.max.bytes": str(64 * 2**10),
}


class ApacheKafka(LocalServer):
    """An Apache Kafka of its own, on free ports of 127.0.0.1, without authentication.

    `properties` are added to those of the server, or replace them: further listeners, limits, time-outs.
    `users` are known to SCRAM-SHA-512 listeners, with their passwords.
    """

    name: ClassVar[str] = "kafka"
    stop_signal = signal.SIGTERM
    last_signal = signal.SIGKILL

    def __init__(
        self,
        home: Path | None = None,
        *,
        properties: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(home)
        self._users = users or {}
        self.port = free_port()
        self._controller_port = free_port()
        self._properties = properties or {}

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Ask it to end in good order, and wait until it has."""
        super().stop()
        with suppress(FileNotFoundError):
            self._new_class_archive.replace(_class_archive())

    def _prepare(self) -> None:
        self._java = [
            java(),
            *_JAVA_OPTIONS,
            "-cp",
            f"{jars()}/*",
            f"-XX:SharedArchiveFile={_class_archive()}",
        ]
        lines = [f"{name}={value}\n" for name, value in self._all_properties().items()]
        self._configuration.write_text("".join(lines))
        if not (self.home / "data" / "meta.properties").exists():
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22]
            tool: Command = [*self._java, "kafka.tools.StorageTool", "format"]
            users = [
                f"SCRAM-SHA-512=[name={name},password={said}]" for name, said in self._users.items()
            ]
            known = [part for user in users for part in ("--add-scram", user)]
            identity = f"--cluster-id={cluster}"  # in one word, for one id in 64 begins with a dash
            self._run([*tool, identity, "-c", self._configuration, *known])

    @property
    def _configuration(self) -> Path:
        return self.home / "server.properties"

    def _all_properties(self) -> dict[str, str]:
        controller = f"127.0.0.1:{self._controller_port}"
        return {
            **PROPERTIES,
            "listeners": f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap_servers}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self.home / "data"),
            **self._properties,
        }

    def _command(self) -> Command:
        if _class_archive().exists():
            return [*self._java, "kafka.Kafka", self._configuration]
        archive = f"-XX:ArchiveClassesAtExit={self._new_class_archive}"
        return [*self._java[:-1], archive, "kafka.Kafka", self._configuration]

    @property
    def _new_class_archive(self) -> Path:
        return PARTS / f"classes-{self.port}.jsa"

    def _is_ready(self) -> bool:
        return "Kafka Server started" in self._logged()


def version() -> str:
    """The version of Apache Kafka that the tests run."""
    (found,) = re.findall(r"<kafka\.version>(.+)</kafka\.version>", POM.read_text())
    return str(found)


def _class_archive() -> Path:
    """Kafka's classes as the JVM holds them, written when the first server stops: it halves the time to start."""
    return PARTS / f"kafka-{version()}.jsa"


def java() -> str:
    """The `java` command; raises `Unavailable` when there is none."""
    home = os.environ.get("JAVA_HOME", "")
    if found := shutil.which("java", path=f"{home}/bin" if home else None):
        return found
    raise Unavailable("Apache Kafka needs Java, 17 or later: install a Java runtime.")


def check() -> None:
    """Raise `Unavailable` when this machine lacks what Apache Kafka needs; Maven's repository is not asked."""
    java()
    if not _jars().is_dir():
        maven()


def maven() -> str:
    """The `mvn` command; raises `Unavailable` when there is none."""
    if found := shutil.which("mvn"):
        return found
    raise Unavailable("Apache Kafka's jars are resolved by Maven: install Maven.")


def jars() -> Path:
    """The directory with Kafka's jars, resolved by Maven when first asked for, by one process at a time.

    Raises `Unavailable` when Maven is missing or cannot reach its repository.
    """
    resolved = _jars()
    if resolved.is_dir():
        return resolved
    PARTS.mkdir(exist_ok=True)
    with (PARTS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not resolved.is_dir():
            _resolve(resolved)
    return resolved


def _jars() -> Path:
    return PARTS / f"kafka-{version()}"


def _resolve(target: Path) -> None:
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    copy = [
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        f"-DoutputDirectory={unfinished}",
    ]
    quietly = ["-B", "-q", "-Dstyle.color=never"]
    told = subprocess.run(
        [maven(), *quietly, "-f", POM, *copy], capture_output=True, text=True, check=False
    )
    if told.returncode:
        reason = f"{told.stdout}{told.stderr}".strip().partition("\n")[0]
        raise Unavailable(f"Maven could not resolve Apache Kafka's jars: {reason}")
    unfinished.rename(target)
