"""Workers that are killed: at every named point of a job, and at any moment under load."""

import asyncio
import signal
import time
from collections.abc import Callable
from random import Random

import pytest

from service.crash import POINTS
from service.domain.provider_types import ProviderType
from tests.faults.conftest import OpenTrial
from tests.faults.report import Measured
from tests.support.load import SentUpload
from tests.support.trial import Trial
from tests.support.until import until
from tests.support.worker import Process

RECOVERY = 15.0
"""Seconds until work must go on."""

RECOVERY_UNDER_LOAD = 40.0
"""The same while four trials share two processors."""

Scale = Callable[[float, float], float]

CSV_PER_YEAR = ProviderType.CSV_MODULE_PER_YEAR


@pytest.mark.fault("F1")
async def test_a_worker_killed_at_any_point_loses_and_doubles_nothing(
    seed: int, open_trial: OpenTrial, measured: Measured, scale: Scale
) -> None:
    at_once = asyncio.Semaphore(int(scale(4, 2)))

    async def kill_at(point: str) -> None:
        async with at_once, open_trial(seed=seed) as trial:
            seconds = await _killed_at(point, Random(f"{point} {seed}"), trial, measured)
            assert seconds < scale(RECOVERY_UNDER_LOAD, RECOVERY), (
                f"back at work only after {seconds:.1f} s"
            )

    ended = await asyncio.gather(*map(kill_at, POINTS), return_exceptions=True)
    broken = [f"{point}: {error!r}" for point, error in zip(POINTS, ended, strict=True) if error]
    assert not broken, "\n".join(broken)


async def _killed_at(point: str, draw: Random, trial: Trial, measured: Measured) -> float:
    """Kill a worker at a point; return the seconds until work goes on.

    There are three jobs of several chunks on the same scopes, and a poison record before each.
    """
    for _ in range(3):
        await trial.send_value(CSV_PER_YEAR, b"{", key=b"one partition")
        await trial.send(
            trial.load.upload(CSV_PER_YEAR, type_id=60, rows=600), key=b"one partition"
        )
    with trial.working(crash_at=f"{point}:{draw.randint(1, 3)}") as worker:
        await until(
            lambda: worker.exit_code is not None, within=30, what=f"the worker is dead at {point}"
        )
        assert worker.exit_code == -signal.SIGKILL, trial.tail()
    died, before = time.monotonic(), await trial.finished()
    with trial.working():
        await until(lambda: _goes_on(trial, before), within=60, what="work goes on")
        seconds = time.monotonic() - died
        await trial.drained(within=60)
        measured.round(await trial.examine(), seconds=seconds)
    return seconds


async def _goes_on(trial: Trial, before: int) -> bool:
    return await trial.finished() > min(before, 5)


@pytest.mark.fault("F2")
async def test_random_kills_under_load_lose_and_double_nothing(
    open_trial: OpenTrial, measured: Measured, scale: Scale
) -> None:
    lasting, jobs = scale(15, 300), int(scale(120, 2000))
    async with open_trial() as trial:
        workers = [trial.worker() for _ in range(3)]
        uploads = trial.load.uploads(jobs)
        deliveries = list(trial.load.deliveries(uploads, duplicates=0.2))
        try:
            for worker in workers:
                worker.start()
            sending = asyncio.create_task(_send_slowly(trial, deliveries, lasting))
            kills = await _kill_at_random(trial, workers, lasting)
            await sending
            calm = time.monotonic()
            await trial.drained(within=120)
            seconds = time.monotonic() - calm
        finally:
            for worker in workers:
                worker.kill()
        measured.round(await trial.examine(), seconds=seconds, times=kills)


async def _send_slowly(
    trial: Trial, deliveries: list[tuple[SentUpload, bytes]], lasting: float
) -> None:
    for upload, key in deliveries:
        await trial.send(upload, key=key)
        await asyncio.sleep(lasting / len(deliveries))


async def _kill_at_random(trial: Trial, workers: list[Process], lasting: float) -> int:
    """Kill random workers and start them again, some after a clean stop; return how often."""
    draw, end, kills = trial.load.random, time.monotonic() + lasting, 0
    while time.monotonic() < end:
        await asyncio.sleep(draw.uniform(2, 9))
        worker = draw.choice(workers)
        worker.send(draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
        await until(
            lambda worker=worker: worker.exit_code is not None,
            within=40,
            what="the worker has ended",
        )
        worker.start()
        kills += 1
    return kills
