"""Job ids: all from one sequence, whoever produces, so that a later upload has a higher id."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_DRAW = text("SELECT nextval('upload_job_id_seq')")


async def draw_job_id(conn: AsyncConnection) -> int:
    """A fresh job id; one that is drawn and not used is lost, which does no harm."""
    job_id: int = await conn.scalar(_DRAW)
    return job_id
