"""What people see of a job: lines, tables, and an exit code."""

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console

from service.cli.results import show_end, show_preview, summary
from service.cli.screen import Screen
from service.cli.wait import NO_ANSWER, wait_for_end
from service.contract.events import UploadCompleted, UploadParked, UploadProgress
from service.kafka.event_stream import Event, ReceivedEvent

AT = datetime(2026, 3, 18, 14, tzinfo=UTC)
PARKED = UploadParked(
    job_id=7,
    provider_type="factors",
    code="wrong_size",
    message="It was cut short.",
    dead_letter_id=UUID(int=5),
)
PROGRESS: dict[str, Any] = {
    "stage": "inserting",
    "rows_done": 1500,
    "bytes_done": 10000,
    "bytes_total": 40000,
}


def completed(outcome: str = "partial", **changes: Any) -> UploadCompleted:
    body: dict[str, Any] = {
        "job_id": 7,
        "provider_type": "csv-module-per-year",
        "outcome": outcome,
        "year": 2025,
        "data_entry_type": "other_purchases",
        "rows": {"total": 10000, "processed": 9999, "skipped": 1},
        "row_errors": [error(17)],
        "reason": None,
        "reject_file": "file:///srv/a.csv.7.rejected.csv",
        "sources": [
            {"source": "CSV_MODULE_PER_YEAR", "deleted": 9000, "inserted": 9999, "remaining": 9999},
            {"source": None, "deleted": 0, "inserted": 0, "remaining": 12},
        ],
        "factors": None,
        "affected_modules": [1002, 1010],
        "superseded_by": None,
        "attempts": 1,
        "started_at": AT,
        "finished_at": AT + timedelta(seconds=3.25),
    }
    return UploadCompleted.model_validate(body | changes)


def error(row: int) -> dict[str, Any]:
    return {
        "row": row,
        "column": "quantity",
        "code": "not_a_number",
        "message": '"[red]0,5" is no number.',
    }


def shown(show: Any, *arguments: Any, terminal: bool = False) -> str:
    out = io.StringIO()
    show(Screen(Console(file=out, force_terminal=terminal, width=100, highlight=False)), *arguments)
    return out.getvalue()


def test_a_result_has_everything_that_the_event_says() -> None:
    assert shown(show_end, completed()).splitlines() == [
        "Job 7: partial",
        "10,000 rows, 9,999 taken over, 1 invalid; 3.2 s, attempt 1",
        "2 affected modules: 1002, 1010",
        "source               deleted  inserted  remaining",
        "CSV_MODULE_PER_YEAR  9,000    9,999     9,999",
        "unknown (NULL)       0        0         12",
        "row  column    code          message",
        '17   quantity  not_a_number  "[red]0,5" is no number.',
        "All invalid rows: file:///srv/a.csv.7.rejected.csv",
    ]


def test_columns_that_were_not_read_are_told() -> None:
    out = shown(show_end, completed("succeeded", ignored_columns=["colour", "[red]Note"]))
    assert "Ignored columns: colour, [red]Note\n" in out


def test_on_a_terminal_the_tables_are_drawn_and_cells_are_no_markup() -> None:
    out = shown(show_end, completed(), terminal=True)
    assert "┃" in out
    assert '"[red]0,5" is no number.' in out
    assert "\x1b[33mJob 7: partial" in out


def test_factors_have_counts_of_their_own() -> None:
    counts = {"inserted": 1, "updated": 2, "deleted": 3, "remaining": 4}
    lines = shown(show_end, completed("succeeded", sources=[], factors=counts)).splitlines()
    assert [line.split() for line in lines[3:5]] == [["factors", *counts], ["1", "2", "3", "4"]]


def test_of_many_errors_and_modules_the_first_are_shown_and_the_others_counted() -> None:
    many = completed(
        rows={"total": 500, "processed": 200, "skipped": 300},
        row_errors=[error(row) for row in range(1, 101)],
        affected_modules=list(range(1, 2301)),
    )
    out = shown(show_end, many)
    assert out.count("not_a_number") == 20
    assert "… and 280 more invalid rows" in out
    assert "2,300 affected modules: 1, 2, 3" in out
    assert "48, 49, 50, and 2,250 more" in out


def test_a_rejected_job_says_why_and_a_superseded_one_by_whom() -> None:
    reason = {"code": "missing_column", "message": "The header lacks `name`."}
    assert "Job 7: rejected. The header lacks `name`." in shown(
        show_end, completed("rejected", reason=reason)
    )
    assert "Job 7: superseded. Job 9 is newer" in shown(
        show_end, completed("superseded", superseded_by=9)
    )


def test_a_parked_job_says_why_and_how_to_learn_more() -> None:
    out = shown(show_end, PARKED)
    assert "Job 7: parked (wrong_size)" in out
    assert "It was cut short." in out
    assert "uploads dead-letters show 00000000-0000-0000-0000-000000000005" in out


def test_a_preview_says_what_would_be() -> None:
    assert shown(show_preview, "a.csv", completed()).startswith(
        "a.csv would be partial\n10,000 rows"
    )


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            completed("succeeded"),
            (
                "job 7 succeeded  csv-module-per-year other_purchases 2025  "
                "10,000 rows, 9,999 taken over, 1 invalid"
            ),
        ),
        (PARKED, "job 7 parked  factors  wrong_size: It was cut short."),
    ],
)
def test_an_end_in_a_line(event: Event, line: str) -> None:
    assert summary(event) == line


async def events(*sent: Event, for_ever: bool = False) -> AsyncIterator[ReceivedEvent]:
    for event in sent:
        yield ReceivedEvent(event, event.model_dump_json().encode(), AT)
    if for_ever:
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("end", "exit_code"),
    [
        (completed("succeeded"), 0),
        (completed("partial"), 3),
        (completed("rejected"), 4),
        (completed("superseded"), 5),
        (PARKED, 6),
    ],
)
async def test_the_exit_code_tells_the_outcome(
    end: Event, exit_code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await wait_for_end(events(end), 7, 1, Screen(), as_json=True) == exit_code
    assert capsys.readouterr().out == end.model_dump_json() + "\n"


async def test_other_jobs_are_none_of_its_business(capsys: pytest.CaptureFixture[str]) -> None:
    others = [completed("rejected", job_id=6), UploadProgress(job_id=8, **PROGRESS)]
    assert (
        await wait_for_end(events(*others, completed("succeeded")), 7, 1, Screen(), as_json=False)
        == 0
    )
    assert capsys.readouterr().err == ""


async def test_progress_is_told_beside_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    going = UploadProgress(job_id=7, **PROGRESS)
    await wait_for_end(events(going, completed("succeeded")), 7, 1, Screen(), as_json=True)
    assert capsys.readouterr().err == "inserting: 1,500 rows, 10,000 of 40,000 bytes\n"


async def test_on_a_terminal_progress_is_a_bar_that_goes_away() -> None:
    out = io.StringIO()
    screen = Screen(Console(file=out, force_terminal=True, width=100, highlight=False))
    going = UploadProgress(job_id=7, **PROGRESS)
    await wait_for_end(events(going, completed("succeeded")), 7, 1, screen, as_json=False)
    bar, _, result = out.getvalue().partition("Job 7: succeeded")
    assert "1,500 rows" in bar
    assert " 25%" in bar
    assert "10,000 rows" in result


async def test_no_answer_in_time_has_an_exit_code_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        await wait_for_end(events(for_ever=True), 7, 0.05, Screen(), as_json=False)
        == NO_ANSWER
        == 7
    )
    assert "uploads watch --job 7 --from-beginning" in capsys.readouterr().err
