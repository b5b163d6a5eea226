"""Every deed is written down before it is done, and completed with what came of it: a kill leaves its trace."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from service.db import audit

Name = Literal["replay", "edit", "discard", "export", "resume", "take-back"]


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """What an operator is about to do: who, what, by which filter, and why."""

    actor: str
    name: Name
    filter: Mapping[str, Any] | None = None
    reason: str | None = None


@dataclass(slots=True)
class ActionReport:
    """What came of a deed: what became of which letters, and what stopped it before its end."""

    action_id: int
    letters: dict[str, list[UUID]] = field(default_factory=lambda: defaultdict(list))
    stopped: str | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    def note(self, what: str, letter_id: UUID) -> None:
        """Remember what became of a letter."""
        self.letters[what].append(letter_id)

    def count(self, what: str) -> int:
        """How many letters that became of."""
        return len(self.letters.get(what, ()))

    def as_json(self) -> dict[str, Any]:
        """The report as the audit keeps it."""
        return {"letters": dict(self.letters), "stopped": self.stopped, **self.notes}


@asynccontextmanager
async def audited(
    engine: AsyncEngine, action: OperatorAction, ids: Collection[UUID]
) -> AsyncIterator[ActionReport]:
    """Write a deed down, let it be done, and write down what came of it, however it ended."""
    async with engine.begin() as conn:
        action_id = await audit.begin_action(
            conn,
            actor=action.actor,
            action=action.name,
            ids=ids,
            filter_=action.filter,
            reason=action.reason,
        )
    report = ActionReport(action_id)
    try:
        yield report
    except BaseException as error:
        report.stopped = report.stopped or type(error).__name__
        raise
    finally:
        async with engine.begin() as conn:
            await audit.end_action(conn, action_id, report.as_json())
