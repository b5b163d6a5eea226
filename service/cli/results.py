"""How a job ended, for people: in one line, or in tables."""

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
"""The exit code of a command that shows how a job ended, by the job's outcome."""

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
    """Return a job's end, or its progress, in one line."""
    match event:
        case UploadParked():
            return (
                f"job {event.job_id} parked  {event.provider_type}  {event.code}: {event.message}"
            )
        case UploadProgress():
            return f"job {event.job_id} {event.stage}  {event.rows_done:,} rows"
    upload = f"{event.provider_type} {event.data_entry_type} {event.year}"
    end = f"{_describe_rows(event)}{_describe_reason(event)}"
    return f"job {event.job_id} {event.outcome}  {upload}  {end}"


def show_end(screen: Screen, event: UploadCompleted | UploadParked) -> None:
    """Show all that its event says about how a job ended."""
    style = STYLES[event.outcome]
    if isinstance(event, UploadParked):
        screen.line(f"Job {event.job_id}: parked ({event.code})", style)
        screen.line(event.message)
        command = f"uploads dead-letters show {event.dead_letter_id}"
        screen.line(f"`{command}` says more; a replay may still complete it.")
        return

    seconds = (event.finished_at - event.started_at).total_seconds()
    screen.line(f"Job {event.job_id}: {event.outcome}{_describe_reason(event)}", style)
    screen.line(f"{_describe_rows(event)}; {seconds:.1f} s, attempt {event.attempts}")
    show_details(screen, event)


def show_preview(screen: Screen, name: str, event: UploadCompleted) -> None:
    """Show how a job with the file of this name would end."""
    outcome = f"{event.outcome}{_describe_reason(event)}"
    screen.line(f"{name} would be {outcome}", STYLES[event.outcome])
    screen.line(_describe_rows(event))
    show_details(screen, event)


def show_details(screen: Screen, event: UploadCompleted) -> None:
    """Show what a job changed, or would change, and the columns and rows that it did not read."""
    if event.ignored_columns:
        screen.line(f"Ignored columns: {', '.join(event.ignored_columns)}", "yellow")
    if event.affected_modules:
        screen.line(_describe_modules(event.affected_modules))
    if event.sources:
        _show_sources(screen, event.sources)
    if event.factors is not None:
        _show_factors(screen, event.factors)
    if event.row_errors:
        _show_errors(screen, event.row_errors, event.rows.skipped)
    if event.reject_file is not None:
        screen.line(f"All invalid rows: {event.reject_file}")


def _describe_rows(event: UploadCompleted) -> str:
    rows = event.rows
    total = _count_of(rows.total, "row")
    return f"{total}, {rows.processed:,} taken over, {rows.skipped:,} invalid"


def _describe_reason(event: UploadCompleted) -> str:
    """Return why the job changed nothing, as a further sentence; empty if there is no reason."""
    if event.superseded_by is not None:
        return f". Job {event.superseded_by} is newer and has replaced the same rows"
    if event.reason is not None:
        return f". {event.reason.message}"
    return ""


def _describe_modules(modules: list[int]) -> str:
    count = _count_of(len(modules), "affected module")
    shown = ", ".join(map(str, modules[:SHOWN_MODULES]))
    hidden = len(modules) - SHOWN_MODULES
    if hidden <= 0:
        return f"{count}: {shown}"
    return f"{count}: {shown}, and {hidden:,} more (--json lists them)"


def _count_of(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


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
