"""The domain's words as types: who uploads, what a job may touch, how it ended.

Standard library only. The wire has its own types (`messages`), the database too (`db.tables`).
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum, StrEnum
from typing import Any

MAX_JOB_ID = 2**53 - 1
"""The largest job id that every JSON reader keeps exact."""


class ProviderType(StrEnum):
    """Who uploads, and how; each has a Kafka topic of its own, named after it."""

    CSV_MODULE_PER_YEAR = "csv-module-per-year"
    CSV_MODULE_UNIT_SPECIFIC = "csv-module-unit-specific"
    API_MODULE_PER_YEAR = "api-module-per-year"
    API_MODULE_UNIT_SPECIFIC = "api-module-unit-specific"
    EXTERNAL_INTEGRATION = "external-integration"
    FACTORS = "factors"


class DataEntrySource(IntEnum):
    """The tag on every row: where it came from. The values are persisted: never renumber."""

    USER_MANUAL = 0
    CSV_MODULE_PER_YEAR = 1
    CSV_MODULE_UNIT_SPECIFIC = 2
    API_MODULE_PER_YEAR = 3
    API_MODULE_UNIT_SPECIFIC = 4
    EXTERNAL_INTEGRATION = 5


def source_name(source: int | None) -> str | None:
    """A source as events and people write it; the number itself where it is none of ours."""
    if source is None:
        return None
    return DataEntrySource(source).name if source in set(DataEntrySource) else str(source)


class WriteMode(Enum):
    """What a job does to the rows that its own kind of upload put there before."""

    REPLACE = "replace"
    APPEND = "append"


SOURCES: dict[ProviderType, DataEntrySource] = {
    ProviderType.CSV_MODULE_PER_YEAR: DataEntrySource.CSV_MODULE_PER_YEAR,
    ProviderType.CSV_MODULE_UNIT_SPECIFIC: DataEntrySource.CSV_MODULE_UNIT_SPECIFIC,
    ProviderType.API_MODULE_PER_YEAR: DataEntrySource.API_MODULE_PER_YEAR,
    ProviderType.API_MODULE_UNIT_SPECIFIC: DataEntrySource.API_MODULE_UNIT_SPECIFIC,
    ProviderType.EXTERNAL_INTEGRATION: DataEntrySource.EXTERNAL_INTEGRATION,
}
"""The source that each provider type writes; factors are reference data and have none."""

UNIT_SPECIFIC = frozenset({ProviderType.CSV_MODULE_UNIT_SPECIFIC, ProviderType.API_MODULE_UNIT_SPECIFIC})
"""The kinds that name one module themselves, and append to it."""


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
        return self.provider_type is ProviderType.FACTORS

    @property
    def source(self) -> DataEntrySource:
        """The tag of the rows this job writes; a factors job has none (`KeyError`)."""
        return SOURCES[self.provider_type]

    @property
    def mode(self) -> WriteMode:
        return WriteMode.APPEND if self.provider_type in UNIT_SPECIFIC else WriteMode.REPLACE

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
    """Why one row was skipped: `row` counts data rows from 1, `code` is for programs."""

    row: int
    column: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a whole job was rejected: `code` for programs, `message` for a person."""

    code: str
    message: str


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
