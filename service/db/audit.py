"""The audit: who did what to which dead letters, when and why.

A line is written before the action and completed after it, so a process that is killed in between
leaves a line without an outcome.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_BEGIN = text("""
    INSERT INTO dead_letter_actions (actor, action, filter, reason, dead_letter_ids)
    VALUES (:actor, :action, CAST(:filter AS jsonb), :reason, CAST(:ids AS uuid[]))
    RETURNING id
""")

_END = text("UPDATE dead_letter_actions SET outcome = CAST(:outcome AS jsonb) WHERE id = :id")

_ON_LETTER = text("""
    SELECT id, at, actor, action, filter, reason, outcome FROM dead_letter_actions
    WHERE :letter_id = ANY(dead_letter_ids) ORDER BY id
""")


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line of the audit. Without an outcome, it is still running or its process was killed."""

    id: int
    at: datetime
    actor: str
    action: str
    filter: dict[str, Any] | None
    reason: str | None
    outcome: dict[str, Any] | None


async def begin_action(
    conn: AsyncConnection,
    *,
    actor: str,
    action: str,
    ids: Collection[UUID],
    filter_: Mapping[str, Any] | None = None,
    reason: str | None = None,
) -> int:
    """Write the line of an action that is about to begin. Returns the line's id.

    `ids` are the letters that it concerns, `filter_` is how they were chosen.
    """
    line = {
        "actor": actor,
        "action": action,
        "filter": _json(filter_) if filter_ else None,
        "reason": reason,
        "ids": list(ids),
    }
    line_id: int = await conn.scalar(_BEGIN, line)
    return line_id


async def end_action(conn: AsyncConnection, action_id: int, outcome: Mapping[str, Any]) -> None:
    """Complete the line of an action with its outcome."""
    await conn.execute(_END, {"id": action_id, "outcome": _json(outcome)})


async def actions_on_letter(conn: AsyncConnection, letter_id: UUID) -> list[AuditLine]:
    """The lines of the actions that concerned one letter, the oldest first."""
    return [AuditLine(*row) for row in await conn.execute(_ON_LETTER, {"letter_id": letter_id})]


def _json(value: Mapping[str, Any]) -> str:
    # `default=str` is for asyncpg's own UUID class, which orjson does not know.
    return orjson.dumps(value, default=str).decode()
