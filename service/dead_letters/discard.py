"""Discard: give letters up, for a reason that is kept with each of them."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from service.db import dead_letters
from service.db.dead_letters import Filter, Letter
from service.dead_letters.audit import ActionReport, OperatorAction, audited
from service.dead_letters.replay import REPLAYABLE
from service.dead_letters.select import select_letters, selects_only

DISCARDABLE = REPLAYABLE
"""The states of letters that may be discarded: what may be replayed may also be given up."""


def require_discardable(letter_filter: Filter) -> None:
    """Raise `ValueError` if the filter can select letters that may not be discarded."""
    if not selects_only(letter_filter, DISCARDABLE):
        raise ValueError("open, sent and quarantined letters are discarded, no others")


async def run_discard(
    engine: AsyncEngine, letter_filter: Filter, action: OperatorAction
) -> ActionReport:
    """Discard the letters that a filter selects, with a line in the audit.

    The report counts them as `discarded`, or as `taken` where somebody else was faster. Raises
    `ValueError` if the filter can select letters that may not be discarded, `NoSuchLetter`, and
    what the database raises.
    """
    require_discardable(letter_filter)
    async with engine.connect() as conn:
        letters = await select_letters(conn, letter_filter)
    async with audited(engine, action, [letter.id for letter in letters]) as report:
        await discard_selected(engine, letters, report, by=action.actor, reason=action.reason or "")
    return report


async def discard_selected(
    engine: AsyncEngine, letters: Sequence[Letter], report: ActionReport, *, by: str, reason: str
) -> None:
    """Discard the letters that have not changed since they were read.

    Their records stay in the dead-letter topic.
    """
    async with engine.begin() as conn:
        discarded = set(await dead_letters.discard_letters(conn, letters, by=by, reason=reason))
    for letter in letters:
        report.note("discarded" if letter.id in discarded else "taken", letter.id)
