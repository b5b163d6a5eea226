"""Give letters up, for a reason that is kept."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from service.db import letter_moves
from service.db.letters import Letter
from service.dead_letters.audit import Report


async def discard(engine: AsyncEngine, letters: Sequence[Letter], report: Report, *, by: str, reason: str) -> None:
    """Give up those that still are as they were read; their records stay in the dead-letter topic."""
    async with engine.begin() as conn:
        gone = set(await letter_moves.discard(conn, letters, by=by, reason=reason))
    for letter in letters:
        report.note("discarded" if letter.id in gone else "taken", letter.id)
