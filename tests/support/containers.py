"""PostgreSQL and Apache Kafka from Docker, by testcontainers."""

import re
from functools import cache
from textwrap import dedent

from docker.errors import DockerException  # type: ignore[import-untyped]  # it has no types
from testcontainers.community.kafka import KafkaContainer
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.docker_client import DockerClient

from tests.support import apache

POSTGRES_IMAGE = "postgres:18"
KAFKA_IMAGE = f"apache/kafka:{apache.version()}"


@cache
def docker_answers() -> bool:
    """Whether a Docker daemon answers at the address where testcontainers looks for it."""
    try:
        return bool(DockerClient(timeout=5).client.ping())
    except (DockerException, OSError):
        return False


def postgres_container() -> PostgresContainer:
    """A PostgreSQL without durability: tests do not need it."""
    without_durability = "postgres -c fsync=off -c full_page_writes=off -c max_connections=200"
    return PostgresContainer(POSTGRES_IMAGE, driver=None).with_command(without_durability)


class ApacheKafkaContainer(KafkaContainer):
    """The `apache/kafka` image.

    The base class knows only Confluent's image, which is configured in another way.
    """

    def __init__(self) -> None:
        super().__init__(KAFKA_IMAGE)
        self.wait_for = re.compile("Kafka Server started")

    def configure(self) -> None:
        properties = {
            **apache.PROPERTIES,
            "listeners": f"{self.listeners},CONTROLLER://localhost:9094",
            "listener.security.protocol.map": f"{self.security_protocol_map},CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": "1@localhost:9094",
        }
        for name, value in properties.items():
            self.with_env("KAFKA_" + name.upper().replace(".", "_"), value)

    def tc_start(self) -> None:
        """Write the start script, now that the port on the host is known."""
        listeners = f"PLAINTEXT://{self.get_bootstrap_server()},BROKER://localhost:9092"
        script = f"""
            #!/bin/bash
            export KAFKA_ADVERTISED_LISTENERS={listeners}
            exec /etc/kafka/docker/run
            """
        self.create_file(dedent(script).strip().encode(), self.TC_START_SCRIPT)
