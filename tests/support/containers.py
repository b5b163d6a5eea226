"""PostgreSQL and Apache Kafka from Docker, by testcontainers."""

import re
from functools import cache
from textwrap import dedent

from docker.errors import DockerException  # type: ignore[import-untyped]
from testcontainers.community.kafka import KafkaContainer
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.docker_client import DockerClient

from tests.support import apache

POSTGRES_IMAGE = "postgres:18"
KAFKA_IMAGE = f"apache/kafka:{apache.version()}"


@cache
def docker_answers() -> bool:
    """Whether a Docker daemon is there, by the same rules by which testcontainers looks for it."""
    try:
        return bool(DockerClient(timeout=5).client.ping())
    except (DockerException, OSError):
        return False


def postgres_container() -> PostgresContainer:
    """A PostgreSQL without durability, which tests do not need of it."""
    without_durability = "postgres -c fsync=off -c full_page_writes=off -c max_connections=200"
    return PostgresContainer(POSTGRES_IMAGE, driver=None).with_command(without_durability)


class ApacheKafkaContainer(KafkaContainer):
    """The `apache/kafka` image; the class it extends knows only Confluent's, and their ways to be configured."""

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
        """Let it start, now that the port is known at which the host will find it."""
        script = f"""
            #!/bin/bash
            export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://{self.get_bootstrap_server()},BROKER://localhost:9092
            exec /etc/kafka/docker/run
            """
        self.create_file(dedent(script).strip().encode(), self.TC_START_SCRIPT)
