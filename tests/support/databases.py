"""Databases made and dropped on a server, from fixtures that run without an event loop."""

import asyncio
import secrets
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
    name = f"test_{secrets.token_hex(6)}"
    run(_execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        run(_execute(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


def name_of(database_url: str) -> str:
    return urlsplit(database_url).path.lstrip("/")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
