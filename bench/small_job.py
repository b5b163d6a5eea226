"""P5: one small job on an idle service: the time until its event, against the bare loop.

`python -m bench.small_job [--jobs 300]`
"""

import argparse
import asyncio
import statistics

from bench.support.result import Figure, Measurement, median
from bench.support.servers import servers
from bench.support.small_jobs import ROWS, running_bare_loop, running_service

GOAL = 4.0


async def main(jobs: int) -> None:
    measurement = Measurement(
        "P5",
        f"One job of {ROWS} rows on an idle service, from produce to event",
        "the bare loop of P3",
    )
    ours, theirs = [], []
    with servers() as running:
        async with running_service(running) as service, running_bare_loop(running) as bare:
            for number in range(jobs):
                ours.append(await service.one(number))
                theirs.append(await bare.one(number))
    measurement.figures.append(
        Figure("median latency", median(ours) / median(theirs), GOAL, at_least=False, unit="x")
    )
    measurement.facts = [["", "median", "p99", "least", "most"]]
    for name, times in (("service", ours), ("bare loop", theirs)):
        p99 = statistics.quantiles(times, n=100)[98]
        measurement.facts.append(
            [
                name,
                *(
                    f"{value * 1000:.1f} ms"
                    for value in (median(times), p99, min(times), max(times))
                ),
            ]
        )
    measurement.keep()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=300)
    asyncio.run(main(parser.parse_args().jobs))
