"""The connections of the dead-letter commands: database, file store and dead-letter topic."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from service.contract.topics import Topics
from service.db.engine import command_database
from service.dead_letters.verdict import Judge
from service.files.store import FileStore
from service.kafka.record_reader import record_reader
from service.settings import Settings


@asynccontextmanager
async def connected_judge(settings: Settings) -> AsyncIterator[Judge]:
    """A judge with its connections, which are closed at the end of the body.

    Raises `NoTopics` and `KafkaError`. The database is connected to when it is first used.
    """
    topics = Topics(settings.kafka.topic_prefix)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(command_database(settings.database))
        read = await stack.enter_async_context(record_reader(settings.kafka, topics.dead_letter))
        yield Judge(engine, FileStore.of(settings.storage), settings.limits, topics, read)
