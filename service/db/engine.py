"""Connections to PostgreSQL through asyncpg: one engine for each process."""

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
"""Seconds that one statement of a short command may take (`statement_timeout`)."""

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

    The query part of the URL has libpq's options (`sslmode`, `sslrootcert`, `sslcert`, `sslkey`,
    `target_session_attrs`, …), as asyncpg reads them. If `ssl` is given, it replaces what they say
    about TLS. There are never more than `pool_size` connections.

    Times are in seconds. The server itself watches `lock_timeout`, `statement_timeout` and
    `idle_in_transaction_timeout`: None leaves the server's default, 0 turns the limit off. For
    `statement_timeout`, a whole COPY is one statement. With `read_only`, the server refuses every
    change.

    Error messages do not show the parameters of a statement, because these are people's rows.
    Raises `ValueError` if `url` has another scheme.
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
        # asyncpg reads the address itself, in `connect`: it knows lists of hosts, SQLAlchemy not.
        f"{DRIVER}://",
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout,
        # One job after the other gets the same connection, whose plans and caches are warm.
        pool_use_lifo=True,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


@asynccontextmanager
async def command_database(settings: DatabaseSettings) -> AsyncIterator[AsyncEngine]:
    """An engine for a short command, with a limit on each statement. It is closed at the end."""
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
    """An engine whose transactions are all read-only. It is closed at the end."""
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
    """The same engine, with each statement a transaction of its own.

    A statement then takes one round trip; BEGIN and COMMIT would make it three.
    """
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _dsn(url: str) -> str:
    """The URL as asyncpg reads it; `ssl=`, SQLAlchemy's spelling of `sslmode=`, is accepted too."""
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        raise ValueError("the database URL must start with postgresql:// or postgresql+asyncpg://")
    address, _, query = rest.partition("?")
    options = {"sslmode" if name == "ssl" else name: value for name, value in parse_qsl(query)}
    if not options:
        return f"postgresql://{address}"
    return f"postgresql://{address}?{urlencode(options)}"


def _milliseconds(setting: str, seconds: float | None) -> dict[str, str]:
    """The server setting in milliseconds; nothing if it is left to the server."""
    if seconds is None:
        return {}
    return {setting: str(round(seconds * 1000))}


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Make the pool replace a connection that the server has closed.

    After a restart of the server, all connections of the pool are closed. asyncpg knows this
    without asking the server, so the check costs no round trip. `pool_pre_ping` would cost one
    before every use.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError
