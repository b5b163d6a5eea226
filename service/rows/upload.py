"""An upload that is ready to be read: a stream of its good rows, then what was found in it."""

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
from service.rows.copy_stream import (
    join_into_pieces,
    run_ahead_in_thread,
    run_in_this_thread,
    sort_in_windows,
)
from service.rows.reject_file import RejectFile
from service.rows.table import Table

CHUNK_ROWS = 250
"""Rows that are checked at a time. The worker thread holds the interpreter's lock meanwhile, so
larger chunks would delay the event loop."""

LISTED_ERRORS = 100
"""The most row errors that an event lists; the reject file has them all."""

ProgressStage = Literal["fetching", "inserting", "replacing"]


@dataclass(slots=True)
class Progress:
    """How far a job has come.

    The bytes are first those of the stored file, while it is fetched. Then they are those of the
    decompressed local file: `bytes_done` begins again at 0, a little before the stage becomes
    `inserting`, because the header is read in between. `bytes_total` is None as long as it is not
    known, and for inline rows.
    """

    stage: ProgressStage = "fetching"
    rows_done: int = 0
    bytes_done: int = 0
    bytes_total: int | None = None


@dataclass(slots=True)
class Tally:
    """What was found in an upload; complete when its stream has ended.

    `total` counts the rows, `processed` the good ones and `skipped` the bad ones. `errors` are the
    first `LISTED_ERRORS` row errors. `identities_of_bad_rows` are the factors' identities that bad
    rows name, `modules_of_bad_rows` the modules of the units that they name, as far as these can be
    read. `refusal` is set if the file is malformed after the rows that were read.
    """

    total: int = 0
    processed: int = 0
    skipped: int = 0
    errors: list[RowError] = field(default_factory=list)
    identities_of_bad_rows: set[str] = field(default_factory=set)
    modules_of_bad_rows: set[int] = field(default_factory=set)
    refusal: Refusal | None = None

    def add(self, good: int, bad: list[BadRow]) -> None:
        """Count so many good rows and these bad ones; list the first errors."""
        self.processed += good
        self.skipped += len(bad)
        self.errors.extend(row.error for row in islice(bad, LISTED_ERRORS - len(self.errors)))
        self.identities_of_bad_rows.update(row.identity for row in bad if row.identity is not None)


class Upload:
    """A job's rows, which are checked while they are read.

    Read `lines()` to its end; `tally`, `reason` and `rejects` are complete only then. `progress` is
    updated while the rows are read. `is_written` becomes True once the database has all good rows;
    the job's transaction sets it.
    """

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
        self.is_written = False
        self._table = table
        self._max_rows = max_rows

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """The good rows as lines for COPY, many lines in each item.

        A worker thread reads and checks the rows, unless they are few. Rows of several modules come
        roughly in the order of the modules; the rows of one module keep the order of the file. A
        malformed file ends the stream early, and `reason` then says so. Raises `TooLarge` if there
        are more rows than allowed.
        """
        iterator = join_into_pieces(self._lines_of_chunks())
        if self._table.is_short:
            stream = run_in_this_thread(iterator)
        else:
            stream = run_ahead_in_thread(iterator)

        async with aclosing(stream) as pieces:
            async for piece in pieces:
                yield piece
                crash.point("mid_copy")

    @property
    def reason(self) -> Reason | None:
        """Why the whole upload is refused, or None; known when the stream has ended."""
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

    def _lines_of_chunks(self) -> Iterator[bytes]:
        chunks = self._chunks_of_good_rows()
        has_many_modules = (
            isinstance(self.checker, EntryChecker) and self.checker.destination is None
        )
        if has_many_modules:
            chunks = sort_in_windows(chunks, key_of, CHUNK_ROWS)

        for chunk in chunks:
            # The last item is empty so that the last line ends with a newline, as COPY needs it.
            yield b"\n".join([*map(line_of, chunk), b""])

    def _chunks_of_good_rows(self) -> Iterator[list[CopyRow]]:
        tally, checker = self.tally, self.checker
        while tally.refusal is None:
            rows, tally.refusal = self._table.take(CHUNK_ROWS)
            if not rows:
                return
            good, bad = checker.check(rows)
            self._count_rows(len(good), bad)
            # A refused job sends no more rows; the rest of the file is read to find all errors.
            yield [] if self._is_refused_for_bad_rows() else good

    def _count_rows(self, good: int, bad: list[BadRow]) -> None:
        """Count the rows of a chunk, and keep the bad ones. Raises `TooLarge`."""
        self.tally.add(good, bad)
        self.tally.total = self.progress.rows_done = self.checker.rows_seen
        self.progress.bytes_done = self._table.position()
        if bad:
            self.rejects.add(bad)
            self.tally.modules_of_bad_rows.update(_modules_of(bad, self.checker))
        if self.tally.total > self._max_rows:
            raise TooLarge("rows", most=self._max_rows)

    def _is_refused_for_bad_rows(self) -> bool:
        return self.tally.skipped > 0 and self.job.on_row_error is OnRowError.REJECT


def _modules_of(bad: list[BadRow], checker: EntryChecker | FactorChecker) -> Iterator[int]:
    """The modules of the known units that the bad rows of a per-year upload name."""
    if isinstance(checker, FactorChecker) or checker.destination is not None:
        return

    position = checker.layout.position_of(UNIT)
    if position is None:
        return
    for row in bad:
        if position >= len(row.cells):
            continue
        destination = checker.destinations.get(row.cells[position].strip())
        if destination is not None:
            module_id, _ = destination
            yield module_id
