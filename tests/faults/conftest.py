"""Fixtures for the fault tests: trials, how much to do, and where to note what happened."""

import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from service.db.migrate import upgrade
from service.demo.postgres import EmbeddedPostgres
from tests.faults.report import Measured, Report, fault_of
from tests.support.databases import new_database_in_loop
from tests.support.parts import Kafka, Postgres
from tests.support.trial import Trial

T = TypeVar("T")

OpenTrial = Callable[..., AbstractAsyncContextManager[Trial]]

_REPORT = pytest.StashKey[Report]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fault(name): a fault of docs/reliability.md, such as F7")
    config.addinivalue_line("markers", "full: only under `make faults`")
    config.stash[_REPORT] = getattr(config, "fault_report", Report())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not _is_full(config):
        config.hook.pytest_deselected(
            items=[item for item in items if item.get_closest_marker("full")]
        )
        items[:] = [item for item in items if not item.get_closest_marker("full")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        first = int(os.environ.get("SEED", "1"))
        count = int(os.environ.get("SEEDS", "5" if _is_full(metafunc.config) else "1"))
        metafunc.parametrize("seed", range(first, first + count))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    outcome: pytest.TestReport = yield
    if (measured := _measured(item)) is None:
        return outcome
    if outcome.failed:
        lines = str(getattr(outcome.longrepr, "reprcrash", outcome.longrepr)).strip().splitlines()
        reason = lines[0].rpartition(": ")[2] if lines else outcome.when
        measured.failed.append(f"{item.name}: {reason}")
    elif outcome.skipped:
        measured.skipped.append(str(outcome.longrepr[2]).removeprefix("Skipped: "))
    elif outcome.when == "call" and not item.get_closest_marker("fault"):
        measured.round()
    return outcome


def _measured(item: pytest.Item) -> Measured | None:
    name = fault_of(item)
    return item.config.stash[_REPORT].faults[name] if name else None


def _is_full(config: pytest.Config) -> bool:
    return bool(config.getoption("--faults") == "full")


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Where a test notes its rounds; the test's mark names the fault."""
    measured = _measured(request.node)
    assert measured is not None, "this test has no mark of a fault"
    return measured


@pytest.fixture
def scale(request: pytest.FixtureRequest) -> Callable[[T, T], T]:
    """`scale(fast, full)`: how much to do in the whole suite, and under `make faults`."""
    return lambda fast, full: full if _is_full(request.config) else fast


@pytest.fixture
def open_trial(
    postgres: Postgres, migrated_template: str, real_kafka: Kafka, tmp_path: Path
) -> OpenTrial:
    """Opens trials on the run's PostgreSQL and Kafka, each with its own database and topics."""

    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[Trial]:
        prefix = f"t{secrets.token_hex(4)}"
        async with new_database_in_loop(postgres.url, migrated_template) as database:
            broker = settings.pop("bootstrap_servers", real_kafka.bootstrap_servers)
            async with Trial.open(database, broker, tmp_path / prefix, prefix, **settings) as trial:
                yield trial

    return opened


@pytest.fixture
async def own_database(own_postgres: EmbeddedPostgres) -> str:
    """The URL of a migrated database on a PostgreSQL that this test may stop, kill and pause."""
    await upgrade(own_postgres.url)
    return own_postgres.url


@pytest.fixture
async def trial(open_trial: OpenTrial) -> AsyncIterator[Trial]:
    """One trial."""
    async with open_trial() as opened:
        yield opened
