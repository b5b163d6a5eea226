"""A worker for tests, in this process or another one, and a client that talks to it over Kafka."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from service.app import App, build_app
from service.contract.topics import Topics
from service.demo.processes import free_port
from service.domain.provider_types import ProviderType
from service.kafka.connection import connection_options
from service.kafka.topic_admin import ensure_topics
from service.settings import Settings
from tests.support.until import until

PARTITIONS = 3
CSV_PER_YEAR = ProviderType.CSV_MODULE_PER_YEAR


def settings_for(
    database: str, kafka: str, root: Path, prefix: str, /, **more: dict[str, Any]
) -> Settings:
    """The settings of a test's own worker.

    `more` overrides settings, or groups of them: `kafka={"session_timeout": 6}`.
    """
    groups: dict[str, Any] = {
        "database": {"url": database},
        "kafka": {
            "bootstrap_servers": kafka,
            "topic_prefix": prefix,
            "partitions": PARTITIONS,
            "session_timeout": 6,
        },
        "storage": {"root": root.as_uri()},
        "http": {"host": "127.0.0.1", "port": 0},
        "retry": {"first_pause": 0.05, "longest_pause": 0.5, "probe_pause": 0.5},
        "announce": {"sweep_interval": 0.5},
    }
    single = {name: more.pop(name) for name in list(more) if not isinstance(more[name], dict)}
    merged = {
        name: groups.get(name, {}) | more.get(name, {}) for name in groups.keys() | more.keys()
    }
    return Settings(**merged, **single, _env_file=None)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[App]:
    """Run a worker in this process, once it is ready to work; drain it at the end."""
    app = build_app(settings)
    work = asyncio.create_task(app.run())
    try:
        await until(
            lambda: app.health.started or work.done(), within=30, what="the worker has started"
        )
        yield app
    finally:
        app.stop()
        await work


def environment(settings: Settings) -> dict[str, str]:
    """The settings as environment variables of a process."""
    variables = {}
    for group, values in settings.model_dump(exclude_unset=True).items():
        if isinstance(values, dict):
            named = {f"UPLOADS_{group}__{name}": value for name, value in values.items()}
        else:
            named = {f"UPLOADS_{group}": values}
        variables |= {name.upper(): value for name, value in named.items() if value is not None}
    return {name: _as_text(value) for name, value in variables.items()}


def _as_text(value: Any) -> str:
    return str(value.get_secret_value() if isinstance(value, SecretStr) else value)


class Process:
    """A worker as another process, which can be killed."""

    def __init__(self, settings: Settings, *, log: Path, crash_at: str = "") -> None:
        self.port = free_port()
        self.log = log
        self._environment = (
            os.environ | environment(settings) | {"UPLOADS_HTTP__PORT": str(self.port)}
        )
        if crash_at:
            self._environment |= {"UPLOADS_CRASH_AT": crash_at}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service", "serve"],
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number if a signal killed it."""
        assert self.process is not None
        return self.process.poll()

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    async def health(self, probe: str) -> int:
        """The HTTP status of `/health/<probe>`; 0 without an answer."""
        async with httpx.AsyncClient() as client:
            with suppress(httpx.HTTPError):
                url = f"http://127.0.0.1:{self.port}/health/{probe}"
                return (await client.get(url, timeout=5)).status_code
        return 0

    async def ready(self, within: float = 30) -> None:
        async def is_ready() -> bool:
            assert self.exit_code is None, f"the worker ended: {self.log.read_text()[-2000:]}"
            return await self.health("ready") == 200

        await until(is_ready, within=within, what="the worker is ready")


@contextmanager
def process(settings: Settings, log: Path, *, crash_at: str = "") -> Iterator[Process]:
    """Run a worker process; kill it at the end if it still runs."""
    worker = Process(settings, log=log, crash_at=crash_at)
    worker.start()
    try:
        yield worker
    finally:
        worker.kill()


class Client:
    """The application's part: it produces jobs and reads events.

    It reads all partitions, without a consumer group.
    """

    def __init__(
        self, settings: Settings, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer
    ) -> None:
        self.topics = Topics(settings.kafka.topic_prefix)
        self.records: list[ConsumerRecord[Any, Any]] = []
        self._producer = producer
        self._consumer = consumer
        self._settings = settings

    async def send(
        self,
        provider_type: ProviderType,
        value: bytes | dict[str, Any] | None,
        *,
        key: bytes | None = None,
        **more: Any,
    ) -> Any:
        """Produce one record to the topic of a provider type; return its metadata."""
        payload = orjson.dumps(value) if isinstance(value, dict) else value
        return await self._producer.send_and_wait(
            self.topics.job_topic(provider_type), payload, key=key, **more
        )

    async def read(self) -> None:
        """Add the records that have arrived to `records`."""
        batches = await self._consumer.getmany(timeout_ms=50)
        self.records.extend(record for records in batches.values() for record in records)

    def of_topic(self, topic: str) -> list[ConsumerRecord[Any, Any]]:
        return [record for record in self.records if record.topic == topic]

    def events(self, job_id: int | None = None) -> list[dict[str, Any]]:
        """The bodies on the completed topic so far, in the order they came."""
        bodies = [orjson.loads(record.value) for record in self.of_topic(self.topics.completed)]
        return [body for body in bodies if job_id in {None, body["job_id"]}]

    async def event(self, job_id: int, *, within: float = 30, count: int = 1) -> dict[str, Any]:
        """The latest completion or parked event of a job, once there are `count` of them."""

        async def arrived() -> bool:
            await self.read()
            return len(self.events(job_id)) >= count

        await until(arrived, within=within, what=f"{count} events of job {job_id} have arrived")
        return self.events(job_id)[-1]

    async def dead_letters(
        self, count: int, *, within: float = 30
    ) -> list[ConsumerRecord[Any, Any]]:
        """The records of the dead-letter topic, once there are `count` of them."""

        async def arrived() -> bool:
            await self.read()
            return len(self.of_topic(self.topics.dead_letter)) >= count

        await until(arrived, within=within, what=f"{count} dead letters have arrived")
        return self.of_topic(self.topics.dead_letter)

    async def committed(self, provider_type: ProviderType) -> dict[int, int]:
        """The committed offsets of a topic's group by partition, where there are any."""
        topic = self.topics.job_topic(provider_type)
        consumer = AIOKafkaConsumer(
            **connection_options(self._settings.kafka), group_id=topic, enable_auto_commit=False
        )
        await consumer.start()
        try:
            offsets = {
                n: await consumer.committed(TopicPartition(topic, n)) for n in range(PARTITIONS)
            }
        finally:
            await consumer.stop()
        return {partition: offset for partition, offset in offsets.items() if offset is not None}


@asynccontextmanager
async def client(settings: Settings) -> AsyncIterator[Client]:
    """A client of the worker with these settings; it creates the topics first."""
    topics = Topics(settings.kafka.topic_prefix)

    async def created() -> bool:
        with suppress(KafkaError):
            await ensure_topics(settings.kafka, topics)
            return True
        return False

    await until(created, within=30, what="the topics exist")
    producer = AIOKafkaProducer(
        **connection_options(settings.kafka), acks="all", max_request_size=2**22
    )
    consumer = AIOKafkaConsumer(
        **connection_options(settings.kafka), auto_offset_reset="earliest", enable_auto_commit=False
    )
    await producer.start()
    await consumer.start()
    outgoing = (topics.completed, topics.progress, topics.dead_letter)
    consumer.assign(
        [TopicPartition(topic, number) for topic in outgoing for number in range(PARTITIONS)]
    )
    await consumer.seek_to_beginning()
    try:
        yield Client(settings, producer, consumer)
    finally:
        await consumer.stop()
        await producer.stop()
