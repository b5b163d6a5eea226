"""Records on a topic: repeats, conflicts, poison in any amount, and bytes that mean nothing."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from sqlalchemy import text

from service.dead_letters.guard import resume_parking
from service.domain.provider_types import ProviderType
from service.kafka.connection import connection_options
from service.kafka.topic_admin import RECORD_BYTES
from tests.faults.report import Measured
from tests.support.trial import Trial
from tests.support.until import until
from tests.support.worker import PARTITIONS, Process, running

CSV_PER_YEAR = ProviderType.CSV_MODULE_PER_YEAR
API_PER_YEAR = ProviderType.API_MODULE_PER_YEAR
GUARD = 20

Scale = Callable[[int, int], int]


@pytest.mark.fault("F6")
async def test_an_id_with_other_content_is_a_conflict_and_a_repeat_is_none(
    trial: Trial, measured: Measured, scale: Scale
) -> None:
    draw, uploads = trial.load.random, trial.load.uploads(scale(25, 400))
    conflicting = draw.sample(uploads, 8)
    repeats = [upload for upload in uploads for _ in range(draw.randint(0, 4))]
    draw.shuffle(repeats)
    async with running(trial.settings), running(trial.settings):
        await trial.send(*uploads)
        for upload in repeats:
            await trial.send_value(
                upload.provider_type, upload.message, partition=draw.randrange(PARTITIONS)
            )
        await trial.drained(within=120)
        for upload in conflicting:
            await trial.send_value(upload.provider_type, trial.load.conflicting(upload))
        await trial.drained(within=60)
    findings = await trial.examine()
    measured.round(findings, times=len(uploads))
    assert await _codes(trial) == ["job_id_conflict"] * len(conflicting)


@pytest.mark.fault("F9")
async def test_nothing_but_poison_stops_at_the_guard_and_drops_nothing(
    trial: Trial, measured: Measured, scale: Scale
) -> None:
    poison = scale(50, 1000)
    for _ in range(poison):
        await trial.send_value(CSV_PER_YEAR, b"poison", key=b"one partition")
    await trial.send(trial.load.upload(CSV_PER_YEAR), key=b"one partition")
    with trial.working() as worker:
        for allowed in range(GUARD, poison + GUARD, GUARD):
            parked = min(allowed, poison)
            await until(
                lambda parked=parked: _has_parked(trial, parked),
                within=30,
                what=f"{parked} are parked",
            )
            if parked < poison:
                await _stops(trial, worker, parked)
                await resume_parking(trial.university.engine, by="a person")
        await trial.drained(within=30)
    findings = await trial.examine()
    measured.round(findings)
    assert findings.parked == poison


async def _has_parked(trial: Trial, count: int) -> bool:
    return await trial.parked() >= count


async def _stops(trial: Trial, worker: Process, parked: int) -> None:
    """The guard has stopped the parking, and the records behind are held."""

    async def stopped() -> bool:
        return await worker.health("ready") == 503

    await until(stopped, within=10, what="the guard has stopped")
    assert await trial.parked() == parked
    assert sum((await trial.client.committed(CSV_PER_YEAR)).values()) == parked


@pytest.mark.fault("F9")
async def test_one_percent_of_poison_is_parked_and_the_rest_is_done(
    trial: Trial, measured: Measured, scale: Scale
) -> None:
    poison = scale(1, 10)
    uploads = trial.load.uploads(99 * poison)
    for number, upload in enumerate(uploads):
        if number % 99 == 50:
            await trial.send_value(upload.provider_type, b"poison")
        await trial.send(upload)
    async with running(trial.settings):
        await trial.drained(within=180)
    findings = await trial.examine()
    measured.round(findings)
    assert findings.parked == poison


@pytest.mark.fault("F10")
async def test_a_dead_letter_topic_that_refuses_holds_the_offset(
    trial: Trial, measured: Measured
) -> None:
    await _limit(trial, trial.client.topics.dead_letter, 100)
    await trial.send_value(CSV_PER_YEAR, b"poison" * 100, key=b"one partition")
    await trial.send(trial.load.upload(CSV_PER_YEAR), key=b"one partition")
    await _held_until(
        trial, measured, mend=lambda: _limit(trial, trial.client.topics.dead_letter, 2**21)
    )


@pytest.mark.full
@pytest.mark.fault("F10")
async def test_a_record_too_large_for_the_dead_letter_topic_is_held(
    trial: Trial, measured: Measured
) -> None:
    await _limit(trial, trial.client.topics.job_topic(CSV_PER_YEAR), 2**22)
    await trial.send_value(CSV_PER_YEAR, b"x" * (2**21 + 2**19), key=b"one partition")
    await trial.send(trial.load.upload(CSV_PER_YEAR), key=b"one partition")
    await _held_until(
        trial, measured, mend=lambda: _limit(trial, trial.client.topics.dead_letter, 2**22)
    )


async def _held_until(
    trial: Trial, measured: Measured, *, mend: Callable[[], Awaitable[None]]
) -> None:
    """Nothing moves and the worker is not ready until `mend`; then one letter is parked.

    After that, work goes on.
    """
    with trial.working() as worker:
        await until(
            lambda: _has_logged(worker, "breaker_opened"), within=30, what="the breaker is open"
        )
        for _ in range(10):
            assert await worker.health("ready") == 503
            assert await worker.health("live") == 200
            assert await trial.client.committed(CSV_PER_YEAR) == {}
        assert await trial.parked() == 0
        await mend()
        mended = time.monotonic()
        await trial.drained(within=30)
        seconds = time.monotonic() - mended
    findings = await trial.examine()
    measured.round(findings, seconds=seconds)
    assert findings.parked == 1
    assert len(await trial.client.dead_letters(1)) == 1


def _has_logged(worker: Process, event: str) -> bool:
    return event in worker.log.read_text()


async def _limit(trial: Trial, topic: str, size: int) -> None:
    """Let a topic accept records up to this size, in bytes."""
    admin = AIOKafkaAdminClient(**connection_options(trial.settings.kafka))
    await admin.start()
    try:
        config = {"max.message.bytes": str(size)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])
    finally:
        await admin.close()


NOTHING = {
    "undecodable": b"\xff\xfe\x00{",
    "a tombstone": None,
    "empty": b"",
    "a mebibyte of garbage": bytes(range(256)) * 4096,
    "deep nesting": b"[" * 100_000,
    "a lone surrogate in a name": b'{"job_id": 1, "year": 2025, "data_entry_type": "\\ud800"}',
    "a lone surrogate in bytes": b'{"data_entry_type": "\xed\xa0\x80"}',
    "a NUL in a name": orjson.dumps(
        {
            "job_id": 1,
            "year": 2025,
            "data_entry_type": "bis\0cuits",
            "file": {"url": "file:///x", "size": 1, "sha256": "0" * 64},
        }
    ),
    "a NUL in a URL": orjson.dumps(
        {
            "job_id": 2,
            "year": 2025,
            "data_entry_type": 66,
            "file": {"url": "file:///x\0y", "size": 1, "sha256": "0" * 64},
        }
    ),
    "an id beyond all bounds": b'{"job_id": 1e400, "year": 2025}',
}
HEADERS = [
    ("no text", b"\xff\xfe"),
    ("nothing", b""),
    ("dlq-id", b"\xff"),
    ("dlq-replay-count", b"many"),
]


@pytest.mark.fault("F10")
async def test_the_largest_record_that_a_job_topic_takes_can_be_parked(
    trial: Trial, measured: Measured
) -> None:
    await trial.send_value(CSV_PER_YEAR, b"x" * (RECORD_BYTES - 200), key=b"one partition")
    async with running(trial.settings):
        await trial.drained(within=30)
    findings = await trial.examine()
    measured.round(findings)
    assert findings.parked == 1


@pytest.mark.fault("F11")
async def test_bytes_that_are_nothing_are_parked_as_they_are_and_the_worker_rests(
    trial: Trial, measured: Measured
) -> None:
    for value in NOTHING.values():
        await trial.send_value(CSV_PER_YEAR, value, key=b"\xc3\x28", headers=HEADERS)
    await trial.send(trial.load.upload(CSV_PER_YEAR), key=b"\xc3\x28")
    with trial.working() as worker:
        await trial.drained(within=60)
        assert worker.process is not None
        assert await _seconds_of_work(worker.process.pid, during=2.0) < 0.5, "a hot loop"
    findings = await trial.examine()
    measured.round(findings, times=len(NOTHING))
    assert findings.parked == len(NOTHING)
    letters = trial.client.of_topic(trial.client.topics.dead_letter)
    assert all(list(letter.headers)[:2] == HEADERS[:2] for letter in letters)


async def _seconds_of_work(pid: int, *, during: float) -> float:
    """The processor seconds that a process uses in the next `during` seconds."""
    before = _processor_seconds(pid)
    await asyncio.sleep(during)
    return _processor_seconds(pid) - before


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def _codes(trial: Trial) -> list[str]:
    async with trial.university.engine.connect() as conn:
        return list(await conn.scalars(text("SELECT code FROM dead_letters")))
