"""`uploads watch`: how jobs end, as it happens."""

import asyncio
from contextlib import suppress
from typing import Annotated

import typer

from service.cli.results import STYLES, summary
from service.cli.screen import Screen
from service.cli.upload_options import JsonOption
from service.contract.events import UploadProgress
from service.contract.topics import Topics
from service.domain.model import MAX_JOB_ID
from service.kafka.event_stream import Event, listen_to_events, require_topic
from service.settings import KafkaOnly, KafkaSettings


def register(cli: typer.Typer) -> None:
    """Add the subcommand."""
    cli.command()(watch)


def watch(
    as_json: JsonOption = False,
    from_beginning: Annotated[
        bool,
        typer.Option("--from-beginning", help="Start with the oldest event that Kafka has kept."),
    ] = False,
    job: Annotated[
        int | None, typer.Option(metavar="ID", min=1, max=MAX_JOB_ID, help="This job alone.")
    ] = None,
) -> None:
    """Print how jobs end, a line for each completed or parked one, until Ctrl-C.

    Needs `UPLOADS_KAFKA__BOOTSTRAP_SERVERS`. Any number of people may watch; nobody else gets fewer
    events. `--json` prints each event's body as it is on the topic.

    **Examples**

    - `uploads watch`
    - `uploads watch --job 8123 --from-beginning`
    - `uploads watch --json | jq 'select(.outcome != "succeeded")'`
    """
    kafka = KafkaOnly.read().kafka
    with suppress(KeyboardInterrupt):
        asyncio.run(_print_events(kafka, job, as_json=as_json, from_beginning=from_beginning))


async def _print_events(
    kafka: KafkaSettings, job_id: int | None, *, as_json: bool, from_beginning: bool
) -> None:
    screen = Screen()
    topics = Topics(kafka.topic_prefix)
    await require_topic(kafka, topics.completed, *topics.all_jobs)
    async with listen_to_events(kafka, topics.completed, from_beginning=from_beginning) as events:
        async for received in events:
            if job_id is not None and received.event.job_id != job_id:
                continue
            if as_json:
                typer.echo(received.value)
            else:
                time = f"{received.at.astimezone():%Y-%m-%d %H:%M:%S}"
                screen.line(f"{time}  {summary(received.event)}", _style_of(received.event))


def _style_of(event: Event) -> str:
    return "" if isinstance(event, UploadProgress) else STYLES[event.outcome]
