"""What we read of aiokafka's private parts still means what we take it for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from service.contract.topics import Topics
from service.domain.provider_types import ProviderType
from service.kafka.aiokafka_internals import broker_answers, fetch_position, is_group_member
from service.kafka.connection import connection_options
from service.settings import Settings
from tests.support.until import until
from tests.support.worker import CSV_PER_YEAR, PARTITIONS, client


@asynccontextmanager
async def member(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    topic = Topics(settings.kafka.topic_prefix).job_topic(ProviderType.CSV_MODULE_PER_YEAR)
    options = connection_options(settings.kafka)
    consumer = AIOKafkaConsumer(topic, **options, group_id=topic, auto_offset_reset="earliest")
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def test_a_broker_that_is_there_answers(settings: Settings) -> None:
    async with client(settings), member(settings) as consumer:
        assert await broker_answers(consumer)


async def test_a_consumer_that_was_stopped_gets_no_answer(settings: Settings) -> None:
    async with client(settings):
        async with member(settings) as consumer:
            pass
        answered = False
        with suppress(KafkaError, TimeoutError):
            answered = await asyncio.wait_for(broker_answers(consumer), 10)
        assert not answered


async def test_a_member_of_a_group_is_told_from_one_that_has_not_joined(
    settings: Settings,
) -> None:
    async with client(settings):
        outsider = AIOKafkaConsumer(**connection_options(settings.kafka), group_id="outsider")
        await outsider.start()
        try:
            assert not is_group_member(outsider)
            async with member(settings) as consumer:
                await until(
                    lambda: is_group_member(consumer), within=30, what="the group has its member"
                )
        finally:
            await outsider.stop()


async def test_a_position_is_known_once_a_partition_was_fetched(settings: Settings) -> None:
    async with client(settings) as kafka:
        sent = await kafka.send(CSV_PER_YEAR, b"{}")
        async with member(settings) as consumer:
            partition = TopicPartition(sent.topic, sent.partition)
            elsewhere = TopicPartition(sent.topic, PARTITIONS + 1)
            assert await consumer.getone(partition) is not None
            assert fetch_position(consumer, partition) == sent.offset + 1
            assert fetch_position(consumer, elsewhere) is None
