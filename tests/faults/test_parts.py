"""The test servers behave as the fault tests need it."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import IO, cast

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from service.demo.broker import MockBroker
from service.demo.postgres import EmbeddedPostgres, find_binaries
from service.demo.processes import is_alive
from service.demo.server import StartFailed, Unavailable
from tests.support.apache import ApacheKafka
from tests.support.parts import Kafka
from tests.support.until import until


async def ask(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def create_topic(servers: str, topic: str, partitions: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1)])
    finally:
        await admin.close()


async def send(servers: str, topic: str, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
        for value in values:
            await producer.send_and_wait(topic, value, key=b"key", headers=[("name", b"value")])


async def receive(
    servers: str, topic: str, count: int, session_timeout_ms: int = 6_000
) -> list[bytes | None]:
    """Read the next messages of a group; commit each of them."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id=topic,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=session_timeout_ms,
        heartbeat_interval_ms=300,
    )
    values: list[bytes | None] = []
    async with consumer, asyncio.timeout(30):
        while len(values) < count:
            record = await consumer.getone()
            await consumer.commit({TopicPartition(topic, record.partition): record.offset + 1})
            values.append(record.value)
    return values


async def test_postgres_survives_a_kill_with_what_was_committed(
    own_postgres: EmbeddedPostgres,
) -> None:
    await ask(own_postgres.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    own_postgres.kill()
    with pytest.raises(OSError):
        await ask(own_postgres.url, "SELECT 1")
    own_postgres.start()
    assert await ask(own_postgres.url, "SELECT answer FROM kept") == 42


async def test_a_paused_postgres_answers_once_it_goes_on(own_postgres: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(own_postgres.url)
    own_postgres.pause()
    answer = asyncio.create_task(connection.fetchval("SELECT 1"))
    finished, _ = await asyncio.wait([answer], timeout=0.3)
    assert not finished
    own_postgres.resume()
    assert await answer == 1
    await connection.close()


async def test_postgres_lets_no_one_in_without_the_password(own_postgres: EmbeddedPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(own_postgres.url.replace(own_postgres.password, "guess"), "SELECT 1")


@pytest.mark.skipif(os.geteuid() != 0, reason="not root")
def test_postgres_started_by_root_runs_as_someone_else(own_postgres: EmbeddedPostgres) -> None:
    assert Path(f"/proc/{own_postgres.pid}").stat().st_uid != 0


def test_postgres_that_does_not_start_says_why() -> None:
    with (
        pytest.raises(StartFailed, match="nonsense"),
        EmbeddedPostgres(settings={"work_mem": "nonsense"}),
    ):
        pass


async def test_postgres_with_tls_is_verified_by_its_certificate() -> None:
    try:
        find_binaries(tls=True)
    except Unavailable as error:
        pytest.skip(str(error))
    with EmbeddedPostgres(fast=True, tls=True) as server:
        trusting = ssl.create_default_context(cafile=server.certificate)
        connection = await asyncpg.connect(server.url, ssl=trusting)
        assert await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        await connection.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncpg.connect(server.url, ssl=ssl.create_default_context())


async def test_postgres_ends_with_the_process_that_started_it_and_leaves_nothing() -> None:
    runner = start_elsewhere("EmbeddedPostgres(fast=True)", "server.pid, server.home")
    pid, home = read_line(runner).split()
    runner.kill()
    await until(lambda: not is_alive(int(pid)), within=10, what="PostgreSQL to end")
    await until(lambda: not Path(home).exists(), within=10, what="its directory to be removed")


async def test_the_mock_broker_ends_with_the_process_that_started_it() -> None:
    runner = start_elsewhere("MockBroker()", "server.bootstrap_servers")
    host, port = read_line(runner).split(":")
    runner.kill()

    def refuses() -> bool:
        with socket.socket() as knock:
            return knock.connect_ex((host, int(port))) != 0

    await until(refuses, within=10, what="the mock broker to end")


async def test_a_test_has_databases_of_its_own(database: str, empty_database: str) -> None:
    assert await ask(database, "SELECT count(*) FROM upload_jobs") == 0
    assert (
        await ask(empty_database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    )


def start_elsewhere(server: str, printed: str) -> subprocess.Popen[str]:
    """Start another Python process that starts a server, prints something about it, and waits."""
    program = f"""
import time
from service.demo.broker import MockBroker
from service.demo.postgres import EmbeddedPostgres
server = {server}
server.start()
print({printed}, flush=True)
time.sleep(60)
"""
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def read_line(process: subprocess.Popen[str]) -> str:
    with cast("IO[str]", process.stdout) as stdout:
        return stdout.readline()


async def test_kafka_survives_a_kill_with_messages_and_commits(own_kafka: ApacheKafka) -> None:
    servers = own_kafka.bootstrap_servers
    await create_topic(servers, "letters", partitions=2)
    await send(servers, "letters", b"a", b"b")
    assert await receive(servers, "letters", 2) == [b"a", b"b"]
    own_kafka.kill()
    own_kafka.start()
    await send(servers, "letters", b"c")
    assert await receive(servers, "letters", 1) == [b"c"]


async def test_kafka_makes_no_topic_that_was_not_asked_for(
    real_kafka: Kafka, topic_prefix: str
) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=real_kafka.bootstrap_servers, request_timeout_ms=500
    ) as producer:
        with pytest.raises(UnknownTopicOrPartitionError):
            await producer.send_and_wait(f"{topic_prefix}.unheard-of", b"a")


async def test_the_mock_broker_keeps_messages_and_commits() -> None:
    with MockBroker() as broker:
        servers = broker.bootstrap_servers
        await send(servers, "letters", b"a", b"b")
        assert await receive(servers, "letters", 2, session_timeout_ms=1_200) == [b"a", b"b"]
        await send(servers, "letters", b"c")
        assert await receive(servers, "letters", 1, session_timeout_ms=1_200) == [b"c"]
