"""How a job ended, for people: a line, or a page of tables."""

from typing import Final

from service.cli.screen import Screen
from service.contract.events import (
    FactorsLine,
    RowErrorLine,
    SourceLine,
    UploadCompleted,
    UploadParked,
    UploadProgress,
)
from service.kafka.event_stream import Event

EXIT_CODES: Final = {"succeeded": 0, "partial": 3, "rejected": 4, "superseded": 5, "parked": 6}
"""What a command that waits for a job ends with, by the job's outcome."""

STYLES: Final = {
    "succeeded": "green",
    "partial": "yellow",
    "rejected": "red",
    "superseded": "magenta",
    "parked": "red",
}

SHOWN_ERRORS = 20
SHOWN_MODULES = 50


def summary(event: Event) -> str:
    """A job's end, or its progress, in a line."""
    match event:
        case UploadParked():
            return (
                f"job {event.job_id} parked  {event.provider_type}  {event.code}: {event.message}"
            )
        case UploadProgress():
            return f"job {event.job_id} {event.stage}  {event.rows_done:,} rows"
    what = f"{event.provider_type} {event.data_entry_type} {event.year}"
    return f"job {event.job_id} {event.outcome}  {what}  {_rows(event)}{_because(event)}"


def show_end(screen: Screen, event: UploadCompleted | UploadParked) -> None:
    """All that is known about how a job ended."""
    style = STYLES[event.outcome]
    if isinstance(event, UploadParked):
        screen.line(f"Job {event.job_id}: parked ({event.code})", style)
        screen.line(event.message)
        screen.line(
            f"`uploads dead-letters show {event.dead_letter_id}` says more; a replay may still complete it."
        )
        return
    seconds = (event.finished_at - event.started_at).total_seconds()
    screen.line(f"Job {event.job_id}: {event.outcome}{_because(event)}", style)
    screen.line(f"{_rows(event)}; {seconds:.1f} s, attempt {event.attempts}")
    show_details(screen, event)


def show_preview(screen: Screen, name: str, event: UploadCompleted) -> None:
    """All that is known about how a job with the file of this name would end."""
    screen.line(f"{name} would be {event.outcome}{_because(event)}", STYLES[event.outcome])
    screen.line(_rows(event))
    show_details(screen, event)


def show_details(screen: Screen, event: UploadCompleted) -> None:
    """The tables of what a job changed, or would change, and of the rows that it skipped."""
    if event.affected_modules:
        screen.line(_modules(event.affected_modules))
    if event.sources:
        _show_sources(screen, event.sources)
    if event.factors is not None:
        _show_factors(screen, event.factors)
    if event.row_errors:
        _show_errors(screen, event.row_errors, event.rows.skipped)
    if event.reject_file is not None:
        screen.line(f"All invalid rows: {event.reject_file}")


def _rows(event: UploadCompleted) -> str:
    rows = event.rows
    return f"{rows.total:,} {_plural(rows.total, 'row')}, {rows.processed:,} taken over, {rows.skipped:,} invalid"


def _because(event: UploadCompleted) -> str:
    if event.superseded_by is not None:
        return f". Job {event.superseded_by} is newer and has replaced the same"
    return f". {event.reason.message}" if event.reason is not None else ""


def _modules(modules: list[int]) -> str:
    listed = ", ".join(map(str, modules[:SHOWN_MODULES]))
    more = (
        f", and {len(modules) - SHOWN_MODULES:,} more (--json lists them)"
        if len(modules) > SHOWN_MODULES
        else ""
    )
    return f"{len(modules):,} affected {_plural(len(modules), 'module')}: {listed}{more}"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _show_sources(screen: Screen, lines: list[SourceLine]) -> None:
    rows = [
        (line.source or "unknown (NULL)", line.deleted, line.inserted, line.remaining)
        for line in lines
    ]
    counts = ("deleted", "inserted", "remaining")
    screen.table(("source", *counts), rows, numbers=counts)


def _show_factors(screen: Screen, counts: FactorsLine) -> None:
    row = (counts.inserted, counts.updated, counts.deleted, counts.remaining)
    headings = ("inserted", "updated", "deleted", "remaining")
    screen.table(("factors", *headings), [("", *row)], numbers=headings)


def _show_errors(screen: Screen, errors: list[RowErrorLine], total: int) -> None:
    rows = [(error.row, error.column, error.code, error.message) for error in errors[:SHOWN_ERRORS]]
    screen.table(("row", "column", "code", "message"), rows, numbers=("row",))
    if total > len(rows):
        screen.line(f"… and {total - len(rows):,} more invalid rows")
