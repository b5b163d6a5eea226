"""An upload opened for reading: a stream of good rows, then its tally."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from service import crash
from service.domain.catalogue import UNIT
from service.domain.errors import Refusal, TooLarge
from service.domain.model import Job, OnRowError, Reason, RowError
from service.rows.checker import BadRow, CopyRow, EntryChecker, FactorChecker, key_of, line_of
from service.rows.copy_stream import joined_to_pieces, made_ahead, sorted_in_windows, without_thread
from service.rows.reject_file import RejectFile
from service.rows.table import Table

CHUNK_ROWS = 250
"""Rows checked at a time: larger chunks hold the interpreter's lock long enough to delay the event loop."""

LISTED_ERRORS = 100
"""Row errors that an event lists; the reject file has them all."""

Stage = Literal["fetching", "inserting", "replacing"]


@dataclass(slots=True)
class Progress:
    """How far a job has come; bytes are those stored while fetching, those of the spool while inserting."""

    stage: Stage = "fetching"
    rows_done: int = 0
    bytes_done: int = 0
    bytes_total: int | None = None


@dataclass(slots=True)
class Tally:
    """What was found in an upload, complete once its stream has ended."""

    total: int = 0
    processed: int = 0
    skipped: int = 0
    errors: list[RowError] = field(default_factory=list)
    identities_of_bad_rows: set[str] = field(default_factory=set)
    modules_of_bad_rows: set[int] = field(default_factory=set)
    refusal: Refusal | None = None

    def add(self, good: int, bad: list[BadRow]) -> None:
        self.processed += good
        self.skipped += len(bad)
        self.errors.extend(row.error for row in islice(bad, LISTED_ERRORS - len(self.errors)))
        self.identities_of_bad_rows.update(row.identity for row in bad if row.identity is not None)


class Upload:
    """A job's rows, checked as they are read. Read `lines()` to its end, then `tally` and `reason`."""

    def __init__(
        self,
        job: Job,
        table: Table,
        checker: EntryChecker | FactorChecker,
        rejects: RejectFile,
        *,
        max_rows: int,
        progress: Progress,
    ) -> None:
        self.job = job
        self.checker = checker
        self.rejects = rejects
        self.tally = Tally()
        self.progress = progress
        self._table = table
        self._max_rows = max_rows

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """The good rows as lines for COPY, many at a time; a worker thread makes them, unless they are few.

        Those of many modules come roughly in the order of their modules, each module's in the file's. A
        malformed file ends the stream early; `reason` then says so. Raises `TooLarge` above the cap.
        """
        make = without_thread if self._table.is_short else made_ahead
        async with aclosing(make(joined_to_pieces(self._on_their_way()))) as pieces:
            async for piece in pieces:
                yield piece
                crash.point("mid_copy")

    @property
    def reason(self) -> Reason | None:
        """Why the whole upload is refused, or None; known once the stream has ended."""
        tally = self.tally
        if tally.refusal is not None:
            return Reason.of(
                tally.refusal.code,
                tally.refusal.case,
                **{**tally.refusal.values, "after_row": tally.total},
            )
        if not tally.total:
            return Reason.of("no_rows", "header_alone")
        if not tally.processed:
            return Reason.of("no_valid_row", total=tally.total)
        if tally.skipped and self.job.on_row_error is OnRowError.REJECT:
            return Reason.of("invalid_row", skipped=tally.skipped, total=tally.total)
        return None

    def _on_their_way(self) -> Iterator[bytes]:
        spread = isinstance(self.checker, EntryChecker) and self.checker.destination is None
        for chunk in (
            sorted_in_windows(self._chunks(), key_of, CHUNK_ROWS) if spread else self._chunks()
        ):
            yield b"\n".join([*map(line_of, chunk), b""])

    def _chunks(self) -> Iterator[list[CopyRow]]:
        tally, checker = self.tally, self.checker
        while tally.refusal is None:
            rows, tally.refusal = self._table.take(CHUNK_ROWS)
            if not rows:
                return
            good, bad = checker.check(rows)
            self._count(len(good), bad)
            yield [] if self._is_refused_anyway() else good

    def _count(self, good: int, bad: list[BadRow]) -> None:
        self.tally.add(good, bad)
        self.tally.total = self.progress.rows_done = self.checker.rows_seen
        self.progress.bytes_done = self._table.position()
        if bad:
            self.rejects.add(bad)
            self.tally.modules_of_bad_rows.update(_modules_named(bad, self.checker))
        if self.tally.total > self._max_rows:
            raise TooLarge("rows", most=self._max_rows)

    def _is_refused_anyway(self) -> bool:
        return self.tally.skipped > 0 and self.job.on_row_error is OnRowError.REJECT


def _modules_named(bad: list[BadRow], checker: EntryChecker | FactorChecker) -> Iterator[int]:
    """The modules of the units that bad rows of a per-year upload name, where they name one."""
    if isinstance(checker, FactorChecker) or checker.destination is not None:
        return
    unit = checker.layout.positions[checker.layout.columns.index(UNIT)]
    for row in bad:
        name = "" if unit is None or unit >= len(row.cells) else row.cells[unit].strip()
        if name in checker.destinations:
            yield checker.destinations[name][0]
