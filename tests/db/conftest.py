"""Fixtures of the database tests: an engine, the small university, and a way to run jobs on it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.db.engine import create_engine
from tests.support.databases import new_database
from tests.support.jobs import Jobs
from tests.support.parts import Postgres
from tests.support.university import University


@pytest.fixture(scope="session")
def shared_database(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """The URL of one database for all tests that change nothing but rows.

    `university` empties it first.
    """
    with new_database(postgres.url, migrated_template) as url:
        yield url


@pytest.fixture
async def engine(shared_database: str) -> AsyncIterator[AsyncEngine]:
    """An engine for the shared database."""
    engine = create_engine(shared_database, pool_size=16)
    yield engine
    await engine.dispose()


@pytest.fixture
async def university(engine: AsyncEngine) -> University:
    """The small university, new."""
    return await University.seed(engine)


@pytest.fixture
def jobs(university: University, tmp_path: Path) -> Jobs:
    """Runs jobs on that university, over a storage root whose path has a space."""
    root = tmp_path / "the root"
    root.mkdir()
    return Jobs(university.engine, root)
