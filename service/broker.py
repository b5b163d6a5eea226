"""Kafka, as the service talks to it: how to connect, the producer, and the topics it creates."""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAlreadyExistsError,
    for_code,
)
from faststream import BaseMiddleware, ContextRepo
from faststream.kafka import KafkaBroker
from faststream.kafka.prometheus import KafkaPrometheusMiddleware
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512
from prometheus_client import CollectorRegistry

from service import crash
from service.domain import Position, ProviderType, Record
from service.errors import BrokerAway, Environment
from service.settings import InvalidSettings, KafkaSettings
from service.topics import Topics

log = structlog.get_logger(__name__)

RECORD_BYTES = 2 * 2**20
"""The largest record that a topic of jobs or events takes, where the service creates it."""

LETTER_BYTES = RECORD_BYTES + 2**16
"""The largest dead letter: any record of a job topic, and our headers on top of its own."""

REQUEST_BYTES = 64 * 2**20
"""The largest record sent: far above what any topic takes, so that the topic's own limit decides and can be raised."""


class RecordRefused(Environment):
    """The broker refuses a record for its size; raise `max.message.bytes` of the topic above the largest job's."""

    code = "record_refused"


def connection(kafka: KafkaSettings) -> dict[str, Any]:
    """How any aiokafka client reaches the broker."""
    options: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in kafka.bootstrap_servers.split(",")],
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol in {"SSL", "SASL_SSL"}:
        options["ssl_context"] = _ssl_context(kafka)
    if kafka.security_protocol.startswith("SASL"):
        password = kafka.sasl_password
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": password and password.get_secret_value(),
        }
    return options


class Escape(BaseMiddleware):
    """Tells of an exception that left a handler, for FastStream would swallow it and read on.

    The next commit would then cover a record that nobody handled: the process must end before.
    """

    def __init__(self, msg: Any, /, *, context: ContextRepo, on_escape: Callable[[BaseException], None]) -> None:
        super().__init__(msg, context=context)
        self._on_escape = on_escape

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> bool | None:
        if isinstance(exc_val, Exception):
            self._on_escape(exc_val)
        return await super().__aexit__(exc_type, exc_val, exc_tb)


def consumer_broker(
    kafka: KafkaSettings, registry: CollectorRegistry, *, grace: float, on_escape: Callable[[BaseException], None]
) -> KafkaBroker:
    """FastStream's broker, for consuming alone: what is sent goes through `Producer`."""
    return KafkaBroker(
        connection(kafka)["bootstrap_servers"],
        security=_security(kafka),
        consumer_only=True,
        allow_auto_create_topics=False,
        graceful_timeout=grace,
        apply_types=False,
        logger=None,
        client_id="carbon-uploads",
        middlewares=[partial(Escape, on_escape=on_escape), KafkaPrometheusMiddleware(registry=registry)],
    )


def _security(kafka: KafkaSettings) -> BaseSecurity | None:
    use_ssl = kafka.security_protocol in {"SSL", "SASL_SSL"}
    context = _ssl_context(kafka) if use_ssl else None
    if not kafka.security_protocol.startswith("SASL"):
        return BaseSecurity(ssl_context=context, use_ssl=True) if use_ssl else None
    login = _LOGINS[kafka.sasl_mechanism]
    password = kafka.sasl_password.get_secret_value() if kafka.sasl_password else ""
    return login(kafka.sasl_username or "", password, ssl_context=context, use_ssl=use_ssl)


_LOGINS: dict[str, type[SASLPlaintext | SASLScram256 | SASLScram512]] = {
    "PLAIN": SASLPlaintext,
    "SCRAM-SHA-256": SASLScram256,
    "SCRAM-SHA-512": SASLScram512,
}


def _ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    """The TLS that the settings ask for. Raises `InvalidSettings` where a file is no usable one."""
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_cafile)
        if kafka.ssl_certfile:
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile)
    except OSError as error:
        raise InvalidSettings(
            f"UPLOADS_KAFKA__SSL_CAFILE, …_CERTFILE, …_KEYFILE: expected readable PEM files ({error})"
        ) from None
    return context


class Producer:
    """Sends records exactly as they are, a null value included, and waits for the broker's ack."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect. Raises `KafkaError` where no broker answers."""
        producer = AIOKafkaProducer(
            **connection(self._kafka),
            acks="all",
            enable_idempotence=True,
            max_request_size=REQUEST_BYTES,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def stop(self) -> None:
        """Disconnect; harmless where nothing was connected."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def publish(self, record: Record) -> Position:
        """Send one record. Raises `BrokerAway`, or `RecordRefused` where the broker will never take it."""
        if self._producer is None:
            raise BrokerAway("The producer is not connected.")
        try:
            sending = await _send(self._producer, record)
            crash.point("after_publish")
            sent = await sending
        except MessageSizeTooLargeError as error:
            raise RecordRefused(f"Topic {record.topic}.") from error
        except KafkaError as error:
            raise BrokerAway(f"Publishing to {record.topic} failed: {type(error).__name__}.") from error
        return Position(sent.partition, sent.offset)


async def _send(producer: AIOKafkaProducer, record: Record) -> Awaitable[Any]:
    """Hand a record to the producer; what is returned waits for the ack, and tells where the record lies."""
    headers = list(record.headers)
    acknowledged: Awaitable[Any]
    if record.key is not None or record.value is not None:
        acknowledged = await producer.send(record.topic, record.value, key=record.key, headers=headers)
    else:
        # aiokafka's `send` asserts that there is a key or a value; other clients produce records without either
        batch = producer.create_batch()
        batch.append(timestamp=None, key=None, value=None, headers=headers)
        batch.close()
        partition = random.choice(sorted(await producer.partitions_for(record.topic)))
        acknowledged = await producer.send_batch(batch, record.topic, partition=partition)
    return acknowledged


async def ensure_topics(kafka: KafkaSettings, topics: Topics) -> None:
    """Create the topics that do not exist; those that do are left as they are.

    Raises `KafkaError` where the broker is away. A broker that refuses to create topics is believed to
    have them, or to make them on first use.
    """
    admin = AIOKafkaAdminClient(**connection(kafka))
    await admin.start()
    try:
        missing = sorted(set(_configs(topics)) - set(await admin.list_topics()))
        try:
            for name in missing:
                await _create(admin, name, kafka, _configs(topics)[name])
        except IncompatibleBrokerVersion:  # a stand-in without admin requests makes a topic that it is asked about
            await admin.describe_topics(missing)
    finally:
        await admin.close()


def _configs(topics: Topics) -> dict[str, dict[str, str]]:
    """Every topic with its own settings; dead letters are evidence, kept without limit."""
    wide = {"max.message.bytes": str(RECORD_BYTES)}
    forever = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
    evidence = forever | {"max.message.bytes": str(LETTER_BYTES)}
    jobs = {topics.jobs(provider_type): wide for provider_type in ProviderType}
    return jobs | {topics.completed: wide, topics.progress: {}, topics.dead_letter: evidence}


async def _create(admin: AIOKafkaAdminClient, name: str, kafka: KafkaSettings, config: dict[str, str]) -> None:
    topic = NewTopic(name, kafka.partitions, kafka.replication_factor, topic_configs=config)
    response = await admin.create_topics([topic])
    for _, code, *_rest in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            log.warning("topic_not_created", topic=name, reason=error.__name__)
        elif not code:
            log.info("topic_created", topic=name, partitions=kafka.partitions)


async def wait_for_broker(kafka: KafkaSettings, topics: Topics, *, every: float) -> None:
    """Wait until the broker answers and has the topics; says so once a while."""
    while True:
        try:
            await ensure_topics(kafka, topics)
        except (KafkaError, OSError) as error:
            log.warning("waiting_for_kafka", reason=type(error).__name__, servers=kafka.bootstrap_servers)
            await asyncio.sleep(every)
        else:
            return
