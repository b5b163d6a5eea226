"""What a job would change, told by reading alone; every function works in a read-only transaction."""

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.domain import DataEntrySource, FactorCounts

_HOLDING = text("""
    SELECT DISTINCT carbon_report_module_id FROM data_entries
    WHERE carbon_report_module_id = ANY(CAST(:modules AS bigint[]))
      AND data_entry_type_id = :type_id AND source = :source
""")

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
           coalesce(sum(old.rows - CAST(incoming.identity IS NOT NULL AS int))
                    FILTER (WHERE kept.identity IS NOT NULL), 0) AS kept
    FROM old
    LEFT JOIN incoming ON incoming.identity = old.identity
    LEFT JOIN kept ON kept.identity = old.identity
""")


async def modules_holding(
    conn: AsyncConnection, modules: Collection[int], type_id: int, source: DataEntrySource
) -> set[int]:
    """Those of the modules that hold rows of a type and source."""
    scope = {"modules": list(modules), "type_id": type_id, "source": source.value}
    return set(await conn.scalars(_HOLDING, scope))


async def compare_factors(
    conn: AsyncConnection, type_id: int, year: int, *, incoming: Collection[str], kept: Collection[str]
) -> FactorCounts:
    """What replacing the factors of a type and year would count; identities are given as JSON.

    `kept` are identities whose old row stays although the file has no valid row for them.
    """
    given = {"type_id": type_id, "year": year, "incoming": list(incoming), "kept": list(kept)}
    old = (await conn.execute(_COMPARED, given)).one()
    inserted, deleted = len(incoming) - old.updated, int(old.total - old.updated - old.kept)
    return FactorCounts(inserted, old.updated, deleted, remaining=int(old.total) - deleted + inserted)
