"""What a job would change, told by reading alone; every function works in a read-only transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.domain.model import FactorCounts, Job

# Of the old rows of one identity, the file updates one; the others go, unless an invalid row keeps them.
_COMPARED = text("""
    WITH old AS (
        SELECT jsonb_strip_nulls(classification) AS identity, count(*) AS rows
        FROM factors WHERE data_entry_type_id = :type_id AND year = :year GROUP BY 1
    ),
    incoming AS (SELECT DISTINCT CAST(value AS jsonb) AS identity FROM unnest(CAST(:incoming AS text[])) AS value),
    kept AS (SELECT DISTINCT CAST(value AS jsonb) AS identity FROM unnest(CAST(:kept AS text[])) AS value)
    SELECT coalesce(sum(old.rows), 0) AS total,
           count(incoming.identity) AS updated,
           coalesce(sum(old.rows) FILTER (WHERE kept.identity IS NOT NULL), 0) AS kept
    FROM old
    LEFT JOIN incoming ON incoming.identity = old.identity
    LEFT JOIN kept ON kept.identity = old.identity
""")


# A module without a head counts: a job over all modules of the year meets none there.
_HEADS_ABOVE = text("""
    SELECT count(*) AS modules, count(head.job_id) AS above, max(head.job_id) AS highest
    FROM carbon_report_modules AS module
    JOIN carbon_reports AS report ON report.id = module.carbon_report_id
    LEFT JOIN scope_heads AS head
           ON head.carbon_report_module_id = module.id AND head.data_entry_type_id = :type_id
          AND head.source = :source AND head.job_id > :fence
    WHERE report.year = :year AND report.kind = 'calculator' AND module.module_type_id = :module_type_id
      AND (CAST(:among AS bigint[]) IS NULL OR module.id = ANY(CAST(:among AS bigint[])))
""")

_FACTORS_ABOVE = text("""
    SELECT job_id FROM factor_heads WHERE data_entry_type_id = :type_id AND year = :year AND job_id > :fence
""")


@dataclass(frozen=True, slots=True)
class HeadsAbove:
    """In how many of the modules a job would meet a head above its fence, and the highest of these."""

    modules: int
    above: int
    highest: int | None


async def heads_above(
    conn: AsyncConnection, job: Job, module_type_id: int, *, among: Sequence[int] | None = None
) -> HeadsAbove:
    """The heads of the job's type and source in the calculator modules of its year, as far as they fence it off.

    `among` narrows to these modules; by default all of the year count.
    """
    scope = {
        "type_id": job.data_entry_type_id,
        "year": job.year,
        "module_type_id": module_type_id,
        "among": among,
    }
    found = await conn.execute(
        _HEADS_ABOVE, scope | {"source": job.source.value, "fence": job.fence}
    )
    return HeadsAbove(*found.one())


async def factors_above(conn: AsyncConnection, job: Job) -> int | None:
    """The job whose factors are in force, where it fences this one off."""
    scope = {"type_id": job.data_entry_type_id, "year": job.year, "fence": job.fence}
    newer: int | None = await conn.scalar(_FACTORS_ABOVE, scope)
    return newer


async def compare_factors(
    conn: AsyncConnection,
    type_id: int,
    year: int,
    *,
    incoming: Collection[str],
    kept: Collection[str],
) -> FactorCounts:
    """What replacing the factors of a type and year would count; identities are given as JSON.

    `kept` are identities whose old rows stay although the file has no valid row for them.
    """
    given = {"type_id": type_id, "year": year, "incoming": list(incoming), "kept": list(kept)}
    old = (await conn.execute(_COMPARED, given)).one()
    inserted, deleted = len(incoming) - old.updated, int(old.total - old.updated - old.kept)
    return FactorCounts(
        inserted, old.updated, deleted, remaining=int(old.total) - deleted + inserted
    )
