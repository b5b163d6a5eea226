"""P7: how the time grows: with the rows of the file, with its modules, and with rows of others.

`python -m bench.growth [--rows 1000 10000 100000 300000] [--modules 1 …] [--others 0 1000000]
[--runs 3]`
"""

import argparse
import asyncio
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.support.files import message, write_purchases
from bench.support.job_client import JobClient, connected_client
from bench.support.result import Curve, Figure, Measurement, median, tell
from bench.support.servers import YEAR, Servers, servers, settle
from bench.support.workers import settings_of, workers
from service.domain.catalogue import ENTRY_TYPES

if TYPE_CHECKING:
    import asyncpg

WITHIN = 1.2
"""The largest factor by which a point may be off a straight line, or off a constant."""

UNITS, MANY_UNITS = 500, 2500
FIXED_ROWS = 50_000

# Rows of other types and sources, in all modules; a few of them are in the same modules as the rows
# of the job.
_OTHERS = f"""
    INSERT INTO data_entries (
        data_entry_type_id, carbon_report_module_id, data, year, unit_id, source
    )
    SELECT entry_type.id, module.id,
           '{{"name": "entered by somebody", "total_spent_amount": 12.5}}', {YEAR},
           report.unit_id, NULLIF((ARRAY[0, 0, 0, 2, 4, 5, 6])[1 + floor(random() * 7)::int], 6)
    FROM generate_series(1, $1::int) AS n
    JOIN LATERAL (SELECT 1 + (n::bigint * 7919) % $2::bigint AS id) AS picked ON true
    JOIN carbon_report_modules AS module ON module.id = picked.id
    JOIN carbon_reports AS report ON report.id = module.carbon_report_id
    JOIN LATERAL (
        SELECT ids[1 + n % array_length(ids, 1)] AS id
        FROM (SELECT ($3::jsonb ->> module.module_type_id::text)::int[] AS ids) AS of_module
    ) AS entry_type ON true
"""


async def add_others(conn: "asyncpg.Connection[Any]", rows: int) -> None:
    """Add rows of others to the table."""
    types: dict[int, list[int]] = {}
    for entry in ENTRY_TYPES.values():
        types.setdefault(entry.module_type_id, []).append(entry.id)
    types_as_json = ", ".join(
        f'"{module}": "{{{",".join(map(str, ids))}}}"' for module, ids in types.items()
    )
    modules = await conn.fetchval("SELECT max(id) FROM carbon_report_modules")
    await conn.execute(_OTHERS, rows, modules, f"{{{types_as_json}}}", timeout=3600)
    await conn.execute("VACUUM ANALYZE data_entries", timeout=3600)


async def timed(
    client: JobClient, conn: "asyncpg.Connection[Any]", path: Path, ids: "count[int]", runs: int
) -> float:
    """The median seconds of replacing a file's rows by as many."""
    await client.timed(message(path, next(ids)))
    times = []
    for _ in range(runs):
        await settle(conn)
        times.append((await client.timed(message(path, next(ids))))[0])
    return median(times)


async def sweep(
    running: Servers, others: int, files: dict[int, tuple[int, int]], runs: int
) -> dict[int, float]:
    """Time the replace of each file on a table with `others` rows of others.

    `files` gives rows and modules of each file by a key; the result gives seconds by that key.
    """
    async with running.database(units=MANY_UNITS) as (url, conn):
        if others:
            await add_others(conn, others)
        settings = settings_of(running, url)
        root = Path(settings.storage.root.removeprefix("file://"))
        ids, seconds = count(1000), {}
        async with workers(settings, running.home), connected_client(settings) as client:
            for key, (rows, modules) in files.items():
                path = write_purchases(root / f"{key}.csv", rows, units=modules)
                seconds[key] = await timed(client, conn, path, ids, runs)
                what = f"{rows:,} rows, {modules:,} modules, {others:,} rows of others"
                tell(f"{what}: {seconds[key]:.2f} s")
                path.unlink()
        return seconds


def straight_line(points: dict[int, float]) -> tuple[float, float, float]:
    """Fit a line; return its start, its slope, and the largest factor by which a point is off.

    The line minimises the relative errors.
    """
    x, y = np.array(list(points), dtype=float), np.array(list(points.values()))
    (start, slope), *_ = np.linalg.lstsq(
        np.stack([1 / y, x / y], axis=1), np.ones_like(y), rcond=None
    )
    off = y / (start + slope * x)
    return float(start), float(slope), float(max(off.max(), 1 / off.min()))


async def main(sizes: list[int], modules: list[int], others: list[int], runs: int) -> None:
    measurement = Measurement(
        "P7",
        "How the time grows",
        "itself: a straight line in the file's rows, flat in the table's",
    )
    with servers() as running:
        by_rows = await sweep(running, 0, {rows: (rows, UNITS) for rows in sizes}, runs)
        by_modules = await sweep(
            running, 0, {number: (FIXED_ROWS, number) for number in modules}, runs
        )
        by_others = {}
        for number in others:
            seconds_of_file = await sweep(running, number, {1: (FIXED_ROWS, UNITS)}, runs)
            by_others[number] = seconds_of_file[1]
    start, slope, off = straight_line(by_rows)
    flat = max(by_others.values()) / by_others[min(others)]
    measurement.figures = [
        Figure("off a straight line in the file's rows", off, WITHIN, at_least=False, unit="x"),
        Figure("fullest table against the emptiest", flat, WITHIN, at_least=False, unit="x"),
    ]
    measurement.notes.append(f"The line: {start * 1000:.0f} ms and {slope * 1e6:.1f} µs a row.")
    measurement.facts = [["rows of the file", "modules", "rows of others", "seconds", "µs a row"]]
    measured = [(rows, UNITS, 0, seconds) for rows, seconds in by_rows.items()]
    measured += [(FIXED_ROWS, number, 0, seconds) for number, seconds in by_modules.items()]
    measured += [(FIXED_ROWS, UNITS, number, seconds) for number, seconds in by_others.items()]
    for rows, number, held, seconds in measured:
        measurement.facts.append(
            [
                f"{rows:,}",
                f"{number:,}",
                f"{held:,}",
                f"{seconds:.2f}",
                f"{seconds / rows * 1e6:.1f}",
            ]
        )
    line = [(float(x), start + slope * x) for x in by_rows]
    measurement.curves = [
        Curve(
            "rows",
            "rows of the file",
            "seconds",
            {"measured": _points(by_rows), "line": line},
            logarithmic=True,
        ),
        Curve(
            "modules",
            f"modules of {FIXED_ROWS:,} rows",
            "seconds",
            {"measured": _points(by_modules)},
        ),
        Curve("others", "rows of others in the table", "seconds", {"measured": _points(by_others)}),
    ]
    measurement.keep()


def _points(seconds_by_size: dict[int, float]) -> list[tuple[float, float]]:
    return [(float(size), seconds) for size, seconds in seconds_by_size.items()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000, 300_000])
    parser.add_argument("--modules", type=int, nargs="+", default=[1, 10, 100, 500, 1000, 2500])
    parser.add_argument("--others", type=int, nargs="+", default=[0, 1_000_000])
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    asyncio.run(main(asked.rows, asked.modules, asked.others, asked.runs))
