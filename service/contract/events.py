"""Events: what they say, and how they become Kafka records.

The records follow CloudEvents 1.0 in Kafka's binary mode: the attributes of an event are headers,
and the value is plain JSON.
"""

from datetime import UTC, datetime
from typing import Any, Literal, Self
from uuid import UUID, uuid4, uuid5

from cloudevents.core.bindings.kafka import to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from pydantic import BaseModel, ConfigDict

from service.domain.catalogue import entry_type
from service.domain.model import Job, Outcome, Record, Result
from service.domain.provider_types import source_name

COMPLETED = "uploads.job.completed"
PARKED = "uploads.job.parked"
PROGRESS = "uploads.job.progress"

_NAMESPACE = UUID("8f0f2c6e-5a0e-5c5e-9b1d-6d7c1f6a4a10")
"""The namespace of the ids of completion events.

Never change it: every job would get another id, and consumers drop repeated events by their id.
"""


class _Body(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)


class Rows(_Body):
    """How many rows. `total == processed + skipped` if the outcome is succeeded or partial."""

    total: int
    processed: int
    skipped: int


class RowErrorLine(_Body):
    """One skipped row. `row` counts data rows from 1; `message` is made from code and values."""

    row: int
    column: str
    code: str
    message: str
    values: dict[str, Any] = {}


class ReasonLine(_Body):
    """Why the whole job was rejected. `message` is made from the code and the values."""

    code: str
    message: str
    values: dict[str, Any] = {}


class SourceLine(_Body):
    """The rows of one source in the affected modules. If `source` is null, it is unknown."""

    source: str | None
    deleted: int
    inserted: int
    remaining: int


class FactorsLine(_Body):
    """What a factors job did to the factors of its type and year."""

    inserted: int
    updated: int
    deleted: int
    remaining: int


class UploadCompleted(_Body):
    """How a job ended. `row_errors` has the first 100; the reject file has all of them.

    `ignored_columns` has the names in the header that the type does not know, 100 at most.
    """

    schema_version: Literal[1] = 1
    job_id: int
    provider_type: str
    outcome: Outcome
    year: int
    data_entry_type: str
    rows: Rows
    row_errors: list[RowErrorLine]
    reason: ReasonLine | None
    reject_file: str | None
    ignored_columns: list[str] = []
    sources: list[SourceLine]
    factors: FactorsLine | None
    affected_modules: list[int]
    superseded_by: int | None
    attempts: int
    started_at: datetime
    finished_at: datetime

    @classmethod
    def of(
        cls, job: Job, result: Result, *, attempts: int, started_at: datetime, finished_at: datetime
    ) -> Self:
        """The event of a job that ended with `result`."""
        reason = None
        if result.reason is not None:
            reason = ReasonLine.model_validate(result.reason)

        factors = None
        if result.factors is not None:
            factors = FactorsLine.model_validate(result.factors)

        return cls(
            job_id=job.job_id,
            provider_type=job.provider_type.value,
            outcome=result.outcome,
            year=job.year,
            data_entry_type=entry_type(job.data_entry_type_id).name,
            rows=Rows(
                total=result.rows_total,
                processed=result.rows_processed,
                skipped=result.rows_skipped,
            ),
            row_errors=[RowErrorLine.model_validate(error) for error in result.row_errors],
            reason=reason,
            reject_file=result.reject_file,
            ignored_columns=list(result.ignored_columns),
            sources=_source_lines(result),
            factors=factors,
            affected_modules=list(result.affected_modules),
            superseded_by=result.superseded_by,
            attempts=attempts,
            started_at=started_at,
            finished_at=finished_at,
        )


def _source_lines(result: Result) -> list[SourceLine]:
    return [
        SourceLine(
            source=source_name(counts.source),
            deleted=counts.deleted,
            inserted=counts.inserted,
            remaining=counts.remaining,
        )
        for counts in result.sources
    ]


class UploadParked(_Body):
    """A job was parked in the dead-letter topic. A replay may still complete it."""

    schema_version: Literal[1] = 1
    job_id: int
    provider_type: str
    outcome: Literal["parked"] = "parked"
    code: str
    message: str
    values: dict[str, Any] = {}
    dead_letter_id: UUID


class UploadProgress(_Body):
    """How far a job has come.

    A job sends one such event every `UPLOADS_ANNOUNCE__PROGRESS_INTERVAL` seconds.
    """

    schema_version: Literal[1] = 1
    job_id: int
    stage: Literal["fetching", "inserting", "replacing"]
    rows_done: int
    bytes_done: int
    bytes_total: int | None


def progress_record(job: Job, progress: Any, *, topic: str, source: str) -> Record:
    """The Kafka record of a progress event.

    `progress` needs the attributes `stage`, `rows_done`, `bytes_done` and `bytes_total`.
    """
    body = UploadProgress(
        job_id=job.job_id,
        stage=progress.stage,
        rows_done=progress.rows_done,
        bytes_done=progress.bytes_done,
        bytes_total=progress.bytes_total,
    )
    return to_record(
        body,
        topic=topic,
        event_type=PROGRESS,
        event_id=uuid4(),
        at=datetime.now(UTC),
        source=source,
        key=job.key,
    )


def completion_id(job_id: int) -> UUID:
    """The id of a job's completion event: always the same, so consumers can drop repeats."""
    return uuid5(_NAMESPACE, str(job_id))


def to_record(
    body: BaseModel,
    *,
    topic: str,
    event_type: str,
    event_id: UUID,
    at: datetime,
    source: str,
    key: str,
) -> Record:
    """The Kafka record of an event: its attributes in `ce_` headers, the body as JSON in the value.

    `event_type` is one of the types above, `at` the event's time, `source` its CloudEvents source.
    """
    attributes = {
        "specversion": "1.0",
        "id": str(event_id),
        "source": source,
        "type": event_type,
        "time": at,
        "datacontenttype": "application/json",
    }
    event = CloudEvent(attributes=attributes, data=body.model_dump_json().encode())
    message = to_binary(event, JSONFormat(), key_mapper=lambda _: key)
    return Record(topic, key.encode(), message.value, tuple(message.headers.items()))
