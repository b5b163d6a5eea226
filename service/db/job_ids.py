"""Job ids: every producer draws from one sequence, so a later upload has a higher id."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_DRAW = text("SELECT nextval('upload_job_id_seq')")


async def draw_job_id(conn: AsyncConnection) -> int:
    """Draw a new job id. An id that is drawn and never used leaves a gap, which does no harm."""
    job_id: int = await conn.scalar(_DRAW)
    return job_id
