"""A worker that is told to stop, and a job that takes longer than the poll interval."""

import asyncio
import signal
import time

import pytest
from sqlalchemy import text

from service.domain.provider_types import ProviderType
from service.handlers import subscriptions
from tests.faults.conftest import OpenTrial
from tests.faults.report import Measured
from tests.support.apache import ApacheKafka
from tests.support.trial import Trial
from tests.support.until import until
from tests.support.worker import running

CSV_PER_YEAR = ProviderType.CSV_MODULE_PER_YEAR
MARGIN = 2.0
SHORT, LONG = 2.0, 15.0
"""Seconds of grace: shorter and longer than the slow job below."""

SLOW = 6.0


async def slow_down(trial: Trial, seconds: float) -> None:
    """Let the server take that long for every write of entries."""
    await trial.university.execute(f"""
        CREATE OR REPLACE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$;
        CREATE OR REPLACE TRIGGER slowly AFTER INSERT ON data_entries EXECUTE FUNCTION slowly();
    """)


async def hurry(trial: Trial) -> None:
    """Undo `slow_down`."""
    await trial.university.execute("DROP TRIGGER slowly ON data_entries")


async def in_copy(trial: Trial) -> bool:
    """Whether a job is in the middle of its COPY."""
    query = text("""
        SELECT count(*) FROM pg_stat_activity
        WHERE wait_event = 'PgSleep' AND datname = current_database()
    """)
    return bool(await trial.scalar(query))


@pytest.mark.fault("F14")
@pytest.mark.parametrize(
    ("grace", "broker"),
    [
        (SHORT, "down"),
        pytest.param(SHORT, "up", marks=pytest.mark.full),
        pytest.param(SHORT, "frozen", marks=pytest.mark.full),
        pytest.param(LONG, "up", marks=pytest.mark.full),
        pytest.param(LONG, "frozen", marks=pytest.mark.full),
        pytest.param(LONG, "down", marks=pytest.mark.full),
    ],
)
async def test_sigterm_in_mid_job_is_bounded_and_loses_nothing(
    grace: float, broker: str, own_kafka: ApacheKafka, open_trial: OpenTrial, measured: Measured
) -> None:
    async with open_trial(
        bootstrap_servers=own_kafka.bootstrap_servers, shutdown_grace=grace
    ) as trial:
        await slow_down(trial, SLOW)
        with trial.working() as worker:
            await worker.ready()
            await trial.send(trial.load.upload(CSV_PER_YEAR))
            await until(lambda: in_copy(trial), within=20, what="the job is in its COPY")
            if broker == "frozen":
                own_kafka.pause()
            elif broker == "down":
                own_kafka.kill()
            signalled = time.monotonic()
            worker.send(signal.SIGTERM)
            await until(
                lambda: worker.exit_code is not None, within=grace + 10, what="the worker has ended"
            )
            seconds = time.monotonic() - signalled
            assert seconds < grace + MARGIN, f"{seconds:.1f} s\n{trial.tail()}"
        ended = await trial.ended()
        if broker == "frozen":
            own_kafka.resume()
        elif broker == "down":
            await asyncio.to_thread(own_kafka.start)
        if grace == SHORT:
            assert ended == 0
            assert await trial.client.committed(CSV_PER_YEAR) == {}
        elif broker == "up":
            assert worker.exit_code == 0
            assert sum((await trial.client.committed(CSV_PER_YEAR)).values()) == 1
        await until(
            lambda: _nobody_sleeps(trial), within=10, what="the server has given up the job"
        )
        await hurry(trial)
        returned = time.monotonic()
        with trial.working():
            await trial.drained(within=60)
        measured.round(await trial.examine(), seconds=time.monotonic() - returned)


async def _nobody_sleeps(trial: Trial) -> bool:
    return not await in_copy(trial)


@pytest.mark.fault("F13")
async def test_a_job_longer_than_the_poll_interval_is_done_once_while_others_join(
    trial: Trial, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    interval, longest = 3.0, 30.0
    monkeypatch.setattr(subscriptions, "POLL_MARGIN", interval - longest)
    limits = trial.settings.limits.model_copy(update={"job_seconds": longest})
    impatient = trial.settings.model_copy(update={"limits": limits})
    await slow_down(trial, 3 * interval)
    began = time.monotonic()
    async with running(impatient):
        await trial.send(trial.load.upload(CSV_PER_YEAR))
        await until(lambda: in_copy(trial), within=20, what="the job is in its COPY")
        async with running(impatient):
            await trial.drained(within=12 * interval)
            attempts = await _attempts(trial)
    measured.round(await trial.examine(), seconds=time.monotonic() - began)
    assert attempts <= 2


async def _attempts(trial: Trial) -> int:
    return int(await trial.scalar(text("SELECT attempts FROM upload_jobs")))
