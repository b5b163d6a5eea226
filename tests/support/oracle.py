"""The oracle of the fault tests: ledger, rows, events and offsets must agree, whatever happened.

It asks PostgreSQL and Kafka directly, and knows from the uploads themselves which rows must be there.
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
from tests.support.load import Upload
from tests.support.university import Scope

APPLIED = {Outcome.SUCCEEDED, Outcome.PARTIAL}

_LEDGER = text(
    "SELECT job_id, outcome, superseded_by, event_key, event_headers, event FROM upload_jobs"
)
_ROWS = text(
    "SELECT carbon_report_module_id, data_entry_type_id, source, data ->> 'name' FROM data_entries"
)
_LETTERS = text("SELECT id, original_topic, original_partition, original_offset FROM dead_letters")

Record: TypeAlias = "ConsumerRecord[Any, Any]"
Place: TypeAlias = tuple[str, int, int]
"""Topic, partition and offset."""


@dataclass(slots=True)
class Findings:
    """What is not as it must be, in words: `lost` what is missing, `doubled` what is there too often."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    parked: int = 0
    """Dead letters; not a fault by itself."""

    @property
    def all(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.wrong]


@dataclass(frozen=True, slots=True)
class World:
    """Everything there is to see, read at one moment of rest."""

    ledger: Mapping[int, Any]
    rows: Mapping[Scope, Sequence[str]]
    letters: Mapping[Place, str]
    arrived: Sequence[Record]
    events: Sequence[Record]
    dead_letters: Sequence[Record]
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
    engine: AsyncEngine, kafka: KafkaSettings, uploads: Iterable[Upload], *, drained: bool = True
) -> Findings:
    """Compare everything with everything. `drained` says that all that was sent must have come to its end."""
    world, findings = await World.read(engine, kafka), Findings()
    by_id = {upload.job_id: upload for upload in uploads}
    findings.parked = len(world.letters)
    _offsets(world, by_id, findings, drained=drained)
    _events(world, findings)
    _dead_letters(world, findings)
    _rows(world, by_id, findings)
    _numbers(world, by_id, findings)
    return findings


def _offsets(
    world: World, uploads: Mapping[int, Upload], findings: Findings, *, drained: bool
) -> None:
    """Every record below a committed offset, or every one, is final in the ledger or parked."""
    for record in world.arrived:
        place = (record.topic, record.partition, record.offset)
        is_passed = record.offset < world.committed.get(place[:2], 0)
        if (is_passed or drained) and not (
            place in world.letters or _is_final(world, uploads, record)
        ):
            findings.lost.append(f"the record at {place} is neither final nor parked")
        if drained and not is_passed:
            findings.wrong.append(f"the offset of {place} is not committed")


def _is_final(world: World, uploads: Mapping[int, Upload], record: Record) -> bool:
    upload = next((one for one in uploads.values() if one.message == record.value), None)
    line = upload and world.ledger.get(upload.job_id)
    return bool(line and line.outcome)


def _events(world: World, findings: Findings) -> None:
    """Every final line has an event, all its repeats are the stored bytes, and nobody else has one."""
    heard: dict[int, Counter[tuple[Any, ...]]] = defaultdict(Counter)
    for record in world.events:
        if dict(record.headers)["ce_type"].decode() == COMPLETED:
            body = orjson.loads(record.value)
            heard[body["job_id"]][record.key, record.value, tuple(record.headers)] += 1
    for job_id, line in world.ledger.items():
        if line.outcome is None:
            continue
        headers = tuple((name, value.encode()) for name, value in orjson.loads(line.event_headers))
        if not heard[job_id]:
            findings.lost.append(f"nobody was told how job {job_id} ended")
        elif set(heard[job_id]) != {(line.event_key, line.event, headers)}:
            findings.doubled.append(f"job {job_id} was announced in {len(heard[job_id])} ways")
    for job_id in heard.keys() - {job_id for job_id, line in world.ledger.items() if line.outcome}:
        findings.wrong.append(f"job {job_id} was announced without having ended")


def _dead_letters(world: World, findings: Findings) -> None:
    """Every parked record lies in the dead-letter topic with its own key and value."""
    originals = {
        (record.topic, record.partition, record.offset): record for record in world.arrived
    }
    there: dict[str, set[tuple[Any, Any]]] = defaultdict(set)
    for record in world.dead_letters:
        there[dict(record.headers)["dlq-id"].decode()].add((record.key, record.value))
    for place, letter_id in world.letters.items():
        original = originals[place]
        if not there[letter_id]:
            findings.lost.append(
                f"the record at {place} is parked in the table and not in the topic"
            )
        elif there[letter_id] != {(original.key, original.value)}:
            findings.wrong.append(f"the dead letter of {place} is not the original")
    for letter_id in there.keys() - set(world.letters.values()):
        findings.wrong.append(f"dead letter {letter_id} has no row")


def _rows(world: World, uploads: Mapping[int, Upload], findings: Findings) -> None:
    """A replaced scope holds exactly the highest applied job's rows, an appended one those of all of them."""
    expected: dict[Scope, list[str]] = defaultdict(list)
    for upload in _applied(world, uploads):  # in the order of ids: the last one wins
        for scope, names in upload.scopes.items():
            expected[scope] = list(names) if upload.replaces else expected[scope] + list(names)
    for scope in expected.keys() | world.rows.keys():
        missing = Counter(expected[scope]) - Counter(world.rows.get(scope, ()))
        surplus = Counter(world.rows.get(scope, ())) - Counter(expected[scope])
        findings.lost += [f"{name!r} is missing in {scope}" for name in missing.elements()]
        findings.doubled += [f"{name!r} is too much in {scope}" for name in surplus.elements()]


def _applied(world: World, uploads: Mapping[int, Upload]) -> list[Upload]:
    final = {job_id: line for job_id, line in world.ledger.items() if line.outcome in APPLIED}
    return [uploads[job_id] for job_id in sorted(final.keys() & uploads.keys())]


def _numbers(world: World, uploads: Mapping[int, Upload], findings: Findings) -> None:
    """An event's numbers are those of the rows, and only a newer applied job on a shared scope supersedes."""
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
            told = _told(orjson.loads(line.event), upload)
            holds_all = upload.replaces and all(newest[scope] == job_id for scope in upload.scopes)
            written = sum(map(len, upload.names.values()))
            if told != (written, written, written if holds_all else told[2]):
                findings.wrong.append(
                    f"job {job_id} wrote {written} rows and its event says {told}"
                )


def _told(event: Mapping[str, Any], upload: Upload) -> tuple[int, int, int]:
    (own,) = (line for line in event["sources"] if line["source"] == upload.source.name)
    return event["rows"]["processed"], own["inserted"], own["remaining"]


async def committed_offsets(kafka: KafkaSettings) -> dict[tuple[str, int], int]:
    """Where every group has got to, by topic and partition."""
    admin = AIOKafkaAdminClient(**connection_options(kafka))
    await admin.start()
    try:
        found = [
            await admin.list_consumer_group_offsets(topic)
            for topic in Topics(kafka.topic_prefix).all_jobs
        ]
    finally:
        await admin.close()
    return {(at.topic, at.partition): kept.offset for group in found for at, kept in group.items()}


async def end_offsets(kafka: KafkaSettings) -> dict[tuple[str, int], int]:
    """Where every job topic that holds anything ends, by topic and partition."""
    async with _reading(kafka) as consumer:
        ends = await _ends(consumer, Topics(kafka.topic_prefix).all_jobs)
    return {(place.topic, place.partition): end for place, end in ends.items()}


async def records_of(kafka: KafkaSettings, topics: Sequence[str]) -> list[Record]:
    """All records of these topics."""
    records: list[Record] = []
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
    await (
        consumer._client.force_metadata_update()
    )  # which asks for all topics, as no other call does
    places = [
        TopicPartition(topic, n)
        for topic in topics
        for n in consumer.partitions_for_topic(topic) or ()
    ]
    consumer.assign(places)
    return {place: end for place, end in (await consumer.end_offsets(places)).items() if end}
