"""What must outlive a restart and belongs to no job: a JSON value by name."""

from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_READ = text("SELECT value FROM service_state WHERE name = :name")

_WRITE = text("""
    INSERT INTO service_state (name, value, by) VALUES (:name, CAST(:value AS jsonb), :by)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, at = now(), by = excluded.by
""")


async def read_state(conn: AsyncConnection, name: str) -> dict[str, Any]:
    """The value kept under a name; empty where none is."""
    value: dict[str, Any] | None = await conn.scalar(_READ, {"name": name})
    return value or {}


async def write_state(conn: AsyncConnection, name: str, value: dict[str, Any], *, by: str) -> None:
    """Keep a value, over the one before; `by` says who wrote it."""
    await conn.execute(_WRITE, {"name": name, "value": orjson.dumps(value).decode(), "by": by})
