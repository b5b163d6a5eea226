"""PostgreSQL and Kafka go away and come back: nothing is parked or lost, and work goes on."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service.demo.postgres import EmbeddedPostgres
from service.domain.provider_types import ProviderType
from service.settings import RetrySettings
from tests.faults.conftest import OpenTrial
from tests.faults.report import Measured
from tests.support.apache import ApacheKafka
from tests.support.parts import Kafka
from tests.support.trial import Trial
from tests.support.until import until
from tests.support.worker import PARTITIONS, Process

CSV_PER_YEAR = ProviderType.CSV_MODULE_PER_YEAR
UNREADY_WITHIN, WORKING_WITHIN, CONSUMING_WITHIN = 5.0, 10.0, 30.0

Scale = Callable[[float, float], float]


@pytest.mark.fault("F7")
async def test_a_database_that_was_away_costs_nothing_but_time(
    own_postgres: EmbeddedPostgres,
    own_database: str,
    real_kafka: Kafka,
    topic_prefix: str,
    tmp_path: Path,
    measured: Measured,
    scale: Scale,
) -> None:
    patience = RetrySettings().model_dump()  # as in production: this test is about the pauses
    opened = Trial.open(
        own_database, real_kafka.bootstrap_servers, tmp_path, topic_prefix, retry=patience
    )
    async with opened as trial:
        with trial.working() as worker:
            await worker.ready()
            await trial.send(*trial.load.uploads(10))
            await trial.drained(within=30)
            async with _always_live(worker):
                own_postgres.kill()
                await trial.send(*trial.load.uploads(int(scale(30, 500))))
                await until(
                    lambda: _is_unready(worker), within=UNREADY_WITHIN, what="the worker is unready"
                )
                # The fault itself; longer than the stall detector is patient.
                await asyncio.sleep(scale(20, 300))
                before = await _start_again(own_postgres, trial)
                returned = time.monotonic()
                await until(
                    lambda: _is_above(trial, before), within=WORKING_WITHIN, what="a job has ended"
                )
                seconds = time.monotonic() - returned
                await trial.drained(within=120)
            assert worker.exit_code is None
            findings = await trial.examine()
    measured.round(findings, seconds=seconds)
    assert findings.parked == 0


@asynccontextmanager
async def _always_live(worker: Process) -> AsyncIterator[None]:
    """Ask four times a second whether the worker is live; fail if it ever was not."""
    answers: list[int] = []

    async def ask() -> None:
        while True:
            answers.append(await worker.health("live"))
            await asyncio.sleep(0.25)

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        asking.cancel()
    assert set(answers) == {200}, answers


async def _is_unready(worker: Process) -> bool:
    return await worker.health("ready") == 503


async def _start_again(postgres: EmbeddedPostgres, trial: Trial) -> int:
    """Start the database again; return how many jobs had ended by then."""
    await asyncio.to_thread(postgres.start)
    return await trial.ended()


async def _is_above(trial: Trial, before: int) -> bool:
    return await trial.ended() > before


@pytest.mark.fault("F12")
@pytest.mark.parametrize("how", [pytest.param("frozen", marks=pytest.mark.full), "killed"])
async def test_no_worker_is_a_zombie_after_the_broker_comes_back(
    how: str, own_kafka: ApacheKafka, open_trial: OpenTrial, measured: Measured, scale: Scale
) -> None:
    async with open_trial(bootstrap_servers=own_kafka.bootstrap_servers) as trial:
        workers = [trial.worker() for _ in range(PARTITIONS)]
        try:
            for worker in workers:
                worker.start()
            await asyncio.gather(*(worker.ready() for worker in workers))
            await _to_every_partition(trial)
            await trial.drained(within=60)
            take_away = _freeze if how == "frozen" else _kill
            await take_away(own_kafka, scale(12, 60))
            returned = time.monotonic()
            await _to_every_partition(trial)
            await _all_consume(trial, workers)
            seconds = time.monotonic() - returned
            assert seconds < CONSUMING_WITHIN, f"{seconds:.1f} s\n{trial.tail()}"
        finally:
            for worker in workers:
                worker.kill()
        measured.round(await trial.examine(), seconds=seconds)


async def _to_every_partition(trial: Trial) -> None:
    """One job for each partition, so that every member of the group has something to do."""
    for number in range(PARTITIONS):
        upload = trial.load.upload(CSV_PER_YEAR)
        trial.uploads[upload.job_id] = upload
        await trial.send_value(CSV_PER_YEAR, upload.message, partition=number)


async def _freeze(kafka: ApacheKafka, lasting: float) -> None:
    kafka.pause()
    await asyncio.sleep(lasting)
    kafka.resume()


async def _kill(kafka: ApacheKafka, lasting: float) -> None:
    kafka.kill()
    await asyncio.sleep(lasting / 3)
    await asyncio.to_thread(kafka.start)


async def _all_consume(trial: Trial, workers: list[Process]) -> None:
    """Wait until every partition is consumed and every worker is ready.

    A worker that gave up is started again, as an orchestrator would.
    """

    async def is_well(worker: Process) -> Any:
        if worker.exit_code is not None:
            assert worker.exit_code != 0, "a worker that gives up says so by its exit code"
            worker.start()
        return await worker.health("ready") == 200

    async def all_are_well() -> bool:
        return all(await asyncio.gather(*map(is_well, workers)))

    await trial.drained(within=CONSUMING_WITHIN)
    await until(all_are_well, within=CONSUMING_WITHIN, what="every worker is ready")
