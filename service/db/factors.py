"""Rows of `factors`: replaced whole by type and year, with ids that stay.

Other tables point at a factor's id, so a factor whose identity is in the old set and in the new one is
updated in place. In matching, an absent part of an identity and a JSON null are equal.
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

# Of several old rows that differ in nulls alone, the one written as we write it keeps its id, else the oldest.
_MATCH = text("""
    UPDATE incoming_factors AS incoming SET factor_id = old.id
    FROM (
        SELECT DISTINCT ON (jsonb_strip_nulls(classification)) id, jsonb_strip_nulls(classification) AS identity
        FROM factors WHERE data_entry_type_id = :type_id AND year = :year
        ORDER BY jsonb_strip_nulls(classification), classification = jsonb_strip_nulls(classification) DESC, id
    ) AS old
    WHERE old.identity = incoming.classification
""")

_DELETE = text("""
    DELETE FROM factors
    WHERE data_entry_type_id = :type_id AND year = :year
      AND NOT EXISTS (SELECT FROM incoming_factors AS incoming WHERE incoming.factor_id = factors.id)
      AND jsonb_strip_nulls(classification) <> ALL(CAST(CAST(:kept AS text[]) AS jsonb[]))
""")

_UPDATE = text("""
    UPDATE factors
    SET classification = incoming.classification, "values" = incoming."values", last_seen_job_id = :job_id
    FROM incoming_factors AS incoming WHERE incoming.factor_id = factors.id
""")

_INSERT = text("""
    INSERT INTO factors (data_entry_type_id, year, classification, "values", last_seen_job_id)
    SELECT :type_id, :year, classification, "values", :job_id FROM incoming_factors WHERE factor_id IS NULL
""")

_COUNT = text("SELECT count(*) FROM factors WHERE data_entry_type_id = :type_id AND year = :year")


async def stage_factors(conn: AsyncConnection, lines: AsyncIterator[bytes]) -> int:
    """Put the file's factors, lines of COPY text of classification and values, beside the real ones; their number."""
    await conn.execute(_STAGE)
    staged = await copy_lines(conn, "incoming_factors", ("classification", "values"), lines)
    # a temporary table has no statistics until it is told to: without them the match is a nested loop
    await conn.execute(text("ANALYZE incoming_factors"))
    return staged


async def take_factor_head(
    conn: AsyncConnection, type_id: int, year: int, *, job_id: int, fence: int
) -> int | None:
    """Lock, fence and write the head of (type, year); the newer job's id where there is one, else None."""
    scope = {"type_id": type_id, "year": year}
    if await conn.scalar(_TAKE_HEAD, scope | {"job_id": job_id, "fence": fence}) is not None:
        return None
    newer: int = await conn.scalar(_HEAD, scope)
    return newer


async def replace_factors(
    conn: AsyncConnection, type_id: int, year: int, *, job_id: int, kept: Collection[str]
) -> FactorCounts:
    """Make the scope hold exactly the staged factors; the head must have been taken before.

    `kept` are identities (JSON) whose old row stays although the file has no valid row for them.
    """
    scope = {"type_id": type_id, "year": year}
    await conn.execute(_MATCH, scope)
    deleted = await conn.execute(_DELETE, scope | {"kept": list(kept)})
    updated = await conn.execute(_UPDATE, {"job_id": job_id})
    inserted = await conn.execute(_INSERT, scope | {"job_id": job_id})
    remaining: int = await conn.scalar(_COUNT, scope)
    return FactorCounts(inserted.rowcount, updated.rowcount, deleted.rowcount, remaining)
