r"""P8: ten replaces in a row of the same rows, without a VACUUM in between, beside plain psql.

`python -m bench.repeats [--rows 1000000] [--repeats 10]`
"""

import argparse
import asyncio
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.peers import psql
from bench.support.files import message, places, write_purchases, write_ready_made
from bench.support.job_client import connected_client
from bench.support.result import Curve, Figure, Measurement, median, tell
from bench.support.servers import servers
from bench.support.workers import settings_of, workers

if TYPE_CHECKING:
    import asyncpg

UNITS = 500
MORE = 1.15
"""The largest factor by which the service may drift more than psql."""


async def sizes(conn: "asyncpg.Connection[Any]") -> tuple[float, float]:
    """The table and its indexes, in MB."""
    table, whole = await conn.fetchrow(
        "SELECT pg_table_size('data_entries') / 1e6, pg_total_relation_size('data_entries') / 1e6"
    ) or (0, 0)
    return float(table), float(whole) - float(table)


def drift(times: list[float]) -> float:
    """The median of the last third of the replaces, divided by the first one."""
    return median(times[-(len(times) // 3) :]) / times[0]


async def main(rows: int, repeats: int) -> None:
    measurement = Measurement(
        "P8",
        f"{repeats} replaces in a row of the same {rows:,} rows",
        "the drift of plain psql, plus 15 %",
    )
    ours, theirs = [], []
    with servers() as running:
        async with (
            running.database(units=UNITS) as (url, conn),
            running.database(units=UNITS) as (other_url, other),
        ):
            settings = settings_of(running, url)
            root = Path(settings.storage.root.removeprefix("file://"))
            file = write_purchases(root / "file.csv", rows, units=UNITS)
            known = await places(other)
            ready_made = write_ready_made(file, running.home / "file.copy", known, job_id=1)
            modules = sorted(place.module_id for place in known.values())
            ids = count(1000)
            async with workers(settings, running.home), connected_client(settings) as client:
                await client.timed(message(file, next(ids)))
                psql.replace(other_url, ready_made, modules)
                before = [await sizes(conn), await sizes(other)]
                for run in range(1, repeats + 1):
                    ours.append((await client.timed(message(file, next(ids))))[0])
                    theirs.append(psql.replace(other_url, ready_made, modules))
                    latest = f"service {ours[-1]:.2f} s, psql {theirs[-1]:.2f} s"
                    tell(f"replace {run} of {repeats}: {latest}")
                after = [await sizes(conn), await sizes(other)]
    more = drift(ours) / drift(theirs)
    measurement.figures.append(Figure("drift against psql's", more, MORE, at_least=False, unit="x"))
    measurement.facts = [
        ["", "first", "last third", "drift", "table, indexes at first", "table, indexes at last"]
    ]
    for name, times, first, last in (
        ("service", ours, before[0], after[0]),
        (r"psql \copy", theirs, before[1], after[1]),
    ):
        late = median(times[-(len(times) // 3) :])
        held = [f"{table:.0f} MB, {indexes:.0f} MB" for table, indexes in (first, last)]
        measurement.facts.append(
            [name, f"{times[0]:.2f} s", f"{late:.2f} s", f"{drift(times):.2f}", *held]
        )
    measurement.curves = [
        Curve(
            "repeats",
            "replace",
            "seconds",
            {
                name: [(float(number), seconds) for number, seconds in enumerate(times, 1)]
                for name, times in (("service", ours), ("psql", theirs))
            },
        )
    ]
    measurement.keep()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=10)
    asked = parser.parse_args()
    asyncio.run(main(asked.rows, asked.repeats))
