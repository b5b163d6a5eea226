"""The real Apache Kafka as a child process: one JVM that is broker and controller.

Maven resolves its jars.
"""

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
    # this class logs that the server has started
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
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
    "broker.session.timeout.ms": "3000",  # only then can a killed broker register again
    "broker.heartbeat.interval.ms": "500",
    "log.segment.bytes": str(16 * 2**20),
    "log.index.size.max.bytes": str(64 * 2**10),
}


class ApacheKafka(LocalServer):
    """An Apache Kafka of its own, on free ports of 127.0.0.1, without authentication.

    `properties` are added to those of the server, or replace them: further listeners, limits,
    time-outs. `users` and their passwords are known to SCRAM-SHA-512 listeners.
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
        """Ask it to end cleanly, and wait until it has ended.

        The first server's JVM then writes a class archive, which is kept for later servers.
        """
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
                f"SCRAM-SHA-512=[name={name},password={password}]"
                for name, password in self._users.items()
            ]
            add_users = [part for user in users for part in ("--add-scram", user)]
            # one argument, because one id in 64 begins with a dash
            identity = f"--cluster-id={cluster}"
            self._run([*tool, identity, "-c", self._configuration, *add_users])

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
        return "Kafka Server started" in self._log_since_start()


def version() -> str:
    """The version of Apache Kafka that the tests run."""
    (number,) = re.findall(r"<kafka\.version>(.+)</kafka\.version>", POM.read_text())
    return str(number)


def _class_archive() -> Path:
    """The archive of Kafka's loaded classes, written when the first server stops.

    With it, the next server starts in half the time.
    """
    return PARTS / f"kafka-{version()}.jsa"


def java() -> str:
    """The `java` command; raises `Unavailable` when there is none."""
    home = os.environ.get("JAVA_HOME", "")
    if command := shutil.which("java", path=f"{home}/bin" if home else None):
        return command
    raise Unavailable("Apache Kafka needs Java, 17 or later: install a Java runtime.")


def check() -> None:
    """Raise `Unavailable` when this machine lacks what Apache Kafka needs.

    This does not ask Maven's repository, which may be out of reach.
    """
    java()
    if not _jars().is_dir():
        maven()


def maven() -> str:
    """The `mvn` command; raises `Unavailable` when there is none."""
    if command := shutil.which("mvn"):
        return command
    raise Unavailable("Apache Kafka's jars are resolved by Maven: install Maven.")


def jars() -> Path:
    """The directory with Kafka's jars; Maven resolves them on the first call.

    A file lock lets only one process do that at a time. Raises `Unavailable` when Maven is missing
    or cannot reach its repository.
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
    quiet = ["-B", "-q", "-Dstyle.color=never"]
    run = subprocess.run(
        [maven(), *quiet, "-f", POM, *copy], capture_output=True, text=True, check=False
    )
    if run.returncode:
        reason = f"{run.stdout}{run.stderr}".strip().partition("\n")[0]
        raise Unavailable(f"Maven could not resolve Apache Kafka's jars: {reason}")
    unfinished.rename(target)
