"""P6: the rows of P1, written by the libraries that people would use instead.

`python -m bench.alternatives [--rows 100000] [--runs 5]`; it needs requirements-bench.lock.
"""

import argparse
import asyncio
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from bench.peers import libraries
from bench.support.files import message, places, write_purchases
from bench.support.job_client import connected_client
from bench.support.result import Figure, Measurement, median, ratio_of_pairs, spread, tell
from bench.support.servers import Servers, servers, settle
from bench.support.workers import settings_of, workers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ORM_GOAL, DLT_GOAL = 8.0, 2.5
UNITS = 500
ORM, DLT = "SQLAlchemy ORM, add_all", ("dlt merge, rows", "dlt merge, arrow")


async def measure(running: Servers, rows: int, runs: int) -> dict[str, list[float]]:
    """Run every method in turn; return its seconds by name. The first round is not counted."""
    async with (
        running.database(units=UNITS) as (url, conn),
        running.database(units=UNITS) as (other_url, other),
    ):
        settings = settings_of(running, url)
        path = write_purchases(
            Path(settings.storage.root.removeprefix("file://")) / "file.csv", rows, units=UNITS
        )
        units, ids = await places(other), count(1000)
        address = other_url.partition("://")[2]
        engine = create_async_engine(f"postgresql+asyncpg://{address}")
        blocking = sa.create_engine(f"postgresql+psycopg2://{address}")
        async with workers(settings, running.home), connected_client(settings) as client:
            methods: dict[str, Callable[[], Awaitable[object]]] = {
                "service": lambda: client.timed(message(path, next(ids))),
                ORM: lambda: libraries.orm(engine, path, units, next(ids)),
                "SQLAlchemy Core, insert": lambda: libraries.core(engine, path, units, next(ids)),
                "pandas to_sql": lambda: asyncio.to_thread(
                    libraries.pandas, blocking, path, units, next(ids)
                ),
                DLT[0]: lambda: asyncio.to_thread(
                    libraries.dlt_rows, running.home, other_url, path, units, next(ids)
                ),
                DLT[1]: lambda: asyncio.to_thread(
                    libraries.dlt_arrow, running.home, other_url, path, units, next(ids)
                ),
            }
            times: dict[str, list[float]] = {name: [] for name in methods}
            for run in range(runs + 1):
                for name, replace in methods.items():
                    await settle(conn)
                    await settle(other)
                    before = time.perf_counter()
                    await replace()
                    if run:
                        times[name].append(time.perf_counter() - before)
                latest = ", ".join(
                    f"{name} {taken[-1]:.2f} s" for name, taken in times.items() if taken
                )
                tell(f"run {run} of {runs}: {latest or 'warmed up'}")
        await engine.dispose()
        blocking.dispose()
        return times


async def main(rows: int, runs: int) -> None:
    measurement = Measurement(
        "P6", f"{rows:,} rows with what people would use instead", "ORM, Core, pandas, dlt"
    )
    with servers() as running:
        times = await measure(running, rows, runs)
    ours = times["service"]
    fastest = min(DLT, key=lambda name: median(times[name]))
    measurement.figures = [
        Figure("against the ORM", ratio_of_pairs(ours, times[ORM]), ORM_GOAL, unit="x"),
        Figure("against dlt's fastest", ratio_of_pairs(ours, times[fastest]), DLT_GOAL, unit="x"),
    ]
    measurement.facts = [["", "time", "the service is faster by"]]
    for name, taken in times.items():
        measurement.facts.append([name, spread(taken), f"{ratio_of_pairs(ours, taken):.1f}x"])
    measurement.notes = [
        "The service's time is the whole way from the message to the event, with every row "
        "checked; the others' is a call in a warm process, with nothing checked. dlt writes into "
        "tables of its own."
    ]
    measurement.keep()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    asyncio.run(main(asked.rows, asked.runs))
