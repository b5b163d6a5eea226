"""Creates the topics that do not exist. Topics that exist stay as they are."""

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
"""The largest record that a topic of jobs or events takes, if the service creates it."""

LETTER_BYTES = RECORD_BYTES + 2**16
"""The largest dead letter: any record of a job topic, with our headers on top of its own."""


async def wait_for_topics(kafka: KafkaSettings, topics: Topics, *, every: float) -> None:
    """Wait until the broker answers and has the topics; create those that do not exist.

    Logs every `every` seconds why it still waits.
    """
    while True:
        try:
            await ensure_topics(kafka, topics)
        except (KafkaError, OSError) as error:
            reason = type(error).__name__
            log.warning("waiting_for_kafka", reason=reason, servers=kafka.bootstrap_servers)
            await asyncio.sleep(every)
        else:
            return


async def ensure_topics(kafka: KafkaSettings, topics: Topics) -> None:
    """Create the topics that do not exist. Raises `KafkaError` if the broker is away.

    A broker may refuse to create topics. Then they are expected to exist, or to come into being
    when they are first used, so the refusal is logged and no error.
    """
    admin = AIOKafkaAdminClient(**connection_options(kafka))
    await admin.start()
    try:
        configs = _topic_configs(topics)
        missing = sorted(set(configs) - set(await admin.list_topics()))
        try:
            for name in missing:
                await _create_topic(admin, name, kafka, configs[name])
        except IncompatibleBrokerVersion:
            # The stand-in broker of the demo knows no request that creates a topic. It makes each
            # topic that a client asks about.
            await admin.describe_topics(missing)
    finally:
        await admin.close()


def _topic_configs(topics: Topics) -> dict[str, dict[str, str]]:
    """Return every topic with its settings. Dead letters are evidence, kept without limit."""
    large = {"max.message.bytes": str(RECORD_BYTES)}
    configs = {topics.job_topic(provider_type): large for provider_type in ProviderType}
    configs[topics.completed] = large
    configs[topics.progress] = {}
    configs[topics.dead_letter] = {
        "max.message.bytes": str(LETTER_BYTES),
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
    }
    return configs


async def _create_topic(
    admin: AIOKafkaAdminClient, name: str, kafka: KafkaSettings, config: dict[str, str]
) -> None:
    topic = NewTopic(name, kafka.partitions, kafka.replication_factor, topic_configs=config)
    response = await admin.create_topics([topic])
    for _, code, *_rest in response.topic_errors:
        error = for_code(code)
        if not code:
            log.info("topic_created", topic=name, partitions=kafka.partitions)
        elif error is not TopicAlreadyExistsError:
            # Another worker may have created it meanwhile; that is no refusal.
            log.warning("topic_not_created", topic=name, reason=error.__name__)
