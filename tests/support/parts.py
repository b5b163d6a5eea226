"""Chooses the PostgreSQL and the Kafka of a test run.

The servers given by variables come first, then Docker, then what this machine has. Choosing starts
nothing: a server starts when a test first asks for it.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Generic, TypeVar

from service.demo.broker import MockBroker
from service.demo.postgres import EmbeddedPostgres, find_binaries, version_of
from service.demo.server import Unavailable
from tests.support import apache
from tests.support.containers import (
    KAFKA_IMAGE,
    POSTGRES_IMAGE,
    ApacheKafkaContainer,
    docker_answers,
    postgres_container,
)

DATABASE_VARIABLE = "UPLOADS_TEST_DATABASE_URL"
BROKER_VARIABLE = "UPLOADS_TEST_BOOTSTRAP_SERVERS"


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL in which the tests may create databases."""

    url: str


@dataclass(frozen=True)
class Kafka:
    """A broker; a real one has groups of several members, admin requests and transactions."""

    bootstrap_servers: str
    is_real: bool = True


S = TypeVar("S", Postgres, Kafka)


@dataclass(frozen=True)
class Part(Generic[S]):
    """A server for the tests: a description for people, and how to start it."""

    description: str
    start: Callable[[], AbstractContextManager[S]]


@cache
def choose_postgres() -> Part[Postgres]:
    if url := os.environ.get(DATABASE_VARIABLE):
        given = Postgres(url.replace("postgresql+asyncpg://", "postgresql://", 1))
        return Part(f"given by {DATABASE_VARIABLE}", lambda: nullcontext(given))
    if docker_answers():
        return Part(f"{POSTGRES_IMAGE} in Docker", _postgres_container)
    try:
        return Part(f"{version_of(find_binaries())}, from {find_binaries()}", _embedded_postgres)
    except Unavailable as error:
        return Part(f"none. {error}", _embedded_postgres)


@cache
def choose_kafka() -> Part[Kafka]:
    if servers := os.environ.get(BROKER_VARIABLE):
        return Part(f"given by {BROKER_VARIABLE}", lambda: nullcontext(Kafka(servers)))
    if docker_answers():
        return Part(f"{KAFKA_IMAGE} in Docker", _kafka_container)
    try:
        apache.check()
    except Unavailable as error:
        return Part(f"librdkafka's mock broker, not the real one. {error}", _mock_broker)
    return Part(f"Apache Kafka {apache.version()}, on this machine's Java", _apache_kafka)


@contextmanager
def _postgres_container() -> Iterator[Postgres]:
    with postgres_container() as container:
        yield Postgres(container.get_connection_url())


@contextmanager
def _embedded_postgres() -> Iterator[Postgres]:
    with EmbeddedPostgres(fast=True, settings={"max_connections": "200"}) as server:
        yield Postgres(server.url)


@contextmanager
def _kafka_container() -> Iterator[Kafka]:
    with ApacheKafkaContainer() as container:
        yield Kafka(container.get_bootstrap_server())


@contextmanager
def _apache_kafka() -> Iterator[Kafka]:
    try:
        apache.jars()
    except Unavailable as error:
        warnings.warn(f"The mock broker stands in for Apache Kafka. {error}", stacklevel=1)
        with _mock_broker() as stand_in:
            yield stand_in
    else:
        with apache.ApacheKafka() as server:
            yield Kafka(server.bootstrap_servers)


@contextmanager
def _mock_broker() -> Iterator[Kafka]:
    with MockBroker() as broker:
        yield Kafka(broker.bootstrap_servers, is_real=False)
