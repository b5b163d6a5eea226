"""The breaker holds everything but a probe now and then, until what failed has been dealt with."""

from aiokafka import TopicPartition

from service.domain.errors import DatabaseUnfit, GuardStopped
from service.handlers.breaker import Breaker
from service.handlers.topic_consumer import TopicConsumer

FIRST, SECOND = TopicPartition("replace", 0), TopicPartition("replace", 1)
OTHER = TopicPartition("append", 0)


async def impatient(_seconds: float) -> bool:
    return False


def opened(*held: TopicPartition, probe_pause: float = 60) -> Breaker:
    breaker = Breaker(probe_pause)
    for partition in held:
        breaker.open(partition, DatabaseUnfit())
    return breaker


async def test_a_closed_breaker_lets_everyone_through_without_waiting() -> None:
    assert await Breaker(60).wait_for_turn("replace", impatient)


async def test_an_open_breaker_holds_who_cannot_wait() -> None:
    assert not await opened(FIRST).wait_for_turn("replace", impatient)


async def test_after_a_pause_one_caller_goes_through_as_a_probe_and_the_next_waits() -> None:
    breaker = opened(FIRST, probe_pause=0.02)
    topic_consumer = TopicConsumer("replace", breaker)
    assert await breaker.wait_for_turn("replace", topic_consumer.wait)
    assert breaker.is_open
    assert not await breaker.wait_for_turn("replace", impatient)


async def test_a_topic_on_which_nothing_failed_sends_no_probe() -> None:
    breaker = opened(FIRST, probe_pause=0)
    assert not await breaker.wait_for_turn("append", impatient)
    assert await breaker.wait_for_turn("replace", impatient)


async def test_it_closes_when_the_record_that_failed_is_dealt_with() -> None:
    breaker = opened(FIRST)
    breaker.record_finished(FIRST)
    assert not breaker.is_open
    assert await breaker.wait_for_turn("append", impatient)


async def test_another_finished_record_does_not_close_it_but_lets_the_next_probe_go() -> None:
    breaker = opened(FIRST)
    breaker.record_finished(SECOND)
    assert breaker.is_open
    assert await breaker.wait_for_turn("replace", impatient)


async def test_it_stays_open_until_the_last_record_that_failed_is_dealt_with() -> None:
    breaker = opened(FIRST, OTHER)
    breaker.record_finished(OTHER)
    assert breaker.is_open
    breaker.record_finished(FIRST)
    assert not breaker.is_open


async def test_what_failed_on_a_partition_that_another_worker_has_now_is_its_business() -> None:
    breaker = opened(FIRST, SECOND)
    await TopicConsumer("append", breaker).on_partitions_assigned([])
    await TopicConsumer("replace", breaker).on_partitions_assigned([SECOND])
    assert breaker.is_open
    await TopicConsumer("replace", breaker).on_partitions_assigned([FIRST])
    assert not breaker.is_open


async def test_where_the_fault_can_be_asked_for_itself_no_job_is_a_probe_or_a_proof() -> None:
    answers = iter([False, False, True])

    async def mended() -> bool:
        return next(answers)

    breaker = Breaker(0.01)
    breaker.open(FIRST, GuardStopped(), mended)
    breaker.record_finished(FIRST)
    assert breaker.is_open
    assert await breaker.wait_for_turn("append", TopicConsumer("append", breaker).wait)
    assert not breaker.is_open
    assert list(answers) == []


async def test_a_topic_consumer_that_stops_waits_for_nothing() -> None:
    topic_consumer = TopicConsumer("any", Breaker(60))
    topic_consumer.stop_waiting()
    assert not await topic_consumer.wait(3600)


async def test_a_topic_consumer_counts_how_often_a_record_came_in_a_row() -> None:
    topic_consumer = TopicConsumer("any", Breaker(60))
    tries = [topic_consumer.count_try(FIRST, offset) for offset in (5, 5, 6, 6, 6)]
    assert tries == [1, 2, 1, 2, 3]
