"""The audit: who did what to which dead letters, when and why. Written before the deed, completed after it."""

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

_OF = text("""
    SELECT id, at, actor, action, filter, reason, outcome FROM dead_letter_actions
    WHERE :letter_id = ANY(dead_letter_ids) ORDER BY id
""")


@dataclass(frozen=True, slots=True)
class Action:
    """One line of the audit; without an outcome it is still going on, or its process was killed."""

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
    """Write down what is about to be done; the line's id."""
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
    """Write down what came of it."""
    await conn.execute(_END, {"id": action_id, "outcome": _json(outcome)})


async def actions_on_letter(conn: AsyncConnection, letter_id: UUID) -> list[Action]:
    """What was done to one letter, the first deed first."""
    return [Action(*row) for row in await conn.execute(_OF, {"letter_id": letter_id})]


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value, default=str).decode()  # asyncpg's UUID is a kind of its own
