"""Fixtures for a test's own worker: database, topics, storage root and the small university."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.db.engine import create_engine
from service.settings import Settings
from tests.support.jobs import Jobs
from tests.support.parts import Kafka
from tests.support.university import University
from tests.support.worker import settings_for


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "the root"
    root.mkdir()
    return root


@pytest.fixture
def settings(database: str, kafka: Kafka, root: Path, topic_prefix: str) -> Settings:
    """Settings of a worker on the test's own database and topics."""
    return settings_for(database, kafka.bootstrap_servers, root, topic_prefix)


@pytest.fixture
async def university(database: str) -> AsyncIterator[University]:
    engine = create_engine(database, pool_size=4)
    yield await University.seed(engine)
    await engine.dispose()


@pytest.fixture
def jobs(university: University, root: Path) -> Jobs:
    """Writes messages and their files; the worker processes them."""
    return Jobs(university.engine, root)
