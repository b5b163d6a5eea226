"""The oracle of the fault tests: whatever the fault, ledger, rows, events and offsets must agree.

It asks PostgreSQL and Kafka directly, and knows from the uploads which rows must be there.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.contract.events import COMPLETED
from service.contract.topics import Topics
from service.domain.model import Outcome
from service.kafka.connection import connection_options
from service.settings import KafkaSettings
from tests.support.load import SentUpload
from tests.support.university import Scope

APPLIED = {Outcome.SUCCEEDED, Outcome.PARTIAL}

_LEDGER = text(
    "SELECT job_id, outcome, superseded_by, event_key, event_headers, event FROM upload_jobs"
)
_ROWS = text(
    "SELECT carbon_report_module_id, data_entry_type_id, source, data ->> 'name' FROM data_entries"
)
_LETTERS = text("SELECT id, original_topic, original_partition, original_offset FROM dead_letters")

Place: TypeAlias = tuple[str, int, int]
"""Topic, partition and offset."""


@dataclass(slots=True)
class Findings:
    """What is wrong, in words: `lost` is missing, `doubled` is there too often."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    parked: int = 0
    """The number of dead letters; they are not a fault by themselves."""

    @property
    def all(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.wrong]


@dataclass(frozen=True, slots=True)
class World:
    """The whole state of PostgreSQL and Kafka, read while nothing is at work."""

    ledger: Mapping[int, Any]
    rows: Mapping[Scope, Sequence[str]]
    letters: Mapping[Place, str]
    arrived: Sequence["ConsumerRecord[Any, Any]"]
    events: Sequence["ConsumerRecord[Any, Any]"]
    dead_letters: Sequence["ConsumerRecord[Any, Any]"]
    committed: Mapping[tuple[str, int], int]

    @classmethod
    async def read(cls, engine: AsyncEngine, kafka: KafkaSettings) -> "World":
        topics = Topics(kafka.topic_prefix)
        async with engine.connect() as conn:
            ledger = {row.job_id: row for row in await conn.execute(_LEDGER)}
            letters = {
                (row[1], row[2], row[3]): str(row[0]) for row in await conn.execute(_LETTERS)
            }
            rows: dict[Scope, list[str]] = defaultdict(list)
            for module, type_id, source, name in await conn.execute(_ROWS):
                rows[module, type_id, source].append(name)
        records = await records_of(kafka, [*topics.all_jobs, topics.completed, topics.dead_letter])
        return cls(
            ledger,
            rows,
            letters,
            [record for record in records if record.topic in topics.all_jobs],
            [record for record in records if record.topic == topics.completed],
            [record for record in records if record.topic == topics.dead_letter],
            await committed_offsets(kafka),
        )


async def examine(
    engine: AsyncEngine,
    kafka: KafkaSettings,
    uploads: Iterable[SentUpload],
    *,
    drained: bool = True,
) -> Findings:
    """Compare ledger, rows, events, dead letters and offsets with the uploads.

    `drained` means that every job that was sent must have ended.
    """
    world, findings = await World.read(engine, kafka), Findings()
    by_id = {upload.job_id: upload for upload in uploads}
    findings.parked = len(world.letters)
    _check_offsets(world, by_id, findings, drained=drained)
    _check_events(world, findings)
    _check_dead_letters(world, findings)
    _check_rows(world, by_id, findings)
    _check_numbers(world, by_id, findings)
    return findings


def _check_offsets(
    world: World, uploads: Mapping[int, SentUpload], findings: Findings, *, drained: bool
) -> None:
    """Check that every record below a committed offset is final in the ledger or parked.

    With `drained` this must be so for every record, and every offset must be committed.
    """
    for record in world.arrived:
        place = (record.topic, record.partition, record.offset)
        is_passed = record.offset < world.committed.get(place[:2], 0)
        if (is_passed or drained) and not (
            place in world.letters or _is_final(world, uploads, record)
        ):
            findings.lost.append(f"the record at {place} is neither final nor parked")
        if drained and not is_passed:
            findings.wrong.append(f"the offset of {place} is not committed")


def _is_final(
    world: World, uploads: Mapping[int, SentUpload], record: "ConsumerRecord[Any, Any]"
) -> bool:
    upload = next((one for one in uploads.values() if one.message == record.value), None)
    if upload is None or upload.job_id not in world.ledger:
        return False
    return world.ledger[upload.job_id].outcome is not None


def _check_events(world: World, findings: Findings) -> None:
    """Check that every final job has an event, and that no other job has one.

    All repeats of an event must be the stored bytes.
    """
    published: dict[int, Counter[tuple[Any, ...]]] = defaultdict(Counter)
    for record in world.events:
        if dict(record.headers)["ce_type"].decode() == COMPLETED:
            body = orjson.loads(record.value)
            published[body["job_id"]][record.key, record.value, tuple(record.headers)] += 1
    for job_id, line in world.ledger.items():
        if line.outcome is None:
            continue
        headers = tuple((name, value.encode()) for name, value in orjson.loads(line.event_headers))
        if not published[job_id]:
            findings.lost.append(f"nobody was told how job {job_id} ended")
        elif set(published[job_id]) != {(line.event_key, line.event, headers)}:
            findings.doubled.append(f"job {job_id} was announced in {len(published[job_id])} ways")
    final = {job_id for job_id, line in world.ledger.items() if line.outcome}
    for job_id in published.keys() - final:
        findings.wrong.append(f"job {job_id} was announced without having ended")


def _check_dead_letters(world: World, findings: Findings) -> None:
    """Check that every parked record is on the dead-letter topic with its own key and value."""
    originals = {
        (record.topic, record.partition, record.offset): record for record in world.arrived
    }
    on_topic: dict[str, set[tuple[Any, Any]]] = defaultdict(set)
    for record in world.dead_letters:
        on_topic[dict(record.headers)["dlq-id"].decode()].add((record.key, record.value))
    for place, letter_id in world.letters.items():
        original = originals[place]
        if not on_topic[letter_id]:
            findings.lost.append(
                f"the record at {place} is parked in the table and not in the topic"
            )
        elif on_topic[letter_id] != {(original.key, original.value)}:
            findings.wrong.append(f"the dead letter of {place} is not the original")
    for letter_id in on_topic.keys() - set(world.letters.values()):
        findings.wrong.append(f"dead letter {letter_id} has no row")


def _check_rows(world: World, uploads: Mapping[int, SentUpload], findings: Findings) -> None:
    """Check the rows of every scope.

    A replaced scope holds exactly the rows of the highest applied job, and an appended scope holds
    those of all applied jobs.
    """
    expected: dict[Scope, list[str]] = defaultdict(list)
    for upload in _applied(world, uploads):  # in the order of ids: the last one wins
        for scope, names in upload.scopes.items():
            if upload.replaces:
                expected[scope] = list(names)
            else:
                expected[scope] += names
    for scope in expected.keys() | world.rows.keys():
        missing = Counter(expected[scope]) - Counter(world.rows.get(scope, ()))
        surplus = Counter(world.rows.get(scope, ())) - Counter(expected[scope])
        findings.lost += [f"{name!r} is missing in {scope}" for name in missing.elements()]
        findings.doubled += [f"{name!r} is too much in {scope}" for name in surplus.elements()]


def _applied(world: World, uploads: Mapping[int, SentUpload]) -> list[SentUpload]:
    final = {job_id: line for job_id, line in world.ledger.items() if line.outcome in APPLIED}
    return [uploads[job_id] for job_id in sorted(final.keys() & uploads.keys())]


def _check_numbers(world: World, uploads: Mapping[int, SentUpload], findings: Findings) -> None:
    """Check that the numbers of an event are those of the rows.

    A superseded job must name a newer applied job that shares a scope with it.
    """
    applied = {upload.job_id: upload for upload in _applied(world, uploads)}
    newest = {scope: upload.job_id for upload in applied.values() for scope in upload.scopes}
    for job_id, upload in uploads.items():
        line = world.ledger.get(job_id)
        if line is None or line.outcome is None:
            continue
        if line.outcome == Outcome.SUPERSEDED:
            newer = applied.get(line.superseded_by)
            if (
                newer is None
                or line.superseded_by <= job_id
                or not newer.scopes.keys() & upload.scopes.keys()
            ):
                findings.wrong.append(
                    f"job {job_id} gave way to {line.superseded_by}, which is no newer one of its"
                )
        elif line.outcome not in APPLIED:
            findings.wrong.append(f"job {job_id} ended {line.outcome}")
        else:
            stated = _stated_counts(orjson.loads(line.event), upload)
            holds_all = upload.replaces and all(newest[scope] == job_id for scope in upload.scopes)
            written = sum(map(len, upload.names.values()))
            if stated != (written, written, written if holds_all else stated[2]):
                findings.wrong.append(
                    f"job {job_id} wrote {written} rows and its event says {stated}"
                )


def _stated_counts(event: Mapping[str, Any], upload: SentUpload) -> tuple[int, int, int]:
    """How many rows an event says were processed, inserted, and remain of its own source."""
    (own,) = (line for line in event["sources"] if line["source"] == upload.source.name)
    return event["rows"]["processed"], own["inserted"], own["remaining"]


async def committed_offsets(kafka: KafkaSettings) -> dict[tuple[str, int], int]:
    """The committed offsets of every group, by topic and partition."""
    admin = AIOKafkaAdminClient(**connection_options(kafka))
    await admin.start()
    try:
        groups = [
            await admin.list_consumer_group_offsets(topic)
            for topic in Topics(kafka.topic_prefix).all_jobs
        ]
    finally:
        await admin.close()
    return {
        (place.topic, place.partition): committed.offset
        for group in groups
        for place, committed in group.items()
    }


async def end_offsets(kafka: KafkaSettings) -> dict[tuple[str, int], int]:
    """The end offsets of all job topics, by topic and partition; empty partitions are left out."""
    async with _reading(kafka) as consumer:
        ends = await _ends(consumer, Topics(kafka.topic_prefix).all_jobs)
    return {(place.topic, place.partition): end for place, end in ends.items()}


async def records_of(
    kafka: KafkaSettings, topics: Sequence[str]
) -> list["ConsumerRecord[Any, Any]"]:
    """All records of these topics."""
    records: list[ConsumerRecord[Any, Any]] = []
    async with _reading(kafka) as consumer:
        ends = await _ends(consumer, topics)
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            batches = await consumer.getmany(timeout_ms=500)
            records += (record for batch in batches.values() for record in batch)
    return records


@asynccontextmanager
async def _reading(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **connection_options(kafka), auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _ends(consumer: AIOKafkaConsumer, topics: Sequence[str]) -> dict[TopicPartition, int]:
    # no public call asks the broker for the partitions of all topics
    await consumer._client.force_metadata_update()
    places = [
        TopicPartition(topic, n)
        for topic in topics
        for n in consumer.partitions_for_topic(topic) or ()
    ]
    consumer.assign(places)
    return {place: end for place, end in (await consumer.end_offsets(places)).items() if end}
