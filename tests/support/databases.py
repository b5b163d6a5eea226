"""Databases made and dropped on a server, from fixtures with and without an event loop."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in its own thread: a test's loop may be running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


@contextmanager
def new_database(server_url: str, template: str = "template1") -> Iterator[str]:
    """The URL of a new copy of a database; it is dropped at the end, open connections or not."""
    name = _new_name()
    run(_create(server_url, name, template))
    try:
        yield _url_of(server_url, name)
    finally:
        run(_drop(server_url, name))


@asynccontextmanager
async def new_database_in_loop(server_url: str, template: str) -> AsyncIterator[str]:
    """The same in a running event loop: the other trials of the loop go on meanwhile.

    A copy takes long when the disk is busy, and a connection of another trial would time out.
    """
    name = _new_name()
    await _create(server_url, name, template)
    try:
        yield _url_of(server_url, name)
    finally:
        await _drop(server_url, name)


def name_of(database_url: str) -> str:
    return urlsplit(database_url).path.lstrip("/")


def _new_name() -> str:
    return f"test_{secrets.token_hex(6)}"


def _url_of(server_url: str, name: str) -> str:
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


async def _create(server_url: str, name: str, template: str) -> None:
    statement = f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"
    await _execute(server_url, statement)


async def _drop(server_url: str, name: str) -> None:
    await _execute(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
