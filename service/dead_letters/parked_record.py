"""The record that is parked: the original's key and value, and headers that say why it is here.

The row of a dead letter in the table is `service.db.dead_letters.Letter`.
"""

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
"""The version of the headers of a dead letter."""

MESSAGE_BYTES = 1024
STACK_BYTES = 8192

_NAMESPACE = UUID("3f0e2b52-63c1-5d9c-8c1e-0e4d1a3c7b55")
"""Never change it: the ids of dead letters depend on it."""

_MOST_REPLAYS = 2**15
"""A record whose header counts more replays than this was not sent by this service."""

Headers = tuple[tuple[str, bytes], ...]

FailureStage = Literal["decode", "validate", "fetch", "prepare", "apply", "announce"]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A record as it came from a job topic, with its place there and the group that read it."""

    record: Record
    partition: int
    offset: int
    timestamp: datetime
    group: str
    provider_type: ProviderType

    @property
    def dead_letter_id(self) -> UUID:
        """The id of the dead letter that this record becomes.

        It depends on the record's place alone, so a record that is delivered twice is one letter.
        """
        return uuid5(_NAMESPACE, f"{self.record.topic}/{self.partition}/{self.offset}")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a record is parked: the error, its stage, and the number and the times of the attempts.

    `job` is None if the message could not be read as a job; `id_read` is then the job id, if at
    least that could be read. `cause` is the exception behind the error.
    `modules` are the ids of the modules that the rows are for, None if they are not known.
    """

    error: UploadError
    stage: FailureStage
    attempts: int
    first_at: datetime
    last_at: datetime
    job: Job | None = None
    cause: BaseException | None = None
    id_read: int | None = None
    modules: tuple[int, ...] | None = None

    @property
    def job_id(self) -> int | None:
        """The job's id, as far as it could be read; None otherwise."""
        return self.id_read if self.job is None else self.job.job_id

    @property
    def message(self) -> str:
        """The error's message without NUL characters, which a text column of PostgreSQL refuses."""
        return self.error.message.replace("\0", "\N{REPLACEMENT CHARACTER}")


@dataclass(frozen=True, slots=True)
class Replay:
    """Which letter a record was sent for, and how often that letter's message was replayed by then.

    It marks a replay, and also an edited copy: a copy names the letter that it was made from, and
    its count is 0, because it is a new upload. The record of an ordinary upload has no letter and
    the count 0.
    """

    of: UUID | None = None
    count: int = 0

    @classmethod
    def from_headers(cls, letter_headers: Headers) -> Self:
        """Read from a record's headers for which letter it was sent.

        If this service did not write the headers, the record counts as an ordinary upload.
        """
        values = {
            name: value or b""
            for name, value in letter_headers
            if name in {headers.DLQ_REPLAY_OF, headers.DLQ_REPLAY_COUNT}
        }
        try:
            of = UUID(values[headers.DLQ_REPLAY_OF].decode("ascii"))
            count = int(values[headers.DLQ_REPLAY_COUNT])
        except (KeyError, ValueError):
            return cls()
        if not 0 <= count <= _MOST_REPLAYS:
            return cls()
        return cls(of, count)

    def headers(self) -> Headers:
        """Return the headers that mark a record as sent for the letter."""
        return (
            (headers.DLQ_REPLAY_OF, str(self.of).encode()),
            (headers.DLQ_REPLAY_COUNT, str(self.count).encode()),
        )


def own_headers(record: Record) -> Headers:
    """Return a record's headers without those that this service adds to dead letters."""
    return tuple(
        (name, value) for name, value in record.headers if not name.startswith(headers.DLQ_PREFIX)
    )


def letter_headers(incoming: Incoming, failure: Failure) -> Headers:
    """Return a dead letter's headers: those of the original record, then those of this service.

    The headers of an earlier parking are replaced, so that replays do not let them grow.
    """
    added = tuple((name, value.encode()) for name, value in _added_headers(incoming, failure))
    return own_headers(incoming.record) + added


def _added_headers(incoming: Incoming, failure: Failure) -> Iterator[tuple[str, str]]:
    replay = Replay.from_headers(incoming.record.headers)
    cause = failure.cause or failure.error
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
    yield headers.DLQ_EXCEPTION_CLASS, type(cause).__name__
    yield headers.DLQ_MESSAGE, _truncate(failure.message, MESSAGE_BYTES)
    yield headers.DLQ_STACK, _truncate(stack_frames(cause), STACK_BYTES)
    yield headers.DLQ_STAGE, failure.stage
    yield headers.DLQ_ATTEMPTS, str(failure.attempts)
    yield headers.DLQ_FIRST_FAILURE, failure.first_at.isoformat()
    yield headers.DLQ_LAST_FAILURE, failure.last_at.isoformat()
    yield headers.DLQ_SERVICE_VERSION, __version__
    yield headers.DLQ_REPLAY_COUNT, str(replay.count)
    if replay.of is not None:
        yield headers.DLQ_REPLAY_OF, str(replay.of)


def _truncate(text: str, size: int) -> str:
    """Cut a text to so many bytes of UTF-8, and leave out a character that was cut in two."""
    return text.encode()[:size].decode("utf-8", "ignore")
