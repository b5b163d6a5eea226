"""Waiting for a job to end."""

import asyncio
from collections.abc import AsyncIterator

import typer

from service.cli.results import EXIT_CODES, show_end
from service.cli.screen import Screen, Waiting
from service.contract.events import UploadCompleted, UploadParked, UploadProgress
from service.kafka.event_stream import ReceivedEvent

NO_ANSWER = 7
"""The exit code if the job has not ended in time, or no event said so."""


async def wait_for_end(
    events: AsyncIterator[ReceivedEvent],
    job_id: int,
    patience: float,
    screen: Screen,
    *,
    as_json: bool,
) -> int:
    """Show the progress and the end of a job, and return the exit code for it.

    Waits for `patience` seconds; after that, the exit code is `NO_ANSWER`.
    """
    try:
        async with asyncio.timeout(patience):
            with screen.waiting("waiting for a worker") as waiting:
                end, value = await _receive_end(events, job_id, waiting)
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


async def _receive_end(
    events: AsyncIterator[ReceivedEvent], job_id: int, waiting: Waiting
) -> tuple[UploadCompleted | UploadParked, bytes]:
    """Return the event that says how the job ended, and its bytes."""
    async for received in events:
        if received.event.job_id != job_id:
            continue
        if not isinstance(received.event, UploadProgress):
            return received.event, received.value
        waiting.show(received.event)
    raise AssertionError("events never end")
