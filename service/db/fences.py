"""The heads above its fence that a job would meet if it were processed now.

Every function only reads. `scopes` and `factors` apply the same fence when a job takes its heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.domain.model import Job

# A module without a head counts as one that the job may write: hence the LEFT JOIN.
_HEADS_ABOVE = text("""
    SELECT count(*) AS modules, count(head.job_id) AS above, max(head.job_id) AS highest
    FROM carbon_report_modules AS module
    JOIN carbon_reports AS report ON report.id = module.carbon_report_id
    LEFT JOIN scope_heads AS head
           ON head.carbon_report_module_id = module.id AND head.data_entry_type_id = :type_id
          AND head.source = :source AND head.job_id > :fence
    WHERE report.year = :year AND report.kind = 'calculator'
      AND module.module_type_id = :module_type_id
      AND (CAST(:among AS bigint[]) IS NULL OR module.id = ANY(CAST(:among AS bigint[])))
""")

_FACTORS_ABOVE = text("""
    SELECT job_id FROM factor_heads
    WHERE data_entry_type_id = :type_id AND year = :year AND job_id > :fence
""")


@dataclass(frozen=True, slots=True)
class HeadsAbove:
    """How many modules were looked at, and in how many of them the head is above the job's fence.

    `highest` is the highest job id of these heads, None if there is none.
    """

    modules: int
    above: int
    highest: int | None


async def heads_above(
    conn: AsyncConnection, job: Job, module_type_id: int, *, among: Sequence[int] | None = None
) -> HeadsAbove:
    """Look at the heads of the job's type and source in the calculator modules of its year.

    With `among`, only modules with these ids are looked at.
    """
    scope = {
        "type_id": job.data_entry_type_id,
        "year": job.year,
        "module_type_id": module_type_id,
        "among": among,
    }
    fence = {"source": job.source.value, "fence": job.fence}
    found = await conn.execute(_HEADS_ABOVE, scope | fence)
    return HeadsAbove(*found.one())


async def factors_above(conn: AsyncConnection, job: Job) -> int | None:
    """The id of the job whose factors are in force, if it is above this job's fence, else None."""
    scope = {"type_id": job.data_entry_type_id, "year": job.year, "fence": job.fence}
    head_above_fence: int | None = await conn.scalar(_FACTORS_ABOVE, scope)
    return head_above_fence
