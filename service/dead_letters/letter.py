"""What a dead letter says: the original's bytes, and in its headers why it is here."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self
from uuid import UUID, uuid5

from service import __version__
from service.contract import headers
from service.domain.errors import UploadError, stack_frames
from service.domain.model import Job, Record
from service.domain.provider_types import ProviderType

SCHEMA_VERSION = "1"
MESSAGE_BYTES = 1024
STACK_BYTES = 8192

_NAMESPACE = UUID("3f0e2b52-63c1-5d9c-8c1e-0e4d1a3c7b55")

_MOST_REPLAYS = 2**15

Headers = tuple[tuple[str, bytes], ...]
Stage = Literal["decode", "validate", "fetch", "prepare", "apply", "announce"]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A record as it came from a job topic, where it lay, and who read it."""

    record: Record
    partition: int
    offset: int
    timestamp: datetime
    group: str
    provider_type: ProviderType

    @property
    def dead_letter_id(self) -> UUID:
        """The id of the dead letter that this record becomes, however often it is parked."""
        return uuid5(_NAMESPACE, f"{self.record.topic}/{self.partition}/{self.offset}")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a record is given up: the error, where it happened, and how often it was tried since when.

    `modules` are those that its rows are for, where that is known.
    """

    error: UploadError
    stage: Stage
    attempts: int
    first_at: datetime
    last_at: datetime
    job: Job | None = None
    cause: BaseException | None = None
    id_read: int | None = None
    modules: tuple[int, ...] | None = None

    @property
    def job_id(self) -> int | None:
        """The job's id; of a message that is otherwise wrong, the one that could be read in it."""
        return self.id_read if self.job is None else self.job.job_id

    @property
    def message(self) -> str:
        """The error's message, as both a database and a header can hold it."""
        return self.error.message.replace("\0", "\N{REPLACEMENT CHARACTER}")


@dataclass(frozen=True, slots=True)
class Replay:
    """Which letter a record is a replay of, and the how many-th of it; a record of no letter's has 0."""

    of: UUID | None = None
    count: int = 0

    @classmethod
    def told_by(cls, letter_headers: Headers) -> Self:
        """What a record's headers say; where they are none that we wrote, it is no replay."""
        told = {
            name: value or b""
            for name, value in letter_headers
            if name in {headers.DLQ_REPLAY_OF, headers.DLQ_REPLAY_COUNT}
        }
        try:
            of = UUID(told[headers.DLQ_REPLAY_OF].decode("ascii"))
            count = int(told[headers.DLQ_REPLAY_COUNT])
        except (KeyError, ValueError):
            return cls()
        return cls(of, count) if 0 <= count <= _MOST_REPLAYS else cls()

    def headers(self) -> Headers:
        """The headers of a record that is sent as this replay."""
        return (
            (headers.DLQ_REPLAY_OF, str(self.of).encode()),
            (headers.DLQ_REPLAY_COUNT, str(self.count).encode()),
        )


def own_headers(record: Record) -> Headers:
    """A record's headers without those of a dead letter."""
    return tuple(
        (name, value) for name, value in record.headers if not name.startswith(headers.DLQ_PREFIX)
    )


def letter_headers(incoming: Incoming, failure: Failure) -> Headers:
    """The dead letter's headers: the original's own, then ours, none of them twice.

    Headers of an earlier parking are replaced, so replays do not let them grow.
    """
    ours = tuple((name, value.encode()) for name, value in _ours(incoming, failure))
    return own_headers(incoming.record) + ours


def _ours(incoming: Incoming, failure: Failure) -> Iterator[tuple[str, str]]:
    replay = Replay.told_by(incoming.record.headers)
    yield headers.DLQ_SCHEMA_VERSION, SCHEMA_VERSION
    yield headers.DLQ_ID, str(incoming.dead_letter_id)
    yield headers.DLQ_ORIGINAL_TOPIC, incoming.record.topic
    yield headers.DLQ_ORIGINAL_PARTITION, str(incoming.partition)
    yield headers.DLQ_ORIGINAL_OFFSET, str(incoming.offset)
    yield headers.DLQ_ORIGINAL_TIMESTAMP, incoming.timestamp.isoformat()
    yield headers.DLQ_GROUP, incoming.group
    if failure.job_id is not None:
        yield headers.DLQ_JOB_ID, str(failure.job_id)
    if failure.job is not None:
        yield headers.DLQ_SCOPE, failure.job.key
    yield headers.DLQ_CODE, failure.error.code
    yield headers.DLQ_EXCEPTION_CLASS, type(failure.cause or failure.error).__name__
    yield headers.DLQ_MESSAGE, _cut(failure.message, MESSAGE_BYTES)
    yield headers.DLQ_STACK, _cut(stack_frames(failure.cause or failure.error), STACK_BYTES)
    yield headers.DLQ_STAGE, failure.stage
    yield headers.DLQ_ATTEMPTS, str(failure.attempts)
    yield headers.DLQ_FIRST_FAILURE, failure.first_at.isoformat()
    yield headers.DLQ_LAST_FAILURE, failure.last_at.isoformat()
    yield headers.DLQ_SERVICE_VERSION, __version__
    yield headers.DLQ_REPLAY_COUNT, str(replay.count)
    if replay.of is not None:
        yield headers.DLQ_REPLAY_OF, str(replay.of)


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode("utf-8", "ignore")
