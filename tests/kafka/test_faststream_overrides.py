"""Each thing that we change in FastStream: why it is needed still, and that it works still."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.parser import AioKafkaParser
from prometheus_client import CollectorRegistry

from service.handlers.faststream_overrides import (
    consumer_broker,
    keep_undecoded,
    parse_any_record,
)
from service.kafka.connection import connection_options
from service.settings import Settings
from tests.support.until import until
from tests.support.worker import CSV_PER_YEAR, client

NOT_TEXT = b"\xff\xfe"


def record(*headers: tuple[str, bytes | None], value: bytes = b"{}") -> Any:
    return SimpleNamespace(
        topic="t", partition=0, offset=3, timestamp=5, key=None, value=value, headers=headers
    )


def parser() -> AioKafkaParser:
    return AioKafkaParser(msg_class=KafkaMessage, regex=None)


# 1. ReportEscapedException


@asynccontextmanager
async def consuming(
    broker: KafkaBroker, topic: str, handler: Callable[[Any], Any], **options: Any
) -> AsyncIterator[None]:
    broker.subscriber(topic, group_id=topic, auto_offset_reset="earliest", **options)(handler)
    await broker.start()
    try:
        yield
    finally:
        await broker.stop()


async def test_faststream_reads_on_after_an_exception_that_left_a_handler(
    settings: Settings,
) -> None:
    seen: list[object] = []

    async def handler(body: object) -> None:
        seen.append(body)
        raise LookupError

    async with client(settings) as kafka:
        topic = kafka.topics.job_topic(CSV_PER_YEAR)
        for _ in range(2):
            await kafka.send(CSV_PER_YEAR, b"{}", key=b"one partition")
        servers = connection_options(settings.kafka)["bootstrap_servers"]
        broker = KafkaBroker(servers, logger=None, apply_types=False)
        async with consuming(broker, topic, handler, ack_policy=AckPolicy.MANUAL):
            await until(lambda: len(seen) == 2, within=30, what="it has read both records")


async def test_an_exception_that_leaves_a_handler_is_reported(settings: Settings) -> None:
    escaped: list[BaseException] = []

    async def handler(_message: KafkaMessage) -> None:
        raise LookupError

    async with client(settings) as kafka:
        topic = kafka.topics.job_topic(CSV_PER_YEAR)
        await kafka.send(CSV_PER_YEAR, b"{}")
        broker = consumer_broker(
            settings.kafka, CollectorRegistry(), grace=1, on_escape=escaped.append
        )
        async with consuming(broker, topic, handler, ack_policy=AckPolicy.MANUAL):
            await until(lambda: bool(escaped), within=30, what="it was reported")
    assert isinstance(escaped[0], LookupError)


# 2. parse_any_record


@pytest.mark.parametrize("header", [("h", NOT_TEXT), ("h", None)])
async def test_faststreams_parser_fails_for_a_header_that_is_no_text(
    header: tuple[str, bytes | None],
) -> None:
    with pytest.raises((UnicodeDecodeError, AttributeError)):
        await parser().parse_message(record(header))


@pytest.mark.parametrize("header", [("h", NOT_TEXT), ("h", None), ("h", b"text")])
async def test_a_record_with_any_header_reaches_the_handler_as_it_was(
    header: tuple[str, bytes | None],
) -> None:
    given = record(header)
    message = await parse_any_record(given, parser().parse_message)
    assert message.raw_message is given
    assert message.raw_message.headers == (header,)


# 3. keep_undecoded


@pytest.mark.parametrize(
    ("content_type", "value"),
    [(b"application/json", b"{"), (b"text/plain", NOT_TEXT)],
)
async def test_faststreams_decoder_fails_for_a_value_that_is_not_of_its_content_type(
    content_type: bytes, value: bytes
) -> None:
    message = await parser().parse_message(record(("content-type", content_type), value=value))
    with pytest.raises(ValueError):
        await parser().decode_message(message)


async def test_a_handler_gets_the_whole_message_undecoded() -> None:
    message = await parser().parse_message(
        record(("content-type", b"application/json"), value=b"{")
    )
    assert await keep_undecoded(message) is message


# 4. AckPolicy.MANUAL


@pytest.mark.parametrize(
    ("options", "commits"), [({}, True), ({"ack_policy": AckPolicy.MANUAL}, False)]
)
async def test_only_a_manual_policy_leaves_the_offsets_to_the_dispatcher(
    options: dict[str, Any], commits: bool, settings: Settings
) -> None:
    handled = asyncio.Event()

    async def handler(_message: KafkaMessage) -> None:
        handled.set()

    async with client(settings) as kafka:
        topic = kafka.topics.job_topic(CSV_PER_YEAR)
        sent = await kafka.send(CSV_PER_YEAR, b"{}")
        servers = connection_options(settings.kafka)["bootstrap_servers"]
        broker = KafkaBroker(servers, logger=None, apply_types=False)
        async with consuming(broker, topic, handler, **options):
            await asyncio.wait_for(handled.wait(), 30)
        offset = await committed_offset(settings, TopicPartition(sent.topic, sent.partition))
    assert offset == (sent.offset + 1 if commits else None)


async def committed_offset(settings: Settings, partition: TopicPartition) -> int | None:
    options = connection_options(settings.kafka)
    consumer = AIOKafkaConsumer(**options, group_id=partition.topic, enable_auto_commit=False)
    await consumer.start()
    try:
        return await consumer.committed(partition)
    finally:
        await consumer.stop()
