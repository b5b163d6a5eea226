"""librdkafka's mock cluster, inside the confluent-kafka wheel: a Kafka broker of one process, without a JVM.

It keeps messages in memory, 5 MiB per partition, and does for one consumer per group. Two members of a
group, and admin requests, are beyond it. A topic comes to be, with four partitions, when a client first
asks for it. Whoever joins a group again waits until its session time-out, less a second, has passed.
"""

import ctypes
import importlib.util
import subprocess
import sys
from typing import IO, Self, cast

from service.demo.server import StartFailed, Unavailable


class MockBroker:
    """The mock cluster as our child, on a port of 127.0.0.1; it ends when this process does, however that goes."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.bootstrap_servers = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, empty; raises `Unavailable` without confluent-kafka."""
        if importlib.util.find_spec("confluent_kafka") is None:
            raise Unavailable(
                "The mock broker is part of confluent-kafka: install the extra `demo`."
            )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "service.demo.broker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C at the terminal is for us, who then stop it
        )
        self.bootstrap_servers = cast("IO[str]", self._process.stdout).readline().strip()
        if not self.bootstrap_servers:
            self.stop()
            raise StartFailed(
                "The mock broker ended before it said its address; its standard error says why."
            )

    def stop(self) -> None:
        """Stop it, and forget every message."""
        if self._process is not None:
            self._process.communicate()  # which closes its stdin
            self._process = None


def serve() -> None:
    """Run a mock cluster until stdin closes; its address is the one line on stdout."""
    print(_start_mock_cluster(), flush=True)  # noqa: T201
    sys.stdin.read()


def _start_mock_cluster() -> str:
    """The address of a new mock cluster that lives as long as this process.

    By librdkafka's C interface (`rdkafka_mock.h`), since the wheel's Python API can start a mock cluster, but
    not take away the three seconds that it lets each first member of a group wait.
    """
    from confluent_kafka import cimpl  # noqa: PLC0415 - only this process needs the extra

    library = ctypes.CDLL(cimpl.__file__)
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    problem = ctypes.create_string_buffer(512)

    configuration = ctypes.c_void_p(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(configuration, b"log_level", b"3", problem, len(problem))
    client = library.rd_kafka_new(0, configuration, problem, ctypes.c_size_t(len(problem)))
    if not client:
        raise StartFailed(f"librdkafka gave no client: {problem.value.decode()}")
    cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(ctypes.c_void_p(client), 1))
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
    library.rd_kafka_mock_set_controller_id(cluster, 1)
    return str(library.rd_kafka_mock_cluster_bootstraps(cluster).decode())


if __name__ == "__main__":
    serve()
