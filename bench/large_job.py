r"""P1 and P2: one large job from its message to its event, against `psql \copy`; and its memory.

`python -m bench.large_job [--rows 100000 1000000] [--units 500] [--runs 5]`
"""

import argparse
import asyncio
from itertools import count
from pathlib import Path

from bench.peers import psql
from bench.support.files import message, places, write_purchases, write_ready_made
from bench.support.job_client import connected_client
from bench.support.result import Figure, Measurement, median, ratio_of_pairs, spread, tell
from bench.support.servers import Servers, servers, settle
from bench.support.workers import forget_peak, memory, peak_memory, settings_of, workers

P1_GOAL, P2_GOAL = 1.0, 60.0


async def measure(
    with_: Servers, rows: int, units: int, runs: int, speed: Measurement, space: Measurement
) -> None:
    """Run the service and psql in turn, each on its own table; add the results to the two rows.

    On a shared table, each side would delete the rows of the other, in the other's order.
    """
    async with (
        with_.database(units=units) as (url, conn),
        with_.database(units=units) as (other_url, other),
    ):
        settings = settings_of(with_, url)
        root = Path(settings.storage.root.removeprefix("file://"))
        file = write_purchases(root / f"{rows}.csv", rows, units=units)
        known = await places(conn)
        ready_made = write_ready_made(file, with_.home / f"{rows}.copy", known, job_id=1)
        modules = sorted(place.module_id for place in known.values())
        warm_up = write_purchases(root / "small.csv", 100, units=units)
        ids = count(1000)
        ours, theirs, grown = [], [], []
        async with workers(settings, with_.home) as (worker,), connected_client(settings) as client:
            await client.timed(message(warm_up, next(ids)))
            idle = memory(worker)
            await client.timed(message(file, next(ids)))
            psql.replace(other_url, ready_made, modules)
            for run in range(1, runs + 1):
                await settle(conn)
                forget_peak(worker)
                ours.append((await client.timed(message(file, next(ids))))[0])
                grown.append(peak_memory(worker) - idle)
                await settle(other)
                theirs.append(psql.replace(other_url, ready_made, modules))
                latest = f"service {ours[-1]:.2f} s, psql {theirs[-1]:.2f} s"
                tell(f"{rows:,} rows, run {run} of {runs}: {latest}")
    speed.figures.append(Figure(f"{rows:,} rows", ratio_of_pairs(ours, theirs), P1_GOAL))
    speed.facts.append([f"{rows:,}", spread(ours), spread(theirs), f"{rows / median(ours):,.0f}"])
    space.figures.append(Figure(f"{rows:,} rows", max(grown), P2_GOAL, at_least=False, unit=" MB"))
    space.facts.append(
        [f"{rows:,}", f"{idle:.0f} MB", f"+{median(grown):.1f} MB", f"+{max(grown):.1f} MB"]
    )


async def main(sizes: list[int], units: int, runs: int) -> None:
    speed = Measurement(
        "P1",
        "One large job, replacing as many rows",
        r"`psql \copy` of ready-made rows, same scoped delete",
    )
    speed.facts.append(["rows", "service", r"psql \copy", "rows/s of the service"])
    space = Measurement("P2", "Memory of the worker during P1", "its memory when idle")
    space.facts.append(["rows", "idle", "growth, median", "growth, most"])
    with servers() as running:
        for rows in sizes:
            await measure(running, rows, units, runs, speed, space)
    speed.keep()
    space.keep()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--units", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    asyncio.run(main(asked.rows, asked.units, asked.runs))
