"""The topics that the service creates where they do not exist."""

import asyncio

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    TopicAlreadyExistsError,
    for_code,
)

from service.contract.topics import Topics
from service.domain.provider_types import ProviderType
from service.kafka.connection import connection_options
from service.settings import KafkaSettings

log = structlog.get_logger(__name__)

RECORD_BYTES = 2 * 2**20
"""The largest record that a topic of jobs or events takes, where the service creates it."""

LETTER_BYTES = RECORD_BYTES + 2**16
"""The largest dead letter: any record of a job topic, and our headers on top of its own."""


async def ensure_topics(kafka: KafkaSettings, topics: Topics) -> None:
    """Create the topics that do not exist; those that do are left as they are.

    Raises `KafkaError` where the broker is away. A broker that refuses to create topics is believed to
    have them, or to make them on first use.
    """
    admin = AIOKafkaAdminClient(**connection_options(kafka))
    await admin.start()
    try:
        missing = sorted(set(_configs(topics)) - set(await admin.list_topics()))
        try:
            for name in missing:
                await _create(admin, name, kafka, _configs(topics)[name])
        except (
            IncompatibleBrokerVersion
        ):  # a stand-in without admin requests makes a topic that it is asked about
            await admin.describe_topics(missing)
    finally:
        await admin.close()


def _configs(topics: Topics) -> dict[str, dict[str, str]]:
    """Every topic with its own settings; dead letters are evidence, kept without limit."""
    wide = {"max.message.bytes": str(RECORD_BYTES)}
    forever = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
    evidence = forever | {"max.message.bytes": str(LETTER_BYTES)}
    jobs = {topics.job_topic(provider_type): wide for provider_type in ProviderType}
    return jobs | {topics.completed: wide, topics.progress: {}, topics.dead_letter: evidence}


async def _create(
    admin: AIOKafkaAdminClient, name: str, kafka: KafkaSettings, config: dict[str, str]
) -> None:
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
            log.warning(
                "waiting_for_kafka", reason=type(error).__name__, servers=kafka.bootstrap_servers
            )
            await asyncio.sleep(every)
        else:
            return
