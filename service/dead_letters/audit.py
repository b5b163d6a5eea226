"""The audit: each action of an operator is written down before it begins, with its outcome after.

An action that has no outcome is still going on, or its process was killed.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from service.db import audit

ActionName = Literal["replay", "edit", "discard", "export", "resume", "take-back"]


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """What an operator is about to do, and why.

    `filter` says how the operator chose the letters, in JSON values. It is kept for readers of the
    audit only: the letters themselves are selected with a `Filter`.
    """

    actor: str
    name: ActionName
    filter: Mapping[str, Any] | None = None
    reason: str | None = None


@dataclass(slots=True)
class ActionReport:
    """What an action did.

    `selected` are the letters that it was to work on, in their order. `stopped` says why the action
    ended early, and `notes` are more facts for the audit.

    `letters` are the ids by what became of each letter:

    - `sent`, `discarded`, `exported`: the action was done.
    - `taken`: nothing was done, because the letter had changed since it was read.
    - `in_doubt`: sending failed, for example because the broker's acknowledgement did not come. The
      record may or may not be in its topic, and the letter stays claimed.
    - the value of a `Verdict`, such as `file_gone`: a replay did not send it, for this reason.
    """

    action_id: int
    selected: tuple[UUID, ...] = ()
    letters: dict[str, list[UUID]] = field(default_factory=lambda: defaultdict(list))
    stopped: str | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    def note(self, result: str, letter_id: UUID) -> None:
        """Remember what became of a letter."""
        self.letters[result].append(letter_id)

    def count(self, result: str) -> int:
        """Return how many letters have this result."""
        return len(self.letters.get(result, ()))

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as the audit keeps it."""
        return {"letters": dict(self.letters), "stopped": self.stopped, **self.notes}


@asynccontextmanager
async def audited(
    engine: AsyncEngine, action: OperatorAction, ids: Collection[UUID]
) -> AsyncIterator[ActionReport]:
    """Write the action down, run the body, and write down its outcome, also when the body fails.

    The body fills in the report. Raises what the database raises.
    """
    async with engine.begin() as conn:
        action_id = await audit.begin_action(
            conn,
            actor=action.actor,
            action=action.name,
            ids=ids,
            filter_=action.filter,
            reason=action.reason,
        )
    report = ActionReport(action_id, tuple(ids))
    try:
        yield report
    # Ctrl+C and a cancelled task are no `Exception`, and the audit must name them too.
    except BaseException as error:
        report.stopped = report.stopped or type(error).__name__
        raise
    finally:
        async with engine.begin() as conn:
            await audit.end_action(conn, action_id, report.as_json())
