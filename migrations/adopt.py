"""What a migration needs in a database that is somebody else's.

Look before creating; mark what was created, since only that may be dropped again; and never keep
the owner's application waiting for a lock. Tables and columns are marked by their comment, indexes by
their name (`uploads_…`).
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from alembic import op
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

LOCK_TIMEOUT = "1s"
LOCK_TRIES = 100
PAUSE = "3 seconds"
LOCK_NOT_AVAILABLE = "55P03"


class IncompatibleDatabase(RuntimeError):
    """The host's tables are not what the service can work with; nothing was changed."""


class TableBusy(RuntimeError):
    """Other transactions held a table for too long; what was done so far stays, run the migration again."""


class Index(NamedTuple):
    """An index, and what serves its queries as well: key columns with a predicate, or None for all rows."""

    name: str
    table: str
    columns: tuple[str, ...]
    where: str | None = None
    alternatives: tuple[tuple[tuple[str, ...], str | None], ...] = ()


def report(message: str) -> None:
    """Tell whoever runs the migrations what takes so long."""
    config = op.get_context().config
    if config is not None:
        config.attributes["report"](message)


def columns_of(table: str) -> Mapping[str, str | None]:
    """The columns of a table with their comments; none where there is no such table."""
    found = op.get_bind().execute(
        text("""
            SELECT attname, col_description(attrelid, attnum) AS comment FROM pg_attribute
            WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped
        """),
        {"table": table},
    )
    return {row.attname: row.comment for row in found}


def create_table(
    table: str, statements: Iterable[str], *, needed: Iterable[str], mark: str
) -> None:
    """Create a table where it is missing, and mark it. Raises `IncompatibleDatabase` on one that lacks a column."""
    present = columns_of(table)
    if not present:
        for statement in statements:
            op.execute(statement)
        op.execute(f"COMMENT ON TABLE {table} IS '{mark}'")
    elif missing := set(needed) - present.keys():
        raise IncompatibleDatabase(
            f"table {table} exists, but has no column {', '.join(sorted(missing))}; add what is missing, "
            "or let the search_path of this database role lead to the application's tables first"
        )


def drop_table(table: str, *, mark: str) -> None:
    """Drop a table that bears the mark."""
    if (
        op.get_bind().scalar(
            text("SELECT obj_description(to_regclass(:table), 'pg_class')"), {"table": table}
        )
        == mark
    ):
        op.execute(f"DROP TABLE {table}")


def add_columns(table: str, columns: Mapping[str, str], *, mark: str) -> None:
    """Add the nullable columns that are missing, and mark them; needs autocommit."""
    missing = columns.keys() - columns_of(table).keys()
    if missing:
        added = ", ".join(f"ADD COLUMN {name} {columns[name]}" for name in sorted(missing))
        marked = " ".join(f"COMMENT ON COLUMN {table}.{name} IS '{mark}';" for name in missing)
        _alter(table, f"ALTER TABLE {table} {added}; {marked}")


def drop_columns(table: str, columns: Iterable[str], *, mark: str) -> None:
    """Drop the columns that bear the mark; needs autocommit."""
    present = columns_of(table)
    if ours := [name for name in columns if present.get(name) == mark]:
        _alter(table, f"ALTER TABLE {table} {', '.join(f'DROP COLUMN {name}' for name in ours)};")


def _alter(table: str, statements: str) -> None:
    """Change a table in one go, giving way to others until nobody holds it.

    The change itself takes no time, but everyone who comes while it waits for its lock waits behind it.
    """
    for _ in range(LOCK_TRIES):
        try:
            op.execute(
                f"DO $$ BEGIN SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; {statements} END $$"
            )
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
        else:
            return
        report(f"table {table} is in use by a long transaction; trying again")
        op.execute(f"SELECT pg_sleep_for('{PAUSE}')")
    raise TableBusy(
        f"table {table} was in use at each of {LOCK_TRIES} tries; end what holds it (pg_stat_activity)"
    )


def build_index(index: Index) -> None:
    """Build an index while others read and write, unless an index serves already; needs autocommit."""
    _drop_unfinished(index)
    if not any(
        _served(index.table, *wanted)
        for wanted in ((index.columns, index.where), *index.alternatives)
    ):
        report(
            f"building index {index.name} on {index.table}; first the transactions that are open now must end"
        )
        where = f" WHERE {index.where}" if index.where else ""
        op.execute(
            f"CREATE INDEX CONCURRENTLY {index.name} ON {index.table} ({', '.join(index.columns)}){where}"
        )


def drop_index(index: Index) -> None:
    """Drop an index while others read and write; needs autocommit."""
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}")


def _drop_unfinished(index: Index) -> None:
    """Drop what an interrupted build left behind: it serves no query, yet every write keeps it up."""
    if _exists(
        "SELECT FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid",
        name=index.name,
    ):
        drop_index(index)


def _served(table: str, columns: tuple[str, ...], where: str | None) -> bool:
    """Whether a valid index of the table begins with these columns, over these rows."""
    query = """
        SELECT FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
        WHERE indrelid = to_regclass(:table) AND indisvalid AND amname = 'btree'
          AND pg_get_expr(indpred, indrelid) IS NOT DISTINCT FROM CAST(:predicate AS text)
          AND CAST(:columns AS text[]) = ARRAY(
              SELECT pg_get_indexdef(indexrelid, position, true)
              FROM generate_series(1, least(indnkeyatts, cardinality(CAST(:columns AS text[])))) AS position
          )
    """
    return _exists(query, table=table, columns=list(columns), predicate=where and f"({where})")


def _exists(query: str, **values: object) -> bool:
    return bool(op.get_bind().scalar(text(f"SELECT EXISTS ({query})"), values))
