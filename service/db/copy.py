"""COPY in its text format: how a job's rows reach a table."""

from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncConnection


def escape_json(json: bytes) -> bytes:
    """JSON as a cell of a line; it has no raw control character, so that only its backslashes are in the way."""
    return json.replace(b"\\", b"\\\\")


async def copy_lines(
    conn: AsyncConnection, table: str, columns: tuple[str, ...], lines: AsyncIterator[bytes]
) -> int:
    """Write a stream of whole lines, some at a time, within the caller's transaction; the number of rows written.

    A line is its cells in the order of `columns`, with tabs between them. The stream sets the pace, and no
    more of it is in memory than the socket has not taken yet.
    """
    driver = (await conn.get_raw_connection()).driver_connection
    if driver is None:
        raise RuntimeError("the connection has no driver connection")
    status: str = await driver.copy_to_table(table, columns=columns, source=lines, format="text")
    return int(status.removeprefix("COPY "))
