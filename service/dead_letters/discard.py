"""Give letters up, for a reason that is kept."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from service.db import dead_letters
from service.db.dead_letters import Letter
from service.dead_letters.audit import ActionReport


async def discard_letters(
    engine: AsyncEngine, letters: Sequence[Letter], report: ActionReport, *, by: str, reason: str
) -> None:
    """Give up those that still are as they were read; their records stay in the dead-letter topic."""
    async with engine.begin() as conn:
        gone = set(await dead_letters.discard_letters(conn, letters, by=by, reason=reason))
    for letter in letters:
        report.note("discarded" if letter.id in gone else "taken", letter.id)
