"""Connections: how addresses are read, what the server is told, and what outlives a restart."""

import ssl
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from service.db.engine import create_engine


@pytest.fixture
async def connect(empty_database: str) -> AsyncIterator[Callable[..., AsyncEngine]]:
    engines: list[AsyncEngine] = []

    def make(change: Callable[[str], str] = lambda url: url, **options) -> AsyncEngine:
        engines.append(create_engine(change(empty_database), **options))
        return engines[-1]

    yield make
    for engine in engines:
        await engine.dispose()


async def _ask(engine: AsyncEngine, question: str):
    async with engine.connect() as connection:
        return await connection.scalar(text(question))


def _with(option: str) -> Callable[[str], str]:
    return lambda url: f"{url}{'&' if '?' in url else '?'}{option}"


@pytest.mark.parametrize("scheme", ["postgresql://", "postgresql+asyncpg://"])
async def test_both_schemes_are_accepted(connect, scheme):
    engine = connect(lambda url: scheme + url.partition("://")[2])
    assert await _ask(engine, "SELECT 1") == 1


@pytest.mark.parametrize("url", ["mysql://user:secret@host/db", "user:secret@host", ""])
def test_another_scheme_is_refused_without_repeating_the_password(url):
    with pytest.raises(ValueError, match="must start with postgresql://") as refused:
        create_engine(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("option", ["sslmode=disable", "ssl=disable", "sslmode=prefer"])
async def test_the_tls_mode_of_the_address_is_understood(connect, option):
    assert await _ask(connect(_with(option)), "SELECT 1") == 1


@pytest.mark.parametrize("option", ["sslmode=verify-full", "ssl=verify-full"])
async def test_a_server_that_cannot_prove_who_it_is_is_refused_where_that_is_asked_for(
    connect, option
):
    with pytest.raises((ConnectionError, ssl.SSLError, DBAPIError)):
        await _ask(connect(_with(option)), "SELECT 1")


async def test_a_tls_context_replaces_what_the_address_says(connect):
    engine = connect(_with("sslmode=disable"), ssl=ssl.create_default_context())
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await _ask(engine, "SELECT 1")


async def test_the_server_is_told_the_name_and_the_time_limits(connect):
    engine = connect(
        application_name="tester",
        lock_timeout=1.5,
        statement_timeout=2,
        idle_in_transaction_timeout=0,
    )
    settings = (
        "application_name",
        "lock_timeout",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
    )
    assert [await _ask(engine, f"SHOW {name}") for name in settings] == [
        "tester",
        "1500ms",
        "2s",
        "0",
    ]


async def test_a_connection_that_the_server_has_closed_is_replaced_unnoticed(
    connect, empty_database
):
    engine = connect(pool_size=1)
    first = await _ask(engine, "SELECT pg_backend_pid()")
    other = await asyncpg.connect(empty_database)
    await other.execute("SELECT pg_terminate_backend($1, 5000)", first)
    await other.close()

    assert await _ask(engine, "SELECT pg_backend_pid()") != first


async def test_an_error_does_not_repeat_the_values_of_its_statement(connect):
    async with connect().connect() as connection:
        with pytest.raises(DBAPIError) as failed:
            await connection.execute(
                text("SELECT 1 / length(CAST(:name AS text)) - nothing"), {"name": "Ada Lovelace"}
            )
    assert "Ada" not in str(failed.value)
