"""P3: many small jobs with one worker, against a bare loop over asyncpg and aiokafka.

`python -m bench.many_jobs [--jobs 2000] [--runs 5]`
"""

import argparse
import asyncio

from bench.support.result import Figure, Measurement, median, ratio_of_pairs, spread, tell
from bench.support.servers import servers
from bench.support.small_jobs import ROWS, SCOPES, running_bare_loop, running_service

GOAL = 0.6


async def main(jobs: int, runs: int) -> None:
    measurement = Measurement(
        "P3",
        f"{jobs:,} jobs of {ROWS} rows over {SCOPES} scopes, one worker",
        "a bare asyncpg and aiokafka loop",
    )
    ours, theirs = [], []
    with servers() as running:
        async with running_service(running) as service, running_bare_loop(running) as bare:
            for run in range(1, runs + 1):
                ours.append(await service.run(jobs))
                theirs.append(await bare.run(jobs))
                service_speed, bare_speed = jobs / ours[-1], jobs / theirs[-1]
                latest = f"service {service_speed:.0f} jobs/s, bare {bare_speed:.0f} jobs/s"
                tell(f"run {run} of {runs}: {latest}")
    measurement.figures.append(Figure("speed", ratio_of_pairs(ours, theirs), GOAL))
    measurement.facts = [["", "time", "jobs/s", "ms a job"]]
    for name, times in (("service", ours), ("bare loop", theirs)):
        each = median(times) / jobs
        measurement.facts.append([name, spread(times), f"{1 / each:.0f}", f"{each * 1000:.1f}"])
    measurement.keep()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    asyncio.run(main(asked.jobs, asked.runs))
