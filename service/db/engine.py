"""Connections to PostgreSQL: one engine for a process, through asyncpg."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from ssl import SSLContext
from typing import Any
from urllib.parse import parse_qsl, urlencode

import asyncpg
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service.settings import DatabaseSettings

STATEMENT_SECONDS = 60.0
"""Seconds that one statement of a short command may take."""

DRIVER = "postgresql+asyncpg"
SCHEMES = ("postgresql", DRIVER)


def create_engine(
    url: str,
    *,
    application_name: str = "carbon-uploads",
    pool_size: int = 5,
    pool_timeout: float = 30.0,
    connect_timeout: float = 10.0,
    lock_timeout: float | None = None,
    statement_timeout: float | None = None,
    idle_in_transaction_timeout: float | None = None,
    read_only: bool = False,
    ssl: SSLContext | None = None,
) -> AsyncEngine:
    """Make an engine for `url`, `postgresql://` or `postgresql+asyncpg://`; nothing connects yet.

    The query part is libpq's (`sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `target_session_attrs`, …),
    as asyncpg reads it; `ssl`, where given, replaces what it says about TLS. Times are in seconds; for the
    three that the server watches, None leaves its own default and 0 turns them off. `statement_timeout`
    counts a whole COPY as one statement. There are never more than `pool_size` connections. With
    `read_only` the server refuses every change.

    Error messages leave out the parameters of their statement, for these are people's rows.
    Raises `ValueError` where `url` has another scheme.
    """
    connect = partial(
        asyncpg.connect,
        _dsn(url),
        timeout=connect_timeout,
        ssl=ssl,
        server_settings={
            "application_name": application_name,
            **_milliseconds("lock_timeout", lock_timeout),
            **_milliseconds("statement_timeout", statement_timeout),
            **({"default_transaction_read_only": "on"} if read_only else {}),
            **_milliseconds("idle_in_transaction_session_timeout", idle_in_transaction_timeout),
        },
    )
    engine = create_async_engine(
        f"{DRIVER}://",  # the address is asyncpg's to read, hosts in the plural included
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout,
        pool_use_lifo=True,  # one after the other, jobs have the same connection, with its plans and caches warm
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


@asynccontextmanager
async def command_database(settings: DatabaseSettings) -> AsyncIterator[AsyncEngine]:
    """An engine for a short command."""
    engine = create_engine(
        settings.url.get_secret_value(),
        pool_size=4,
        connect_timeout=settings.connect_timeout,
        statement_timeout=STATEMENT_SECONDS,
    )
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def read_only_database(settings: DatabaseSettings) -> AsyncIterator[AsyncEngine]:
    """An engine all of whose transactions are read-only."""
    engine = create_engine(
        settings.url.get_secret_value(),
        pool_size=2,
        connect_timeout=settings.connect_timeout,
        read_only=True,
    )
    try:
        yield engine
    finally:
        await engine.dispose()


@lru_cache(maxsize=8)
def autocommit(engine: AsyncEngine) -> AsyncEngine:
    """The same connections, each statement a transaction of its own: one round trip where `begin` takes three."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _dsn(url: str) -> str:
    """The address as asyncpg reads it; SQLAlchemy's spelling `ssl=` of `sslmode=` is understood."""
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        raise ValueError("the database URL must start with postgresql:// or postgresql+asyncpg://")
    address, _, query = rest.partition("?")
    options = {"sslmode" if name == "ssl" else name: value for name, value in parse_qsl(query)}
    return f"postgresql://{address}?{urlencode(options)}" if options else f"postgresql://{address}"


def _milliseconds(setting: str, seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {setting: str(round(seconds * 1000))}


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Make the pool replace a connection that the server has closed.

    After a restart of the server every pooled connection is such a one. asyncpg has seen it close, so
    this costs no round trip, as a ping before every use would.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError
