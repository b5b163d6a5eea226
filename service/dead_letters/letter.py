"""What a dead letter says: the original's bytes, and in its headers why it is here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid5

from service import __version__
from service.domain import Job, ProviderType, Record
from service.errors import UploadError, frames

PREFIX = "dlq-"
SCHEMA_VERSION = "1"
MESSAGE_BYTES = 1024
STACK_BYTES = 8192

_NAMESPACE = UUID("3f0e2b52-63c1-5d9c-8c1e-0e4d1a3c7b55")

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
    """Why a record is given up: the error, where it happened, and how often it was tried since when."""

    error: UploadError
    stage: Stage
    attempts: int
    first_at: datetime
    last_at: datetime
    job: Job | None = None
    cause: BaseException | None = None


def headers(incoming: Incoming, failure: Failure) -> tuple[tuple[str, bytes], ...]:
    """The dead letter's headers: the original's own, then ours, none of them twice.

    Headers of an earlier parking are replaced, so replays do not let them grow.
    """
    original = tuple((name, value) for name, value in incoming.record.headers if not name.startswith(PREFIX))
    ours = tuple((f"{PREFIX}{name}", value.encode()) for name, value in _ours(incoming, failure))
    return original + ours


def _ours(incoming: Incoming, failure: Failure) -> Iterator[tuple[str, str]]:
    earlier = replay_headers(incoming.record.headers)
    yield "schema-version", SCHEMA_VERSION
    yield "id", str(incoming.dead_letter_id)
    yield "original-topic", incoming.record.topic
    yield "original-partition", str(incoming.partition)
    yield "original-offset", str(incoming.offset)
    yield "original-timestamp", incoming.timestamp.isoformat()
    yield "group", incoming.group
    if failure.job is not None:
        yield "job-id", str(failure.job.job_id)
        yield "scope", failure.job.key
    yield "code", failure.error.code
    yield "exception-class", type(failure.cause or failure.error).__name__
    yield "message", _cut(failure.error.message, MESSAGE_BYTES)
    yield "stack", _cut(frames(failure.cause or failure.error), STACK_BYTES)
    yield "stage", failure.stage
    yield "attempts", str(failure.attempts)
    yield "first-failure", failure.first_at.isoformat()
    yield "last-failure", failure.last_at.isoformat()
    yield "service-version", __version__
    yield "replay-count", earlier.get("replay-count", "0")
    if "replay-of" in earlier:
        yield "replay-of", earlier["replay-of"]


def replay_headers(of: tuple[tuple[str, bytes], ...]) -> Mapping[str, str]:
    """What a replayed record says about its earlier lives: `replay-count` and `replay-of`."""
    wanted = {f"{PREFIX}replay-count", f"{PREFIX}replay-of"}
    return {name.removeprefix(PREFIX): value.decode("utf-8", "replace") for name, value in of if name in wanted}


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode("utf-8", "ignore")
