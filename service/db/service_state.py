"""State that must survive a restart and belongs to no job: JSON values by name.

The dead-letter guard keeps here that it has stopped the parking.
"""

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
    """The value that is kept under `name`; an empty dict if there is none."""
    value: dict[str, Any] | None = await conn.scalar(_READ, {"name": name})
    return value or {}


async def write_state(conn: AsyncConnection, name: str, value: dict[str, Any], *, by: str) -> None:
    """Keep a value under `name` instead of the one before; `by` says who wrote it."""
    await conn.execute(_WRITE, {"name": name, "value": orjson.dumps(value).decode(), "by": by})
