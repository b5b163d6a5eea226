"""Waiting for a job to end."""

import asyncio
from collections.abc import AsyncIterator

import typer

from service.cli.results import EXIT_CODES, show_end
from service.cli.screen import Screen, Waiting
from service.contract.events import UploadCompleted, UploadParked, UploadProgress
from service.kafka.event_stream import ReceivedEvent

NO_ANSWER = 7
"""The exit code when a job's end was not told in time."""


async def wait_for_end(
    events: AsyncIterator[ReceivedEvent],
    job_id: int,
    patience: float,
    screen: Screen,
    *,
    as_json: bool,
) -> int:
    """Show how a job goes and ends; the exit code that says it. `patience` in seconds."""
    try:
        async with asyncio.timeout(patience):
            with screen.waiting("waiting for a worker") as waiting:
                end, value = await _end_of(events, job_id, waiting)
    except TimeoutError:
        typer.echo(
            f"No answer within {patience:g} s: the job may still wait, or be at work. "
            f"`uploads watch --job {job_id} --from-beginning` tells when it ends.",
            err=True,
        )
        return NO_ANSWER
    if as_json:
        typer.echo(value)
    else:
        show_end(screen, end)
    return EXIT_CODES[end.outcome]


async def _end_of(
    events: AsyncIterator[ReceivedEvent], job_id: int, waiting: Waiting
) -> tuple[UploadCompleted | UploadParked, bytes]:
    async for heard in events:
        if heard.event.job_id != job_id:
            continue
        if not isinstance(heard.event, UploadProgress):
            return heard.event, heard.value
        waiting.show(heard.event)
    raise AssertionError("events never end")
