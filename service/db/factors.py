"""Rows of `factors`: a job replaces all factors of one type and year.

Other tables point at the id of a factor. A factor whose identity is in the old set and in the new
set therefore keeps its row and its id, and is updated in place. When identities are compared, a
part that is absent is equal to a part that is JSON null.

`replace_factors` follows this rule and writes; `compare_factors` follows it and only reads.
"""

from collections.abc import AsyncIterator, Collection

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.copy import copy_lines
from service.domain.model import FactorCounts

_STAGE = text("""
    CREATE TEMPORARY TABLE incoming_factors (
        classification jsonb NOT NULL, "values" jsonb NOT NULL, factor_id bigint
    ) ON COMMIT DROP
""")

_TAKE_HEAD = text("""
    INSERT INTO factor_heads (data_entry_type_id, year, job_id) VALUES (:type_id, :year, :job_id)
    ON CONFLICT (data_entry_type_id, year)
    DO UPDATE SET job_id = excluded.job_id WHERE factor_heads.job_id <= :fence
    RETURNING job_id
""")

_HEAD = text("SELECT job_id FROM factor_heads WHERE data_entry_type_id = :type_id AND year = :year")

# Several old rows may have the same identity and differ only in nulls. The one that is written as
# we write it keeps its id; if there is none, the oldest one does.
_MATCH = text("""
    UPDATE incoming_factors AS incoming SET factor_id = old.id
    FROM (
        SELECT DISTINCT ON (jsonb_strip_nulls(classification))
               id, jsonb_strip_nulls(classification) AS identity
        FROM factors WHERE data_entry_type_id = :type_id AND year = :year
        ORDER BY jsonb_strip_nulls(classification),
                 classification = jsonb_strip_nulls(classification) DESC, id
    ) AS old
    WHERE old.identity = incoming.classification
""")

_DELETE = text("""
    DELETE FROM factors
    WHERE data_entry_type_id = :type_id AND year = :year
      AND NOT EXISTS (
          SELECT FROM incoming_factors AS incoming WHERE incoming.factor_id = factors.id
      )
      AND jsonb_strip_nulls(classification) <> ALL(CAST(CAST(:kept AS text[]) AS jsonb[]))
""")

_UPDATE = text("""
    UPDATE factors
    SET classification = incoming.classification, "values" = incoming."values",
        last_seen_job_id = :job_id
    FROM incoming_factors AS incoming WHERE incoming.factor_id = factors.id
""")

_INSERT = text("""
    INSERT INTO factors (data_entry_type_id, year, classification, "values", last_seen_job_id)
    SELECT :type_id, :year, classification, "values", :job_id
    FROM incoming_factors WHERE factor_id IS NULL
""")

_COUNT = text("SELECT count(*) FROM factors WHERE data_entry_type_id = :type_id AND year = :year")

# Of the old rows of one identity, a job updates one. It deletes the others, unless the identity is
# one to keep.
_COMPARE = text("""
    WITH old AS (
        SELECT jsonb_strip_nulls(classification) AS identity, count(*) AS rows
        FROM factors WHERE data_entry_type_id = :type_id AND year = :year GROUP BY 1
    ),
    incoming AS (
        SELECT DISTINCT CAST(value AS jsonb) AS identity
        FROM unnest(CAST(:incoming AS text[])) AS value
    ),
    kept AS (
        SELECT DISTINCT CAST(value AS jsonb) AS identity
        FROM unnest(CAST(:kept AS text[])) AS value
    )
    SELECT coalesce(sum(old.rows), 0) AS total,
           count(incoming.identity) AS updated,
           coalesce(sum(old.rows) FILTER (WHERE kept.identity IS NOT NULL), 0) AS kept
    FROM old
    LEFT JOIN incoming ON incoming.identity = old.identity
    LEFT JOIN kept ON kept.identity = old.identity
""")


async def stage_factors(conn: AsyncConnection, lines: AsyncIterator[bytes]) -> int:
    """Write an upload's factors to the temporary table `incoming_factors`. Returns their number.

    A line is COPY text with two cells, the classification and the values, both as JSON. The real
    factors are not touched, and no lock is taken.
    """
    await conn.execute(_STAGE)
    staged = await copy_lines(conn, "incoming_factors", ("classification", "values"), lines)
    # Autovacuum never analyses a temporary table. Without statistics, the planner would choose a
    # nested loop for the match.
    await conn.execute(text("ANALYZE incoming_factors"))
    return staged


async def take_factor_head(
    conn: AsyncConnection, type_id: int, year: int, *, job_id: int, fence: int
) -> int | None:
    """Lock the type and year, and make this job their head.

    Waits for other jobs on the same type and year to end. Returns None if the head was not above
    the `fence`. Else the head is left as it is, and its job id is returned: the caller must change
    nothing.
    """
    scope = {"type_id": type_id, "year": year}

    # The lock is the row of the head, from here to the end of the transaction. Never join this
    # statement with the match: `service.db` explains lock waits.
    if await conn.scalar(_TAKE_HEAD, scope | {"job_id": job_id, "fence": fence}) is not None:
        return None
    head_above_fence: int = await conn.scalar(_HEAD, scope)
    return head_above_fence


async def replace_factors(
    conn: AsyncConnection, type_id: int, year: int, *, job_id: int, kept: Collection[str]
) -> FactorCounts:
    """Make the type and year hold exactly the staged factors, and the `kept` ones.

    Returns what changed. `kept` are identities (JSON) whose old rows stay although the upload has
    no valid row for them.
    """
    # No lock is taken here. `take_factor_head` must have been called before: it keeps every other
    # job away from these factors until the transaction ends.
    scope = {"type_id": type_id, "year": year}

    # The match comes first: it notes the id of each old row that stays, which the others read.
    await conn.execute(_MATCH, scope)
    deleted = await conn.execute(_DELETE, scope | {"kept": list(kept)})
    updated = await conn.execute(_UPDATE, {"job_id": job_id})
    inserted = await conn.execute(_INSERT, scope | {"job_id": job_id})
    remaining: int = await conn.scalar(_COUNT, scope)
    return FactorCounts(inserted.rowcount, updated.rowcount, deleted.rowcount, remaining)


async def compare_factors(
    conn: AsyncConnection,
    type_id: int,
    year: int,
    *,
    incoming: Collection[str],
    kept: Collection[str],
) -> FactorCounts:
    """What `replace_factors` would count, in one query that reads only.

    `incoming` are the identities (JSON) of the upload's valid rows, each of them once. `kept` are
    as in `replace_factors`.
    """
    given = {"type_id": type_id, "year": year, "incoming": list(incoming), "kept": list(kept)}
    old = (await conn.execute(_COMPARE, given)).one()

    inserted = len(incoming) - old.updated
    deleted = int(old.total - old.updated - old.kept)
    remaining = int(old.total) - deleted + inserted
    return FactorCounts(inserted, old.updated, deleted, remaining)
