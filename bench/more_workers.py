"""P4: the jobs of P3 with one, two and four workers in one group, and who uses the cores.

`python -m bench.more_workers [--jobs 2000] [--runs 5]`
"""

import argparse
import asyncio
import os
import time

from bench.support.result import Curve, Figure, Measurement, median, ratio_of_pairs, spread, tell
from bench.support.servers import Servers, servers
from bench.support.small_jobs import ROWS, SCOPES, RunningSystem, running_service
from bench.support.workers import cpu_seconds

GOAL = 1.5
COUNTS = (1, 2, 4)
FULL = 0.9
"""The share of all processor time above which another worker finds no free core."""


def used(running: Servers, system: RunningSystem) -> dict[str, float]:
    """Processor seconds that each part has used so far."""
    pids = [worker.process.pid for worker in system.processes if worker.process]
    return {
        "workers": sum(map(cpu_seconds, pids)),
        "PostgreSQL": cpu_seconds(running.postgres.pid),
        "Kafka": cpu_seconds(running.kafka.pid),
        "client": time.process_time(),
    }


async def main(jobs: int, runs: int) -> None:
    measurement = Measurement(
        "P4", f"{jobs:,} jobs of {ROWS} rows over {SCOPES} scopes, more workers", "one worker"
    )
    times: dict[int, list[float]] = {count: [] for count in COUNTS}
    shares: dict[int, list[dict[str, float]]] = {count: [] for count in COUNTS}
    with servers() as running:
        for run in range(1, runs + 1):
            for count in COUNTS:
                # a system for each count: idle workers of another one would use processor time too
                async with running_service(running, count) as system:
                    before = used(running, system)
                    times[count].append(await system.run(jobs))
                    after = used(running, system)
                available = times[count][-1] * (os.cpu_count() or 1)
                shares[count].append(
                    {name: (after[name] - before[name]) / available for name in after}
                )
            latest = ", ".join(f"{count}: {jobs / times[count][-1]:.0f} jobs/s" for count in COUNTS)
            tell(f"run {run} of {runs}: {latest}")
    measurement.figures = [
        Figure(
            f"{count} workers", ratio_of_pairs(times[count], times[1]), GOAL if count == 2 else None
        )
        for count in COUNTS[1:]
    ]
    names = list(shares[1][0])
    measurement.facts = [
        ["workers", "time", "jobs/s", *(f"{name}, share of the machine" for name in names), "all"]
    ]
    for count in COUNTS:
        parts = [median([share[name] for share in shares[count]]) for name in names]
        speed = f"{jobs / median(times[count]):.0f}"
        measurement.facts.append(
            [
                str(count),
                spread(times[count]),
                speed,
                *(f"{part:.0%}" for part in (*parts, sum(parts))),
            ]
        )
    busy = {name: median([share[name] for share in shares[2]]) for name in names}
    if sum(busy.values()) >= FULL:
        users = ", ".join(f"{name} {part:.0%}" for name, part in busy.items())
        measurement.excuse = f"all {os.cpu_count()} cores full ({users})"
    points = [(float(count), jobs / median(times[count])) for count in COUNTS]
    measurement.curves = [Curve("workers", "workers", "jobs per second", {"service": points})]
    measurement.keep()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    asyncio.run(main(asked.jobs, asked.runs))
