"""COPY in its text format: how a job's rows reach a table."""

from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncConnection


def escape_json(json: bytes) -> bytes:
    """Escape JSON for a cell of a COPY line.

    Only backslashes need it: JSON text has no raw tab or line break.
    """
    return json.replace(b"\\", b"\\\\")


async def copy_lines(
    conn: AsyncConnection, table: str, columns: tuple[str, ...], lines: AsyncIterator[bytes]
) -> int:
    """Write a stream of lines to a table, in the caller's transaction.

    Returns the number of rows written. A line is its cells in the order of `columns`, with tabs
    between them and a line feed at the end. Each item of the stream is one or more whole lines. The
    next item is asked for when the socket has taken the one before, so memory stays flat.
    """
    # SQLAlchemy has no COPY; the driver's connection is in the same transaction.
    driver = (await conn.get_raw_connection()).driver_connection
    if driver is None:
        raise RuntimeError("the connection has no driver connection")
    status: str = await driver.copy_to_table(table, columns=columns, source=lines, format="text")
    return int(status.removeprefix("COPY "))
