"""Announcing: the event of every job that ended goes out, with the bytes that the ledger has."""

from datetime import UTC, datetime, timedelta

import pytest

from service.db.ledger import lock_unannounced
from service.domain.errors import BrokerAway, FileGone
from service.domain.model import Position, Record
from service.jobs.outbox import announce_forgotten
from tests.support.jobs import CSV_PER_YEAR, Jobs, event_of, ledger, purchases
from tests.support.university import BIOLOGY, PHYSICS, University


class DeadBroker:
    """Keeps the records that it should send, and sends none of them."""

    def __init__(self) -> None:
        self.asked: list[Record] = []

    async def __call__(self, record: Record) -> Position:
        self.asked.append(record)
        raise BrokerAway


async def unannounced(jobs: Jobs, *job_ids: int) -> list[Record]:
    """Let jobs end whose worker dies before it can announce them; their events."""
    broker = DeadBroker()
    for job_id in job_ids:
        with pytest.raises(BrokerAway):
            await Jobs(jobs.processor.engine, jobs.root, broker).run(
                CSV_PER_YEAR, purchases(PHYSICS), job_id=job_id
            )
    return broker.asked


async def swept(jobs: Jobs, after: timedelta = timedelta()) -> int:
    return await announce_forgotten(
        jobs.processor.engine, jobs.processor.publish, topic="uploads.completed", after=after
    )


async def test_an_event_is_a_cloud_event_with_an_id_of_its_jobs_own(jobs: Jobs) -> None:
    record = await jobs.deliver(CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, purchases(PHYSICS)))
    other = await jobs.deliver(CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, purchases(PHYSICS)))
    headers, other_headers = dict(record.headers), dict(other.headers)
    assert sorted(headers) == [
        "ce_id",
        "ce_source",
        "ce_specversion",
        "ce_time",
        "ce_type",
        "content-type",
    ]
    assert headers["ce_type"] == b"uploads.job.completed"
    assert (headers["ce_source"], headers["ce_specversion"]) == (b"/carbon-uploads", b"1.0")
    assert headers["content-type"] == b"application/json"
    assert headers["ce_id"] != other_headers["ce_id"]
    assert datetime.fromisoformat(headers["ce_time"].decode()) == datetime.fromisoformat(
        event_of(record)["finished_at"]
    )
    assert jobs.published == [record, other]


async def test_without_a_broker_a_job_ends_all_the_same_and_its_event_goes_out_later(
    university: University, jobs: Jobs
) -> None:
    message = jobs.message(CSV_PER_YEAR, purchases(PHYSICS), job_id=7)
    broker = DeadBroker()
    with pytest.raises(BrokerAway):
        await Jobs(university.engine, jobs.root, broker).deliver(CSV_PER_YEAR, message)
    assert await ledger(university.engine) == {7: ("succeeded", 1, False)}
    assert len(await university.entries()) == 1
    assert await jobs.deliver(CSV_PER_YEAR, message) == broker.asked[0]
    assert await ledger(university.engine) == {7: ("succeeded", 1, True)}


async def test_the_sweeper_sends_what_dead_workers_left_with_the_same_bytes(
    university: University, jobs: Jobs
) -> None:
    await jobs.run(CSV_PER_YEAR, purchases(BIOLOGY), job_id=9)
    left = await unannounced(jobs, 7, 8)
    jobs.published.clear()
    assert await swept(jobs) == 2
    assert jobs.published == left
    assert await swept(jobs) == 0
    assert {announced for _, _, announced in (await ledger(university.engine)).values()} == {True}


async def test_the_sweeper_leaves_what_has_only_just_finished_or_not_at_all(jobs: Jobs) -> None:
    await unannounced(jobs, 7)
    assert await swept(jobs, after=timedelta(minutes=1)) == 0
    gone = jobs.file("") | {"url": f"{jobs.root.as_uri()}/gone.csv"}
    with pytest.raises(FileGone):
        await jobs.run(CSV_PER_YEAR, file=gone, job_id=8)
    assert await swept(jobs) == 1


async def test_a_sweeper_without_a_broker_forgets_nothing(
    university: University, jobs: Jobs
) -> None:
    await unannounced(jobs, 7)
    with pytest.raises(BrokerAway):
        await swept(Jobs(university.engine, jobs.root, DeadBroker()))
    assert await ledger(university.engine) == {7: ("succeeded", 1, False)}


async def test_two_sweepers_at_once_take_different_jobs(university: University, jobs: Jobs) -> None:
    await unannounced(jobs, 7, 8, 9)
    async with university.engine.begin() as conn:
        await lock_unannounced(conn, topic="uploads.completed", before=datetime.now(UTC), limit=1)
        jobs.published.clear()
        assert await swept(jobs) == 2
    assert [event_of(record)["job_id"] for record in jobs.published] == [8, 9]
