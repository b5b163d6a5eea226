"""The domain's words as types: who uploads, what a job may touch, how it ended.

Standard library only. The wire has its own types (`messages`), the database too (`db.tables`).
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from service.domain.provider_types import DataEntrySource, ProviderType, WriteMode
from service.domain.texts import Value, Values, message_of

MAX_JOB_ID = 2**53 - 1
"""The largest job id that every JSON reader keeps exact."""


class ReplaceScope(StrEnum):
    """How far a per-year job replaces: the modules it has rows for, or the whole year."""

    AFFECTED = "affected"
    YEAR = "year"


class OnRowError(StrEnum):
    """What an invalid row does to its job: it is skipped, or the whole job is rejected."""

    SKIP = "skip"
    REJECT = "reject"


class Outcome(StrEnum):
    """How a job ended, for good. The last two left the tables unchanged."""

    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"

    @property
    def changes_rows(self) -> bool:
        return self in {Outcome.SUCCEEDED, Outcome.PARTIAL}


class LetterState(StrEnum):
    """Where a dead letter stands. `claimed`: an operator is sending it; `failed`: it came back as a new letter."""

    OPEN = "open"
    CLAIMED = "claimed"
    SENT = "sent"
    RESOLVED = "resolved"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    SUPERSEDED = "superseded"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class FileRef:
    """A claim check: where a job's file lies, and what its bytes as stored must be."""

    url: str
    size: int
    sha256: str
    content_encoding: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One upload, as the service works on it: its message, checked and with every default filled in."""

    job_id: int
    provider_type: ProviderType
    year: int
    data_entry_type_id: int
    fingerprint: str
    carbon_report_module_id: int | None = None
    file: FileRef | None = None
    rows: tuple[dict[str, Any], ...] | None = None
    replace_scope: ReplaceScope = ReplaceScope.AFFECTED
    on_row_error: OnRowError = OnRowError.SKIP
    based_on: int | None = None
    submitted_by: int | None = None

    @property
    def is_factors(self) -> bool:
        return self.provider_type.uploads_factors

    @property
    def source(self) -> DataEntrySource:
        """The tag of the rows that this job writes. A factors job has none (`ValueError`)."""
        source = self.provider_type.source
        if source is None:
            raise ValueError(f"{self.provider_type} tags no rows")
        return source

    @property
    def mode(self) -> WriteMode:
        return self.provider_type.write_mode

    @property
    def key(self) -> str:
        """The scope in words, which is the partition key: `year:type`, or the module's id."""
        if self.carbon_report_module_id is not None:
            return str(self.carbon_report_module_id)
        return f"{self.year}:{self.data_entry_type_id}"

    @property
    def fence(self) -> int:
        """The highest job id that this job may find in its scopes and still go on."""
        return min(self.job_id - 1, self.job_id if self.based_on is None else self.based_on)


@dataclass(frozen=True, slots=True)
class RowError:
    """Why one row was skipped: `row` counts data rows from 1, `code` is for programs.

    `message` is the English text of the code and the `values`.
    """

    row: int
    column: str
    code: str
    message: str
    values: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a whole job was rejected: `code` for programs, `message` for a person.

    `message` is the English text of the code and the `values`.
    """

    code: str
    message: str
    values: Values = field(default_factory=dict)

    @classmethod
    def of(cls, code: str, case: str = "", /, **values: Value) -> Self:
        """The reason of this code, with its text."""
        return cls(code, message_of(code, case, values), values)


@dataclass(frozen=True, slots=True)
class SourceCounts:
    """What one job did to the rows of one source, in the modules it affected.

    `source` is the stored value: None is unknown origin, a number we don't know is the application's own.
    """

    source: int | None
    deleted: int
    inserted: int
    remaining: int


@dataclass(frozen=True, slots=True)
class FactorCounts:
    """What a factors job did to the factors of its type and year."""

    inserted: int
    updated: int
    deleted: int
    remaining: int


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that a job's completion event says about what happened.

    `rows_processed + rows_skipped == rows_total` where the outcome is succeeded or partial.
    """

    outcome: Outcome
    rows_total: int = 0
    rows_processed: int = 0
    rows_skipped: int = 0
    row_errors: tuple[RowError, ...] = ()
    reason: Reason | None = None
    reject_file: str | None = None
    sources: tuple[SourceCounts, ...] = ()
    factors: FactorCounts | None = None
    affected_modules: tuple[int, ...] = ()
    superseded_by: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record to be sent, exactly as these bytes."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Position:
    """Where the broker put a record."""

    partition: int
    offset: int
