"""A record's offset is committed in the background; at most one record is pending."""

import asyncio

import pytest

from service.handlers.breaker import Breaker
from service.handlers.topic_consumer import InFlightRecord, TopicConsumer
from service.jobs.processor import JobContext
from tests.support.work import Work


def new_consumer() -> TopicConsumer:
    return TopicConsumer("any", Breaker(60))


async def test_what_is_left_of_a_record_is_not_waited_for() -> None:
    work = Work()
    await new_consumer().finish_in_background(work.do())
    await work.began.wait()
    assert not work.ended


async def test_the_next_record_waits_with_its_own_until_that_is_done() -> None:
    one, two, consumer = Work(), Work(), new_consumer()
    await consumer.finish_in_background(one.do())
    second = asyncio.create_task(consumer.finish_in_background(two.do()))
    await one.began.wait()
    assert not two.began.is_set()
    one.may_end.set()
    await second
    await two.began.wait()
    assert one.ended


async def test_a_rebalance_waits_for_the_job_in_flight_and_for_what_is_left_of_it() -> None:
    work, consumer = Work(), new_consumer()
    async with consumer.working_on(InFlightRecord(0, 0, JobContext())):
        await consumer.finish_in_background(work.do())
        revoked = asyncio.create_task(consumer.on_partitions_revoked([]))
        await work.began.wait()
        assert not revoked.done()
    await asyncio.sleep(0)
    assert not revoked.done()
    work.may_end.set()
    await revoked
    assert work.ended


async def test_a_topic_consumer_that_stops_leaves_nothing_for_later() -> None:
    work, consumer = Work(), new_consumer()
    consumer.stop_waiting()
    work.may_end.set()
    await consumer.finish_in_background(work.do())
    assert work.ended


async def test_a_fault_in_what_was_left_is_raised_at_the_next_record() -> None:
    async def fail() -> None:
        raise RuntimeError("a mistake")

    work, consumer = Work(), new_consumer()
    await consumer.finish_in_background(fail())
    await consumer.wait_until_finished()
    left = work.do()
    with pytest.raises(RuntimeError, match="a mistake"):
        await consumer.finish_in_background(left)
    left.close()
