"""P9: how long a large job blocks the event loop, and a 50,000-row job in a small pod.

`python -m bench.small_pod [--rows 1000000] [--pod-rows 50000]`
"""

import argparse
import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvloop

from bench.support.files import message, write_purchases
from bench.support.job_client import connected_client
from bench.support.pod import pod
from bench.support.result import Figure, Measurement, tell
from bench.support.servers import Servers, servers
from bench.support.workers import peak_memory, settings_of, workers
from tests.support.worker import Process, running

GAP_GOAL, ANSWER_GOAL = 100.0, 1.0
UNITS = 500
SLEEP_SECONDS = 0.001
"""How long one sleep is meant to take; the page calls each sleep a beat of the event loop."""


@asynccontextmanager
async def measured_event_loop(gaps: list[float]) -> AsyncIterator[None]:
    """Sleep again and again while the body runs; add to `gaps` how late each sleep ended, in ms.

    A sleep ends late when something blocks the event loop of this process.
    """

    async def sleep_and_measure() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(SLEEP_SECONDS)
            gaps.append((time.perf_counter() - before - SLEEP_SECONDS) * 1000)

    measuring = asyncio.create_task(sleep_and_measure())
    try:
        yield
    finally:
        measuring.cancel()
        await asyncio.wait({measuring})


async def full_core(with_: Servers, rows: int) -> tuple[list[float], float]:
    """Return the gaps of a worker's event loop during a job, in ms, and the job's seconds.

    The worker runs in this process.
    """
    gaps: list[float] = []
    async with with_.database(units=UNITS) as (url, _):
        settings = settings_of(with_, url)
        path = write_purchases(
            Path(settings.storage.root.removeprefix("file://")) / "large.csv", rows, units=UNITS
        )
        async with connected_client(settings) as client, running(settings):
            await client.timed(message(path, 1))
            gc.collect()
            gc.freeze()  # as `uploads serve` does
            async with measured_event_loop(gaps):
                seconds, _event = await client.timed(message(path, 2))
    return sorted(gaps), seconds


async def small_pod(with_: Servers, rows: int) -> tuple[float, float, float, int, str]:
    """Run a job in a pod.

    Return the seconds of the job and of the slowest answer of `/health/live`, the peak memory in
    MB, the number of answers, and how the pod is made.
    """
    async with with_.database(units=UNITS) as (url, _):
        settings = settings_of(with_, url)
        path = write_purchases(
            Path(settings.storage.root.removeprefix("file://")) / "pod.csv", rows, units=UNITS
        )
        async with workers(settings, with_.home) as (worker,), connected_client(settings) as client:
            assert worker.process is not None
            with pod(worker.process.pid) as how:
                answers: list[float] = []
                asking = asyncio.create_task(ask(worker, answers))
                seconds, _event = await client.timed(message(path, 1))
                asking.cancel()
                await asyncio.wait({asking})
            return seconds, max(answers), peak_memory(worker), len(answers), how


async def ask(worker: Process, answers: list[float]) -> None:
    """Ask again and again whether the worker is live, each time over a new connection."""
    while True:
        before = time.perf_counter()
        async with httpx.AsyncClient(timeout=30) as client:
            (await client.get(f"http://127.0.0.1:{worker.port}/health/live")).raise_for_status()
        answers.append(time.perf_counter() - before)
        await asyncio.sleep(0.05)


async def main(rows: int, pod_rows: int) -> None:
    measurement = Measurement(
        "P9", "The event loop during a large job, and a job in a small pod", "100 ms; 1 s"
    )
    with servers() as started:
        gaps, whole = await full_core(started, rows)
        tell(f"{rows:,} rows in {whole:.1f} s, the longest gap {gaps[-1]:.0f} ms")
        seconds, longest, peak, asked, how = await small_pod(started, pod_rows)
        slowest = f"the slowest answer after {longest:.2f} s"
        tell(f"{pod_rows:,} rows in the pod in {seconds:.1f} s, {slowest}")
    measurement.figures = [
        Figure("longest gap of the event loop", gaps[-1], GAP_GOAL, at_least=False, unit=" ms"),
        Figure(
            "slowest answer of /health/live in the pod",
            longest,
            ANSWER_GOAL,
            at_least=False,
            unit=" s",
        ),
    ]
    measurement.facts = [
        ["", "seconds", "longest", "99.9 %", "what was watched"],
        [
            f"{rows:,} rows, full core",
            f"{whole:.2f}",
            f"{gaps[-1]:.1f} ms",
            f"{gaps[int(len(gaps) * 0.999)]:.1f} ms",
            f"{len(gaps):,} beats of the event loop",
        ],
        [
            f"{pod_rows:,} rows, pod",
            f"{seconds:.2f}",
            f"{longest * 1000:.0f} ms",
            "",
            f"{asked:,} answers of /health/live",
        ],
    ]
    measurement.notes = [f"The pod: {how}. The worker's peak in it was {peak:.0f} MB."]
    measurement.keep()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pod-rows", type=int, default=50_000)
    asked = parser.parse_args()
    uvloop.run(main(asked.rows, asked.pod_rows))
