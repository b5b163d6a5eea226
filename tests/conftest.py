"""Fixtures for every test: its own database, a broker, and names that no other test uses.

A server starts when the first test asks for it; the head of the run says where it comes from.
"""

import secrets
import signal
from collections.abc import Iterator

import pytest

from service.demo.postgres import EmbeddedPostgres
from service.demo.server import Unavailable
from tests.support.apache import ApacheKafka
from tests.support.databases import name_of, new_database, run
from tests.support.parts import Kafka, Postgres, choose_kafka, choose_postgres

NEEDS_REAL_KAFKA = "needs a real Kafka"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--faults",
        choices=("fast", "full"),
        default="fast",
        help="how long each fault of tests/faults lasts",
    )


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # a background job of a shell ignores SIGINT, and so do its child processes; but some tests
        # send SIGINT to a child
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", f"real_kafka: {NEEDS_REAL_KAFKA}; skipped elsewhere")


def pytest_report_header() -> list[str]:
    return [f"PostgreSQL: {choose_postgres().description}", f"Kafka: {choose_kafka().description}"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = sum(
        NEEDS_REAL_KAFKA in str(report.longrepr)
        for report in terminalreporter.getreports("skipped")
    )
    if skipped:
        terminalreporter.write_line(
            f"{skipped} skipped for want of a real Kafka: install Java and Maven, or Docker."
        )


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The run's PostgreSQL; tests should use `database` instead."""
    with choose_postgres().start() as server:
        yield server


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """The run's broker, real or not; tests use different topics by `topic_prefix`."""
    with choose_kafka().start() as broker:
        yield broker


@pytest.fixture
def real_kafka(kafka: Kafka) -> Kafka:
    """The run's broker if it is a real one; else the test is skipped."""
    if not kafka.is_real:
        pytest.skip(NEEDS_REAL_KAFKA)
    return kafka


@pytest.fixture(autouse=True)
def _marked_real_kafka(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("real_kafka"):
        request.getfixturevalue("real_kafka")


@pytest.fixture
def topic_prefix() -> str:
    """The prefix of the names of a test's topics and groups."""
    return f"t{secrets.token_hex(4)}"


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> Iterator[str]:
    """The name of a database at the newest revision, which other databases are copied from."""
    from service.db.migrate import upgrade  # noqa: PLC0415 - unit tests do not need its imports

    with new_database(postgres.url) as url:
        run(upgrade(url))
        yield name_of(url)


@pytest.fixture
def database(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """The URL of the test's own database, at the newest revision, without rows."""
    with new_database(postgres.url, migrated_template) as url:
        yield url


@pytest.fixture
def empty_database(postgres: Postgres) -> Iterator[str]:
    """The URL of the test's own database without any table."""
    with new_database(postgres.url) as url:
        yield url


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that this test may stop, kill and pause."""
    with EmbeddedPostgres(fast=True) as server:
        yield server


@pytest.fixture
def own_kafka() -> Iterator[ApacheKafka]:
    """An Apache Kafka that this test may stop, kill and pause; skipped without Java and Maven."""
    try:
        with ApacheKafka() as server:
            yield server
    except Unavailable as error:
        pytest.skip(f"{NEEDS_REAL_KAFKA}: {error}")
