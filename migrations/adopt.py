"""What a migration needs in a database that belongs to somebody else.

Three rules: look before you create; mark what you have created, because only that may be dropped
again; never keep the owner's application waiting for a lock. A comment marks tables and columns,
the name (`uploads_…`) marks indexes.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from alembic import op
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

LOCK_TIMEOUT = "1s"
"""The longest time that an ALTER TABLE waits for its lock, as PostgreSQL reads it."""

LOCK_TRIES = 100
PAUSE = "3 seconds"
"""Between two tries, as PostgreSQL reads it."""

LOCK_NOT_AVAILABLE = "55P03"
"""The SQLSTATE of a lock_timeout."""


class IncompatibleDatabase(RuntimeError):
    """The host application's tables lack columns that the service needs; nothing was changed."""


class TableBusy(RuntimeError):
    """Other transactions held a table for too long.

    What was done so far stays. Run the migration again.
    """


class Index(NamedTuple):
    """An index to build, unless one of its `alternatives` is there and serves the same queries.

    An alternative is its first key columns, and its predicate or None for all rows.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    where: str | None = None
    alternatives: tuple[tuple[tuple[str, ...], str | None], ...] = ()


def report(message: str) -> None:
    """Tell the person who runs the migrations what takes so long."""
    config = op.get_context().config
    if config is not None:
        config.attributes["report"](message)


def columns_of(table: str) -> Mapping[str, str | None]:
    """The columns of a table with their comments; empty if there is no such table."""
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
    """Create and mark a table that is missing.

    Raises `IncompatibleDatabase` if the table is there, but lacks a column.
    """
    present = columns_of(table)
    if not present:
        for statement in statements:
            op.execute(statement)
        op.execute(f"COMMENT ON TABLE {table} IS '{mark}'")
    elif missing := set(needed) - present.keys():
        raise IncompatibleDatabase(
            f"table {table} exists, but has no column {', '.join(sorted(missing))}; "
            "add what is missing, or let the search_path of this database role lead to the "
            "application's tables first"
        )


def drop_table(table: str, *, mark: str) -> None:
    """Drop a table if it has the mark."""
    query = text("SELECT obj_description(to_regclass(:table), 'pg_class')")
    if op.get_bind().scalar(query, {"table": table}) == mark:
        op.execute(f"DROP TABLE {table}")


def add_columns(table: str, columns: Mapping[str, str], *, mark: str) -> None:
    """Add and mark the nullable columns that are missing. Must run in autocommit."""
    missing = columns.keys() - columns_of(table).keys()
    if missing:
        added = ", ".join(f"ADD COLUMN {name} {columns[name]}" for name in sorted(missing))
        marked = " ".join(f"COMMENT ON COLUMN {table}.{name} IS '{mark}';" for name in missing)
        _alter(table, f"ALTER TABLE {table} {added}; {marked}")


def drop_columns(table: str, columns: Iterable[str], *, mark: str) -> None:
    """Drop the columns that have the mark. Must run in autocommit."""
    present = columns_of(table)
    if ours := [name for name in columns if present.get(name) == mark]:
        dropped = ", ".join(f"DROP COLUMN {name}" for name in ours)
        _alter(table, f"ALTER TABLE {table} {dropped};")


def _alter(table: str, statements: str) -> None:
    """Run ALTER TABLE statements in one transaction, with many short tries to get the lock.

    The change itself takes no time. But while it waits for its lock, every other statement on the
    table waits behind it; so it gives up soon, and tries again. Raises `TableBusy`.
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
        f"table {table} was in use at each of {LOCK_TRIES} tries; "
        "end what holds it (pg_stat_activity)"
    )


def build_index(index: Index) -> None:
    """Build an index, unless another one serves its queries. Must run in autocommit.

    Others read and write the table meanwhile.
    """
    _drop_unfinished(index)
    serving = ((index.columns, index.where), *index.alternatives)
    if any(_has_index(index.table, columns, where) for columns, where in serving):
        return

    report(
        f"building index {index.name} on {index.table}; "
        "first the transactions that are open now must end"
    )
    columns = ", ".join(index.columns)
    where = f" WHERE {index.where}" if index.where else ""
    op.execute(f"CREATE INDEX CONCURRENTLY {index.name} ON {index.table} ({columns}){where}")


def drop_index(index: Index) -> None:
    """Drop an index while others read and write the table. Must run in autocommit."""
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}")


def _drop_unfinished(index: Index) -> None:
    """Drop the index if an interrupted build has left it invalid.

    PostgreSQL uses an invalid index for no query, but goes on to maintain it at every write.
    """
    query = "SELECT FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid"
    if _exists(query, name=index.name):
        drop_index(index)


def _has_index(table: str, columns: tuple[str, ...], where: str | None) -> bool:
    """Return True if a valid index of the table begins with these columns, with this predicate."""
    query = """
        SELECT FROM pg_index
        JOIN pg_class ON pg_class.oid = indexrelid
        JOIN pg_am ON pg_am.oid = relam
        WHERE indrelid = to_regclass(:table) AND indisvalid AND amname = 'btree'
          AND pg_get_expr(indpred, indrelid) IS NOT DISTINCT FROM CAST(:predicate AS text)
          AND CAST(:columns AS text[]) = ARRAY(
              SELECT pg_get_indexdef(indexrelid, position, true)
              FROM generate_series(
                  1, least(indnkeyatts, cardinality(CAST(:columns AS text[])))
              ) AS position
          )
    """
    # pg_get_expr prints a predicate in parentheses.
    predicate = None if where is None else f"({where})"
    return _exists(query, table=table, columns=list(columns), predicate=predicate)


def _exists(query: str, **values: object) -> bool:
    return bool(op.get_bind().scalar(text(f"SELECT EXISTS ({query})"), values))
