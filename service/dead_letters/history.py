"""The history of a letter: what each action did to it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.db import audit, dead_letters
from service.db.audit import AuditLine
from service.db.dead_letters import Letter
from service.dead_letters.select import find_by_id
from service.domain.model import LetterState


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """What happened to a letter: when, who did it, what was done, and its result in words."""

    at: datetime
    actor: str
    action: str
    result: str


@dataclass(frozen=True, slots=True)
class LetterHistory:
    """A letter with the actions on it and the ids of the letters that it came back as.

    Both are in the order of time.
    """

    letter: Letter
    actions: Sequence[AuditLine]
    came_back_as: Sequence[UUID]

    def entries(self) -> Iterator[HistoryEntry]:
        """What happened to the letter: its parking, each action, and how its present state came."""
        letter = self.letter
        yield HistoryEntry(letter.parked_at, "worker", "parked", letter.code)
        for action in self.actions:
            result = describe_result(action, letter.id)
            yield HistoryEntry(action.at, action.actor, action.action, result)
        if letter.state is not LetterState.OPEN:
            yield HistoryEntry(
                letter.state_at, letter.state_by or "", letter.state, letter.state_reason or ""
            )


async def read_history(conn: AsyncConnection, letter_id: str) -> LetterHistory:
    """Read the history of the letter with this id, or whose id begins like this.

    Raises `NoSuchLetter`.
    """
    letter = await find_by_id(conn, letter_id)
    return LetterHistory(
        letter,
        await audit.actions_on_letter(conn, letter.id),
        await dead_letters.find_successors(conn, letter.id),
    )


def describe_result(action: AuditLine, letter_id: UUID) -> str:
    """Return what an action did to one letter, and the reason that was given for it."""
    result = _result_of(action, str(letter_id))
    return f"{result} ({action.reason})" if action.reason else result


def _result_of(action: AuditLine, letter_id: str) -> str:
    if action.outcome is None:
        return "never completed: its process was killed, or is still at it"
    for result, ids in action.outcome.get("letters", {}).items():
        if letter_id in ids:
            return str(result)
    # The action ended before it reached this letter.
    return action.outcome.get("stopped") or ""
