"""Rows of `dead_letters`: the state of each record of the dead-letter topic."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_INSERT = text("""
    INSERT INTO dead_letters
           (id, original_topic, original_partition, original_offset, original_timestamp, consumer_group,
            job_id, provider_type, data_entry_type_id, year, modules, code, stage, exception_class, message,
            attempts, first_failed_at, parked_at, service_version, replay_count, replay_of)
    VALUES (:id, :original_topic, :original_partition, :original_offset, :original_timestamp, :consumer_group,
            :job_id, :provider_type, :data_entry_type_id, :year, :modules, :code, :stage, :exception_class, :message,
            :attempts, :first_failed_at, :parked_at, :service_version, :replay_count, :replay_of)
    ON CONFLICT (id) DO NOTHING
""")

_SENT_TO = text("UPDATE dead_letters SET dlq_partition = :partition, dlq_offset = :offset WHERE id = :id")

_RECENT = text("SELECT count(*) FROM dead_letters WHERE parked_at > :since AND replay_of IS NULL")


async def insert(conn: AsyncConnection, row: dict[str, Any]) -> bool:
    """Note a record as parked; False where it was noted before."""
    return (await conn.execute(_INSERT, row)).rowcount == 1


async def note_position(conn: AsyncConnection, letter_id: UUID, *, partition: int, offset: int) -> None:
    """Remember where in the dead-letter topic the record lies."""
    await conn.execute(_SENT_TO, {"id": letter_id, "partition": partition, "offset": offset})


async def count_since(conn: AsyncConnection, since: datetime) -> int:
    """Records parked since a moment, replays aside: what the dead-letter guard looks at."""
    counted: int = await conn.scalar(_RECENT, {"since": since})
    return counted
