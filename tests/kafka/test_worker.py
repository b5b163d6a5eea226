"""From a record on a job topic to the event on `completed`, through a real broker."""

import signal
from pathlib import Path

import orjson
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from service.contract.events import completion_id
from service.domain.provider_types import DataEntrySource, ProviderType
from service.settings import Settings
from tests.support.jobs import Jobs, bad_purchase, purchase, purchases
from tests.support.university import BIOLOGY, PHYSICS, University
from tests.support.until import until
from tests.support.worker import CSV_PER_YEAR, client, process, running


@pytest.mark.parametrize(
    "provider_type", [one for one in ProviderType if one is not ProviderType.FACTORS]
)
async def test_a_job_of_every_topic_ends_in_an_event_and_in_rows(
    provider_type: ProviderType, settings: Settings, university: University, jobs: Jobs
) -> None:
    if "unit-specific" in provider_type.value:
        module = university.module(PHYSICS)
        message = jobs.message(provider_type, purchases(None, None), carbon_report_module_id=module)
    else:
        message = jobs.message(provider_type, purchases(PHYSICS, PHYSICS))
    async with client(settings) as kafka, running(settings):
        await kafka.send(provider_type, message)
        event = await kafka.event(1)
    source = DataEntrySource[provider_type.name]
    assert (event["outcome"], event["provider_type"]) == ("succeeded", provider_type.value)
    assert event["sources"] == [
        {"source": source.name, "deleted": 0, "inserted": 2, "remaining": 2}
    ]
    assert len(await university.scope(PHYSICS, source)) == 2


async def test_a_factors_job_ends_in_an_event_and_in_factors(
    settings: Settings, jobs: Jobs
) -> None:
    file = "country_code,ef_kg_co2eq_per_km\nCH,0.007\nFR,0.003\n"
    async with client(settings) as kafka, running(settings):
        await kafka.send(
            ProviderType.FACTORS, jobs.message(ProviderType.FACTORS, file, data_entry_type="train")
        )
        event = await kafka.event(1)
    assert event["outcome"] == "succeeded"
    assert event["sources"] == []
    assert event["factors"] == {"inserted": 2, "updated": 0, "deleted": 0, "remaining": 2}


async def test_an_event_is_a_cloudevent_in_binary_mode_keyed_by_the_scope(
    settings: Settings, university: University, jobs: Jobs
) -> None:
    async with client(settings) as kafka, running(settings):
        await kafka.send(CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, purchases(PHYSICS)))
        body = await kafka.event(1)
        (record,) = kafka.of_topic(kafka.topics.completed)
    event = from_binary(KafkaMessage(dict(record.headers), record.key, record.value), JSONFormat())
    assert event.get_type() == "uploads.job.completed"
    assert event.get_id() == str(completion_id(1))
    assert event.get_data() == body
    assert record.key == b"2025:66"


async def test_a_message_delivered_twice_is_answered_with_the_same_bytes_and_done_once(
    settings: Settings, university: University, jobs: Jobs
) -> None:
    message = jobs.message(CSV_PER_YEAR, purchases(PHYSICS))
    async with client(settings) as kafka, running(settings):
        await kafka.send(CSV_PER_YEAR, message, key=b"one partition")
        await kafka.event(1)
        await university.put(university.entry(PHYSICS, None))
        await kafka.send(CSV_PER_YEAR, message, key=b"and another one")
        await kafka.event(1, count=2)
        first, second = kafka.of_topic(kafka.topics.completed)
    assert (first.key, first.value, first.headers) == (second.key, second.value, second.headers)
    assert len(await university.scope(PHYSICS, DataEntrySource.CSV_MODULE_PER_YEAR)) == 1


POISON = {
    "not_json": b"{",
    "schema": b'{"job_id": 901, "year": 2025}',
    "unknown_type": b"""{
        "job_id": 902, "year": 2025, "data_entry_type": "biscuits",
        "file": {"url": "file:///x", "size": 1, "sha256": "%s"}
    }"""
    % (b"0" * 64),
    "tombstone": None,
}


async def test_poison_is_parked_with_its_bytes_and_the_next_message_goes_on(
    settings: Settings, university: University, jobs: Jobs
) -> None:
    key, headers = b"\x00\xff", [("trace", b"\xfe\xff"), ("empty", b"")]
    async with client(settings) as kafka:
        async with running(settings):
            for value in POISON.values():
                await kafka.send(CSV_PER_YEAR, value, key=key, headers=headers)
            await kafka.send(CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, purchases(PHYSICS)), key=key)
            assert (await kafka.event(1))["outcome"] == "succeeded"
            letters = await kafka.dead_letters(len(POISON))
        committed = await kafka.committed(CSV_PER_YEAR)
    assert [letter.value for letter in letters] == list(POISON.values())
    assert {letter.key for letter in letters} == {key}
    assert [dict(letter.headers)["dlq-code"].decode() for letter in letters] == list(POISON)
    assert all(list(letter.headers[:2]) == headers for letter in letters)
    assert sum(committed.values()) == len(POISON) + 1


async def test_a_worker_that_stops_as_soon_as_an_event_is_out_leaves_no_record_to_come_again(
    settings: Settings, university: University, jobs: Jobs
) -> None:
    async with client(settings) as kafka:
        async with running(settings):
            for _ in range(3):
                await kafka.send(
                    CSV_PER_YEAR,
                    jobs.message(CSV_PER_YEAR, purchases(PHYSICS)),
                    key=b"one partition",
                )
            await kafka.event(3)
        assert sum((await kafka.committed(CSV_PER_YEAR)).values()) == 3


async def test_who_waits_for_a_parked_job_is_told(
    settings: Settings, university: University, jobs: Jobs
) -> None:
    gone = {"url": (jobs.root / "gone.csv").as_uri(), "size": 1, "sha256": "0" * 64}
    async with client(settings) as kafka, running(settings):
        await kafka.send(CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, file=gone))
        event = await kafka.event(1)
        (record,) = kafka.of_topic(kafka.topics.completed)
    assert (event["outcome"], event["code"]) == ("parked", "file_gone")
    assert dict(record.headers)["ce_type"] == b"uploads.job.parked"
    assert dict(record.headers)["ce_id"].decode() == event["dead_letter_id"]


async def test_a_wrong_message_whose_job_id_can_be_read_is_told_too(settings: Settings) -> None:
    async with client(settings) as kafka, running(settings):
        await kafka.send(CSV_PER_YEAR, {"job_id": 77, "year": "last"})
        event = await kafka.event(77)
        (letter,) = await kafka.dead_letters(1)
    assert (event["outcome"], event["code"]) == ("parked", "schema")
    assert dict(letter.headers)["dlq-job-id"] == b"77"


async def test_progress_is_told_while_a_long_job_works(
    settings: Settings, university: University, jobs: Jobs
) -> None:
    often = settings.model_copy(
        update={"announce": settings.announce.model_copy(update={"progress_interval": 0.02})}
    )
    rows = [purchase(PHYSICS, f"Pipettes {number}") for number in range(40_000)]
    async with client(settings) as kafka, running(often):
        await kafka.send(CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, rows))
        await kafka.event(1)
        events = [orjson.loads(record.value) for record in kafka.of_topic(kafka.topics.progress)]
    done = [event["rows_done"] for event in events if event["stage"] == "inserting"]
    assert done == sorted(done)
    assert any(0 < count < 40_000 for count in done)
    assert all(event["bytes_done"] <= event["bytes_total"] for event in events)


async def test_a_worker_killed_between_commit_and_offset_loses_and_doubles_nothing(
    settings: Settings, university: University, jobs: Jobs, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    async with client(settings) as kafka:
        await kafka.send(
            CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, [*purchases(PHYSICS), bad_purchase(BIOLOGY)])
        )
        with process(settings, log, crash_at="after_commit") as worker:
            await until(lambda: worker.exit_code is not None, within=30, what="the worker is dead")
            assert worker.exit_code == -signal.SIGKILL
        assert len(await university.scope(PHYSICS, DataEntrySource.CSV_MODULE_PER_YEAR)) == 1
        assert kafka.events() == []
        assert await kafka.committed(CSV_PER_YEAR) == {}
        with process(settings, log):
            event = await kafka.event(1)

            async def is_committed() -> bool:
                return sum((await kafka.committed(CSV_PER_YEAR)).values()) == 1

            await until(is_committed, within=10, what="the offset is committed")
    assert (event["outcome"], event["attempts"]) == ("partial", 1)
    assert len(await university.scope(PHYSICS, DataEntrySource.CSV_MODULE_PER_YEAR)) == 1


async def test_sigterm_ends_an_idle_worker_with_success(settings: Settings, tmp_path: Path) -> None:
    with process(settings, tmp_path / "worker.log") as worker:
        await worker.ready()
        assert await worker.health("live") == 200
        assert await worker.health("startup") == 200
        worker.send(signal.SIGTERM)
        await until(lambda: worker.exit_code is not None, within=10, what="the worker has ended")
        assert worker.exit_code == 0
