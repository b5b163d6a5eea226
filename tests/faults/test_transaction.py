"""The one transaction: jobs at once, in opposite order, cancelled anywhere, cut off in COMMIT."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from types import coroutine
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.app import engine_of
from service.domain.model import Outcome
from service.domain.provider_types import ProviderType
from tests.faults.conftest import OpenTrial
from tests.faults.report import Measured
from tests.support.jobs import Jobs
from tests.support.load import REPLACING, Load, SentUpload
from tests.support.tcp_proxy import TcpProxy
from tests.support.trial import Trial
from tests.support.university import UNITS, University
from tests.support.until import until
from tests.support.worker import running, settings_for

CSV_PER_YEAR = ProviderType.CSV_MODULE_PER_YEAR
API_PER_YEAR = ProviderType.API_MODULE_PER_YEAR

Scale = Callable[[int, int], int]

_IDLE = text("""
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND state LIKE 'idle in transaction%'
      AND pid <> pg_backend_pid()
""")
_IN_TRANSACTION = text("""
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
""")
_DEADLOCKS = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")


@pytest.fixture
def engine(database: str, tmp_path: Path) -> AsyncEngine:
    """The engine of a worker, with a worker's settings."""
    return engine_of(settings_for(database, "nowhere:9092", tmp_path, "unused"))


@pytest.fixture
async def load(engine: AsyncEngine, tmp_path: Path) -> Any:
    """A load, the jobs that run it, and its own university."""
    university = await University.seed(engine)
    jobs = Jobs(engine, tmp_path)
    yield Load(university, jobs, seed=1), jobs, university
    await engine.dispose()


@pytest.mark.fault("F3")
async def test_jobs_at_once_on_one_scope_never_mix_and_the_newest_wins(
    load: Any, measured: Measured, scale: Scale
) -> None:
    generator, jobs, university = load
    for _ in range(scale(60, 2000)):
        provider_type, type_id = generator.random.choice(REPLACING), 60
        several = [
            generator.upload(provider_type, type_id=type_id, rows=6)
            for _ in range(generator.random.randint(2, 4))
        ]
        generator.random.shuffle(several)
        events = await jobs.run_at_once(*((one.provider_type, one.message) for one in several))
        outcomes = {event["job_id"]: Outcome(event["outcome"]) for event in events}
        assert outcomes[max(outcomes)].changes_rows
        applied = [one for one in several if outcomes[one.job_id].changes_rows]
        _check_scopes(measured, applied, await university.scopes())
        measured.round()
        await university.clear()


def _check_scopes(measured: Measured, applied: list[SentUpload], scopes: Any) -> None:
    """Every scope holds the rows of the newest applied job that has rows for it."""
    newest: dict[Any, SentUpload] = {}
    there = {
        scope: Counter(entry.data["name"] for entry in entries) for scope, entries in scopes.items()
    }
    for upload in sorted(applied, key=lambda one: one.job_id):
        newest |= dict.fromkeys(upload.scopes, upload)
    for scope, upload in newest.items():
        expected = Counter(upload.scopes[scope])
        measured.lost += (expected - there.get(scope, Counter())).total()
        measured.doubled += (there.get(scope, Counter()) - expected).total()
        assert there.get(scope) == expected, (
            f"{scope} holds {there.get(scope)}, expected job {upload.job_id}'s"
        )


@pytest.mark.fault("F4")
async def test_jobs_over_the_same_scopes_in_opposite_order_never_deadlock(
    load: Any, engine: AsyncEngine, measured: Measured, scale: Scale
) -> None:
    generator, jobs, _ = load
    for _ in range(scale(40, 1250)):
        orders = [
            list(UNITS),
            list(reversed(UNITS)),
            generator.random.sample(UNITS, 3),
            generator.random.sample(UNITS, 3),
        ]
        several = [
            generator.upload(API_PER_YEAR, type_id=60, units=order, rows=3) for order in orders
        ]
        await jobs.deliver_at_once(*((one.provider_type, one.message) for one in several))
        measured.round(times=len(several))
    async with engine.connect() as conn:
        assert await conn.scalar(_DEADLOCKS) == 0


@pytest.mark.fault("F16")
async def test_a_job_cancelled_at_any_await_leaves_no_connection_behind(
    load: Any, engine: AsyncEngine, measured: Measured, scale: Scale
) -> None:
    generator, jobs, university = load
    # a job without a cancel opens the pool
    await _cancelled_at(10**6, jobs, generator.upload(CSV_PER_YEAR, rows=400))
    awaits = 1
    furthest = ended = 0
    rows, other_rows = 40, 1500  # 40 rows are read on the event loop, 1,500 in a thread
    for _ in range(scale(100, 1000)):
        upload = generator.upload(CSV_PER_YEAR, type_id=60, rows=rows)
        cancelled = await _cancelled_at(awaits, jobs, upload)
        awaits, furthest = (awaits + 1 if cancelled else 1), max(awaits, furthest)
        if not cancelled:
            ended, rows, other_rows = ended + 1, other_rows, rows
        await until(
            lambda: engine.pool.checkedout() == 0, within=5, what="every connection is back"
        )
        async with engine.connect() as conn:
            assert await conn.scalar(_IDLE) == 0, (
                f"idle in transaction after a cancel at await {awaits}"
            )
        await jobs.deliver(upload.provider_type, upload.message)
        _check_scopes(
            measured,
            [upload],
            {s: e for s, e in (await university.scopes()).items() if s in upload.scopes},
        )
        measured.round()
    assert furthest > 10, "a job awaits more often than that"
    assert ended >= 2, (
        "jobs of both sizes were cancelled at their first await, their second, … their last"
    )


async def _cancelled_at(awaits: int, jobs: Jobs, upload: SentUpload) -> bool:
    """Run a job and cancel it at its n-th await, `awaits`; return False if it ended before."""
    task: asyncio.Task[Any] = asyncio.create_task(
        _stopping(jobs.deliver(upload.provider_type, upload.message), awaits)
    )
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


@coroutine
def _stopping(awaited: Any, at: int) -> Generator[Any, None, Any]:
    """Drive a coroutine as `await` does, and cancel its task at suspension number `at`."""
    task, count, steps = asyncio.current_task(), 0, awaited.__await__()
    assert task is not None
    step: Callable[[], Any] = lambda: next(steps)
    while True:
        try:
            waiting_for = step()
        except StopIteration as end:
            return end.value
        count += 1
        if count == at:
            asyncio.get_running_loop().call_soon(task.cancel)
        try:
            yield waiting_for
        except BaseException as error:  # noqa: BLE001 - the coroutine handles all of them
            step = lambda error=error: steps.throw(error)
        else:
            step = lambda: next(steps)


@pytest.mark.fault("F17")
@pytest.mark.parametrize(
    "after", [False, True], ids=["before the server has it", "after the server has it"]
)
async def test_a_connection_cut_during_commit_is_decided_by_the_ledger(
    after: bool, open_trial: OpenTrial, measured: Measured, scale: Scale
) -> None:
    no_sweep = {"sweep_interval": 3600}  # so that every COMMIT is the job's
    async with open_trial(announce=no_sweep) as trial:
        address = urlsplit(trial.settings.database.url.get_secret_value())
        async with TcpProxy(address.hostname or "", address.port or 0) as proxy:
            proxied_url = address._replace(
                netloc=address.netloc.replace(f":{address.port}", f":{proxy.port}")
            ).geturl()
            database = trial.settings.database.model_copy(update={"url": SecretStr(proxied_url)})
            async with running(trial.settings.model_copy(update={"database": database})):
                for _ in range(scale(3, 25)):
                    await _cut_in_commit(trial, proxy, after, measured)
        measured.round(await trial.examine(), times=0)


async def _cut_in_commit(trial: Trial, proxy: TcpProxy, after: bool, measured: Measured) -> None:
    cut = proxy.cut_when(_CommitOfRows(), after=after)
    upload = trial.load.upload(CSV_PER_YEAR, type_id=60, rows=30)
    await trial.send(upload)
    await asyncio.wait_for(cut.wait(), 20)
    await until(lambda: _nobody_writes(trial), within=10, what="the server has noticed")
    has_ended = text("SELECT outcome IS NOT NULL FROM upload_jobs WHERE job_id = :job_id")
    assert await trial.scalar(has_ended.bindparams(job_id=upload.job_id)) is after
    await proxy.mend()
    mended = time.monotonic()
    await trial.drained(within=30)
    measured.round(seconds=time.monotonic() - mended)


async def _nobody_writes(trial: Trial) -> bool:
    return not await trial.scalar(_IN_TRANSACTION)


class _CommitOfRows:
    """Bytes from a client that commit a transaction in which rows were copied."""

    def __init__(self) -> None:
        self._copied = False

    def __call__(self, data: bytes) -> bool:
        self._copied = self._copied or b" FROM STDIN " in data
        return self._copied and b"COMMIT" in data
