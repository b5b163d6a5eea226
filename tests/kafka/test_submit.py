"""`uploads submit` and `uploads watch`, beside a worker on a real broker."""

import asyncio
import gzip
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import zstandard
from aiokafka import AIOKafkaConsumer
from sqlalchemy import text

from service.domain.provider_types import DataEntrySource
from service.kafka.connection import connection_options
from service.settings import Settings
from tests.support.command import Ran, finished, start
from tests.support.files import listing
from tests.support.jobs import bad_purchase, csv_of, purchase, purchases
from tests.support.university import BIOLOGY, PHYSICS, University
from tests.support.until import until
from tests.support.worker import Client, client, environment, running

PURCHASES = ("--type=other_purchases", "--year=2025")
GOOD = csv_of(purchases(PHYSICS, PHYSICS))
NAME = "les achats 50%.csv"
NOTHING_ELSE = {"content_encoding": None, "expires_at": None}


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """A good file, outside of the storage root."""
    path = tmp_path / NAME
    path.write_text(GOOD, "utf-8")
    return path


async def submit(settings: Settings, path: Path, *options: str) -> Ran:
    return await finished("submit", path, *PURCHASES, *options, **environment(settings))


def stored(root: Path) -> list[str]:
    """The files below the storage root."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def test_a_file_from_elsewhere_is_copied_submitted_and_taken_over(
    settings: Settings, university: University, root: Path, csv: Path
) -> None:
    async with client(settings), running(settings):
        ran = await submit(settings, csv, "--wait", "--timeout=30")
    assert ran.exit_code == 0, ran.err
    job_id, *result = ran.out.splitlines()
    assert result[0] == f"Job {job_id}: succeeded"
    assert result[1].startswith("2 rows, 2 taken over, 0 invalid; ")
    assert stored(root) == [f"submitted/{job_id}/{NAME}"]
    rows = await university.scope(PHYSICS, DataEntrySource.CSV_MODULE_PER_YEAR)
    assert [row.created_by_id for row in rows] == [int(job_id)] * 2


async def test_a_file_below_the_root_stays_where_it_is(
    settings: Settings, university: University, root: Path
) -> None:
    path = root / "2025" / NAME
    path.parent.mkdir()
    path.write_text(GOOD, "utf-8")
    async with client(settings), running(settings):
        ran = await submit(settings, path.parent / ".." / "2025" / NAME, "--wait", "--timeout=30")
    assert ran.exit_code == 0, ran.err
    assert stored(root) == [f"2025/{NAME}"]


async def test_the_message_says_what_was_asked_for(
    settings: Settings, university: University, csv: Path
) -> None:
    topic = f"{settings.kafka.topic_prefix}.csv-module-per-year"
    async with client(settings):
        ran = await submit(
            settings, csv, "--replace-scope=year", "--submitted-by=17", "--job-id=8123", "--json"
        )
        record = await first_of(settings, topic)
    message = orjson.loads(record.value)
    assert ran.json == {
        "job_id": 8123,
        "topic": topic,
        "key": "2025:66",
        "file": message["file"] | NOTHING_ELSE,
    }
    assert record.key == b"2025:66"
    assert message["file"]["url"] == f"{settings.storage.root}/submitted/8123/{quote(NAME)}"
    assert (message["data_entry_type"], message["replace_scope"], message["submitted_by"]) == (
        "other_purchases",
        "year",
        17,
    )


async def test_without_waiting_the_id_alone_is_printed_from_the_sequence(
    settings: Settings, university: University, csv: Path
) -> None:
    async with client(settings):
        ids = [int((await submit(settings, csv)).out) for _ in range(2)]
    async with university.engine.connect() as conn:
        assert ids == sorted(ids)
        assert await conn.scalar(text("SELECT last_value FROM upload_job_id_seq")) == ids[-1]


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".zst", zstandard.ZstdCompressor().compress)]
)
async def test_a_compressed_file_is_taken_as_such(
    suffix: str,
    compress: Callable[[bytes], bytes],
    settings: Settings,
    university: University,
    tmp_path: Path,
) -> None:
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(compress(GOOD.encode()))
    async with client(settings), running(settings):
        assert (await submit(settings, path, "--wait", "--timeout=30")).exit_code == 0


async def test_rows_in_json_travel_inside_the_message(
    settings: Settings, university: University, root: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(orjson.dumps([purchase(PHYSICS, quantity=2), bad_purchase(BIOLOGY)]))
    async with client(settings) as kafka, running(settings):
        ran = await submit(
            settings, path, "--provider=api-module-per-year", "--wait", "--timeout=30", "--json"
        )
        (record,) = await ended(kafka)
    assert ran.exit_code == 3
    assert ran.out.encode() == record.value + b"\n"
    assert listing(root) == ["rejected"]


async def test_a_unit_specific_upload_names_its_module(
    settings: Settings, university: University, tmp_path: Path
) -> None:
    path = tmp_path / "lab.csv"
    path.write_text(csv_of(purchases(None)), "utf-8")
    module = university.module(PHYSICS)
    async with client(settings), running(settings):
        ran = await submit(settings, path, f"--module={module}", "--wait", "--timeout=30")
    assert ran.exit_code == 0
    assert f"1 affected module: {module}" in ran.out
    assert len(await university.scope(PHYSICS, DataEntrySource.CSV_MODULE_UNIT_SPECIFIC)) == 1


async def test_the_exit_code_tells_how_the_job_ended(
    settings: Settings, university: University, csv: Path, tmp_path: Path
) -> None:
    bad, mixed = tmp_path / "bad.csv", tmp_path / "mixed.csv"
    bad.write_text(csv_of([bad_purchase(PHYSICS)]), "utf-8")
    mixed.write_text(csv_of([*purchases(PHYSICS), bad_purchase(PHYSICS)]), "utf-8")
    async with client(settings), running(settings):
        partial = await submit(settings, mixed, "--wait", "--timeout=30", "--job-id=100")
        rejected = await submit(settings, bad, "--wait", "--timeout=30", "--job-id=101")
        superseded = await submit(settings, csv, "--wait", "--timeout=30", "--job-id=99")
        parked = await submit(settings, csv, "--wait", "--timeout=30", "--job-id=100")
    assert [ran.exit_code for ran in (partial, rejected, superseded, parked)] == [3, 4, 5, 6]
    assert "Job 101: rejected. None of the 1 rows is valid" in rejected.out
    assert "Job 99: superseded. Job 100 is newer" in superseded.out
    assert "Job 100: parked (job_id_conflict)" in parked.out


async def test_no_answer_in_time_is_told_and_the_job_stays(
    settings: Settings, university: University, csv: Path
) -> None:
    async with client(settings) as kafka:
        ran = await submit(settings, csv, "--wait", "--timeout=1", "--job-id=7")
        assert ran.exit_code == 7
        assert "uploads watch --job 7" in ran.err
        async with running(settings):
            assert (await kafka.event(7))["outcome"] == "succeeded"


async def test_progress_is_shown_while_a_job_is_at_work(
    settings: Settings, university: University, tmp_path: Path
) -> None:
    often = settings.model_copy(
        update={"announce": settings.announce.model_copy(update={"progress_interval": 0.01})}
    )
    path = tmp_path / "large.csv"
    path.write_text(csv_of(purchases(PHYSICS) * 20_000), "utf-8")
    async with client(settings), running(often):
        ran = await submit(settings, path, "--wait", "--timeout=60")
    assert ran.exit_code == 0
    assert "rows, " in ran.err
    assert any(line.startswith("inserting: ") for line in ran.err.splitlines())


async def test_where_no_worker_ever_was_nothing_is_left_behind(
    settings: Settings, university: University, root: Path, csv: Path
) -> None:
    ran = await submit(settings, csv)
    assert ran.exit_code == 1
    assert "start a worker" in ran.err
    assert ran.err.count("\n") == 1
    assert listing(root) == []
    async with university.engine.connect() as conn:
        assert not await conn.scalar(text("SELECT is_called FROM upload_job_id_seq"))


@pytest.mark.parametrize("command", ["submit", "watch"])
async def test_a_broker_that_does_not_answer_is_told_in_a_line(
    command: str, settings: Settings, csv: Path
) -> None:
    nowhere = environment(settings) | {"UPLOADS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    ran = await finished(command, *((csv, *PURCHASES) if command == "submit" else ()), **nowhere)
    assert ran.exit_code == 1
    assert ran.err.startswith('Kafka does not answer. Unable connect to "127.0.0.1:1"')
    assert ran.err.count("\n") == 1


async def test_a_database_that_does_not_answer_is_told_in_a_line(
    settings: Settings, kafka: Any, csv: Path, root: Path
) -> None:
    nowhere = environment(settings) | {
        "UPLOADS_DATABASE__URL": "postgresql://u:s3cret@127.0.0.1:1/carbon"
    }
    async with client(settings):
        ran = await finished("submit", csv, *PURCHASES, **nowhere)
    assert ran.exit_code == 1
    assert "UPLOADS_DATABASE__URL" in ran.err
    assert ran.err.count("\n") == 1
    assert listing(root) == []


async def test_watching_shows_what_ends_until_it_is_told_to_stop(
    settings: Settings, university: University, csv: Path
) -> None:
    async with client(settings), running(settings):
        await submit(settings, csv, "--job-id=7", "--wait", "--timeout=30")
        await submit(settings, csv, "--job-id=7", "--wait", "--timeout=30", "--on-row-error=reject")
        async with watching(settings, "--from-beginning") as (watch, lines):
            await until(lambda: len(lines) == 2, within=30, what="what has ended is shown")
            await submit(settings, csv, "--job-id=9")
            await until(lambda: len(lines) == 3, within=30, what="what ends now is shown")
            watch.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(watch.wait(), 10) == 0
    assert {line.split("  ")[1] for line in lines} == {
        "job 7 succeeded",
        "job 7 parked",
        "job 9 succeeded",
    }


async def test_watching_one_job_as_json(
    settings: Settings, university: University, csv: Path
) -> None:
    async with client(settings) as kafka, running(settings):
        for job_id in (7, 8):
            await submit(settings, csv, f"--job-id={job_id}", "--wait", "--timeout=30")
        async with watching(settings, "--from-beginning", "--json", "--job=8") as (_, lines):
            await until(lambda: lines, within=30, what="the job is shown")
        event = await kafka.event(8)
    assert [orjson.loads(line) for line in lines] == [event]


@asynccontextmanager
async def watching(
    settings: Settings, *options: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[str]]]:
    """Run `uploads watch`; yield its process, and the list of lines that it has written so far."""
    watch = await start("watch", *options, **environment(settings))
    lines: list[str] = []
    reading = asyncio.create_task(_read(watch.stdout, lines))
    try:
        yield watch, lines
    finally:
        if watch.returncode is None:
            watch.kill()
        await reading
        await watch.wait()


async def _read(out: asyncio.StreamReader | None, lines: list[str]) -> None:
    assert out is not None
    while line := await out.readline():
        lines.append(line.decode().rstrip("\n"))


async def first_of(settings: Settings, topic: str) -> Any:
    """The first record of a topic."""
    consumer = AIOKafkaConsumer(
        topic, **connection_options(settings.kafka), auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        return await asyncio.wait_for(consumer.getone(), 30)
    finally:
        await consumer.stop()


async def ended(kafka: Client) -> list[Any]:
    """The records of the completed topic, once there are any."""

    async def some() -> list[Any]:
        await kafka.read()
        return kafka.of_topic(kafka.topics.completed)

    return list(await until(some, within=30, what="an event has arrived"))
