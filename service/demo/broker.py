"""A Kafka broker of one process, without a JVM: librdkafka's mock cluster.

It is part of the confluent-kafka wheel. The broker keeps messages in memory, 5 MiB per partition.
It supports one consumer per group; it does not support two members of a group, nor admin requests.
It creates a topic, with four partitions, when a client first asks for it. A consumer that joins a
group again waits until the session time-out, less one second, has passed.
"""

import ctypes
import importlib.util
import subprocess
import sys
from typing import IO, Self, cast

from service.demo.server import StartFailed, Unavailable


class MockBroker:
    """The mock cluster as a child process, on a port of 127.0.0.1.

    It ends when this process ends, also when this process is killed: its stdin closes then.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.bootstrap_servers = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the broker without any message. Raises `Unavailable` without confluent-kafka."""
        if importlib.util.find_spec("confluent_kafka") is None:
            raise Unavailable(
                "The mock broker is part of confluent-kafka: install the extra `demo`."
            )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "service.demo.broker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C reaches only this process, which then stops it
        )
        self.bootstrap_servers = cast("IO[str]", self._process.stdout).readline().strip()
        if not self.bootstrap_servers:
            self.stop()
            raise StartFailed(
                "The mock broker ended before it said its address; its standard error says why."
            )

    def stop(self) -> None:
        """Stop the broker; all its messages are lost."""
        if self._process is not None:
            self._process.communicate()  # closes its stdin, and waits
            self._process = None


def serve() -> None:
    """Run a mock cluster until stdin closes; its address is the one line on stdout."""
    print(_start_mock_cluster(), flush=True)  # noqa: T201 - `MockBroker` reads it
    sys.stdin.read()


def _start_mock_cluster() -> str:
    """Start a mock cluster that lives as long as this process; return its address.

    This uses librdkafka's C interface (`rdkafka_mock.h`). The wheel's Python API can start a mock
    cluster, but the first member of each group would wait for three seconds, and only the C
    interface can change that.
    """
    from confluent_kafka import cimpl  # noqa: PLC0415 - only this process needs the extra

    library = ctypes.CDLL(cimpl.__file__)  # the extension module contains librdkafka
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    error_text = ctypes.create_string_buffer(512)

    configuration = ctypes.c_void_p(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(configuration, b"log_level", b"3", error_text, len(error_text))
    text_size = ctypes.c_size_t(len(error_text))
    client = library.rd_kafka_new(0, configuration, error_text, text_size)
    if not client:
        raise StartFailed(f"librdkafka gave no client: {error_text.value.decode()}")

    cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(ctypes.c_void_p(client), 1))
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
    library.rd_kafka_mock_set_controller_id(cluster, 1)
    return str(library.rd_kafka_mock_cluster_bootstraps(cluster).decode())


if __name__ == "__main__":
    serve()
