"""The types that all packages share: jobs, results, states of dead letters, and Kafka records.

Messages and events have types of their own (`service.contract`), and so do the tables
(`service.db.tables`). These types do not depend on either.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self

from service.domain.provider_types import DataEntrySource, ProviderType, WriteMode
from service.domain.texts import TextValue, TextValues, message_of

MAX_JOB_ID = 2**53 - 1
"""The largest job id. JSON readers that store numbers as 64-bit floats round larger integers."""


class ReplaceScope(StrEnum):
    """Where a per-year job replaces the rows of its type and source.

    - `affected`: in the modules that have a valid row in the upload.
    - `year`: in all modules of the year, because the upload is a complete export. A module without
      a row in it loses its rows.
    """

    AFFECTED = "affected"
    YEAR = "year"


class OnRowError(StrEnum):
    """What happens when a row is invalid: the row is skipped, or the whole job is rejected."""

    SKIP = "skip"
    REJECT = "reject"


class Outcome(StrEnum):
    """How a job ended.

    - `succeeded`: all rows were valid, and all are written.
    - `partial`: the valid rows are written; the invalid ones are skipped.
    - `rejected`: the upload was refused, and `reason` says why. No row is changed.
    - `superseded`: a job that is newer, or above `based_on`, has already replaced rows of the same
      scope. No row is changed.
    """

    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"

    @property
    def changes_rows(self) -> bool:
        """Return True if a job with this outcome wrote or deleted rows."""
        return self in {Outcome.SUCCEEDED, Outcome.PARTIAL}


class LetterState(StrEnum):
    """The state of a dead letter.

    - `open`: parked, and waiting for an operator.
    - `claimed`: an operator's command is sending it at this moment.
    - `sent`: its replay was published, and its job has not ended yet.
    - `resolved`: its job has ended.
    - `failed`: its replay was parked again, as a new letter.
    - `quarantined`: parked after several replays; it is sent again only on explicit request.
    - `superseded`: a newer job has replaced everything that it would write.
    - `discarded`: an operator gave it up, with a reason.
    """

    OPEN = "open"
    CLAIMED = "claimed"
    SENT = "sent"
    RESOLVED = "resolved"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    SUPERSEDED = "superseded"
    DISCARDED = "discarded"


UNFINISHED = (LetterState.OPEN, LetterState.CLAIMED, LetterState.SENT, LetterState.QUARANTINED)
"""The states of dead letters that still need an end."""


@dataclass(frozen=True, slots=True)
class ClaimCheck:
    """A claim check: the message's description of a job's file.

    `size` (in bytes) and `sha256` (64 lower-case hexadecimal digits) describe the file as stored,
    so before decompression. `content_encoding` is `gzip`, `zstd` or None. After `expires_at` the
    file may be gone.
    """

    url: str
    size: int
    sha256: str
    content_encoding: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One upload: its message after validation, with every default filled in.

    The rows are in `file` or in `rows`, never in both. `fingerprint` is a sha256 of everything that
    the message asks for: two messages with the same job id and another fingerprint are different
    uploads.
    """

    job_id: int
    provider_type: ProviderType
    year: int
    data_entry_type_id: int
    fingerprint: str
    carbon_report_module_id: int | None = None
    file: ClaimCheck | None = None
    rows: tuple[dict[str, Any], ...] | None = None
    replace_scope: ReplaceScope = ReplaceScope.AFFECTED
    on_row_error: OnRowError = OnRowError.SKIP
    based_on: int | None = None
    submitted_by: int | None = None

    @property
    def is_factors(self) -> bool:
        """Return True if the rows are factors instead of data entries."""
        return self.provider_type.uploads_factors

    @property
    def source(self) -> DataEntrySource:
        """The source tag of the rows that this job writes.

        Raises `ValueError` for a factors job: factors have no source.
        """
        source = self.provider_type.source
        if source is None:
            raise ValueError(f"{self.provider_type} tags no rows")
        return source

    @property
    def mode(self) -> WriteMode:
        """Whether this job replaces older rows or appends to them."""
        return self.provider_type.write_mode

    @property
    def key(self) -> str:
        """The Kafka key of the job's messages and events: `year:type`, or the module's id.

        Jobs that may touch the same rows always have the same key, so they stay in order.
        """
        if self.carbon_report_module_id is not None:
            return str(self.carbon_report_module_id)
        return f"{self.year}:{self.data_entry_type_id}"

    @property
    def fence(self) -> int:
        """The highest job id that may be the head of this job's scopes.

        If the head of any scope is above this fence, the job ends `superseded`. Without `based_on`,
        the fence is just below the job's own id, so such a head is a newer job. With `based_on`,
        the fence may be lower, so such a head may be older than this job.
        """
        if self.based_on is None:
            return self.job_id - 1
        return min(self.job_id - 1, self.based_on)


class Placement(NamedTuple):
    """Where a row belongs: the ids of its module and of the module's unit."""

    module_id: int
    unit_id: int


@dataclass(frozen=True, slots=True)
class RowError:
    """Why one row was skipped.

    `row` counts data rows from 1. `code` and `values` are for programs; `message` is the English
    text made from them.
    """

    row: int
    column: str
    code: str
    message: str
    values: TextValues = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a whole job was rejected.

    `code` and `values` are for programs; `message` is the English text made from them.
    """

    code: str
    message: str
    values: TextValues = field(default_factory=dict)

    @classmethod
    def of(cls, code: str, case: str = "", /, **values: TextValue) -> Self:
        """Make a reason, with the text of this code and case."""
        return cls(code, message_of(code, case, values), values)


@dataclass(frozen=True, slots=True)
class SourceCounts:
    """How many rows of one source a job deleted, inserted and left, in the modules it affected.

    `source` is the number in the table. None means that the origin is unknown. A number that is not
    in `DataEntrySource` belongs to the application.
    """

    source: int | None
    deleted: int
    inserted: int
    remaining: int


@dataclass(frozen=True, slots=True)
class FactorCounts:
    """How many factors of its type and year a factors job inserted, updated, deleted and left."""

    inserted: int
    updated: int
    deleted: int
    remaining: int


@dataclass(frozen=True, slots=True)
class Result:
    """How a job ended; the completion event is made from it.

    `rows_processed + rows_skipped == rows_total` if the outcome is succeeded or partial.
    `superseded_by` is the id of the head above the job's fence, for a superseded job only.
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
    ignored_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record, byte for byte. A `value` of None is a tombstone."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Position:
    """The partition and offset of a record in its topic."""

    partition: int
    offset: int
