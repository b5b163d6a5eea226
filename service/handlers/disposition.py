"""What happens to a record's offset once the record was processed."""

from dataclasses import dataclass

from service.db.ledger import LedgerLine


@dataclass(frozen=True, slots=True)
class Commit:
    """The record is finished: commit the offset behind it. `line` is of the job that was
    announced.
    """

    line: LedgerLine | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The record must come again: seek back to it now, then wait so many seconds."""

    seconds: float


Disposition = Commit | Retry
"""What happens to a record's offset."""
