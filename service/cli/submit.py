"""`uploads submit`: a file becomes a job."""

import asyncio
from typing import Annotated

import orjson
import typer

from service.cli.screen import Screen
from service.cli.upload_options import (
    FileArgument,
    JsonOption,
    ModuleOption,
    OnRowErrorOption,
    ProviderOption,
    ReplaceScopeOption,
    TypeOption,
    YearOption,
    usage_errors,
)
from service.cli.wait import wait_for_end
from service.contract.topics import Topics
from service.db.engine import command_database
from service.domain.model import MAX_JOB_ID, Job
from service.files.store import FileStore
from service.jobs.request import UploadRequest
from service.jobs.submit import submit_upload
from service.kafka.event_stream import listen_to_events, require_topic
from service.kafka.producer import connected_producer
from service.settings import Settings


def register(cli: typer.Typer) -> None:
    """Add the subcommand."""
    cli.command()(submit)


def submit(
    file: FileArgument,
    type_: TypeOption,
    year: YearOption,
    provider: ProviderOption = None,
    module: ModuleOption = None,
    replace_scope: ReplaceScopeOption = None,
    on_row_error: OnRowErrorOption = None,
    submitted_by: Annotated[
        int | None, typer.Option(metavar="ID", min=1, max=2**63 - 1, help="The user's id.")
    ] = None,
    based_on: Annotated[
        int | None,
        typer.Option(
            metavar="ID",
            min=1,
            max=MAX_JOB_ID,
            help="Change nothing if a job with an id above this one has already replaced rows "
            "of the same scope.",
        ),
    ] = None,
    job_id: Annotated[
        int | None,
        typer.Option(
            metavar="ID",
            min=1,
            max=MAX_JOB_ID,
            help="Default: a fresh one, from the database's sequence.",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the job to end, and show how.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="How long `--wait` waits for the end.")
    ] = 900.0,
    as_json: JsonOption = False,
) -> None:
    """Submit a file as an upload job, and print the job's id.

    A file that is not below the storage root is copied there first, to `submitted/ID/`. Names that
    end in `.gz` or `.zst` are taken as compressed. For the `api-…` kinds and
    `external-integration`, FILE may also be a `.json` list of objects, one for each row; 1 MiB at
    most.

    Needs `UPLOADS_DATABASE__URL`, `UPLOADS_KAFKA__BOOTSTRAP_SERVERS` and `UPLOADS_STORAGE__ROOT`.

    Exit codes with `--wait`: 0 succeeded, 3 partial, 4 rejected, 5 superseded, 6 parked, 7 no
    answer in time. Always: 1 something does not answer, 2 the command or a setting is wrong.

    **Examples**

    - `uploads submit purchases.csv --type other_purchases --year 2025 --wait`
    - `uploads submit fleet.csv.gz --type vehicles --year 2025 --replace-scope year`
    - `uploads submit lab.csv --type member --year 2025 --module 4711`
    - `uploads submit planes.csv --type plane --year 2025 --provider factors`
    - `uploads submit sync.json --type train --year 2025 --provider external-integration --json`
    """
    with usage_errors():
        request = UploadRequest.of(
            file,
            type_,
            year,
            provider,
            module,
            replace_scope=replace_scope,
            on_row_error=on_row_error,
            submitted_by=submitted_by,
            based_on=based_on,
        )
        settings = Settings.read()
        if not wait:
            asyncio.run(_submit_and_print(request, settings, job_id, as_json=as_json))
            return
        exit_code = asyncio.run(
            _submit_and_wait(request, settings, job_id, timeout, as_json=as_json)
        )
    raise typer.Exit(exit_code)


async def _submit_and_print(
    request: UploadRequest, settings: Settings, job_id: int | None, *, as_json: bool
) -> None:
    topic = Topics(settings.kafka.topic_prefix).job_topic(request.provider_type)
    await require_topic(settings.kafka, topic)
    job = await _publish_job(request, settings, topic, job_id=job_id)
    if as_json:
        typer.echo(
            orjson.dumps({"job_id": job.job_id, "topic": topic, "key": job.key, "file": job.file})
        )
        return
    typer.echo(job.job_id)
    advice = f"`uploads watch --job {job.job_id} --from-beginning` tells how it ends"
    typer.echo(f"Submitted to {topic}; {advice}.", err=True)


async def _submit_and_wait(
    request: UploadRequest,
    settings: Settings,
    job_id: int | None,
    patience: float,
    *,
    as_json: bool,
) -> int:
    """Submit the job, show its end, and return the exit code. `patience` is in seconds."""
    topics = Topics(settings.kafka.topic_prefix)
    topic = topics.job_topic(request.provider_type)
    await require_topic(settings.kafka, topic)
    # Listen first: a quick worker may publish the event before the job id is even shown.
    async with listen_to_events(settings.kafka, topics.completed, topics.progress) as events:
        job = await _publish_job(request, settings, topic, job_id=job_id)
        if not as_json:
            typer.echo(job.job_id)
        return await wait_for_end(events, job.job_id, patience, Screen(), as_json=as_json)


async def _publish_job(
    request: UploadRequest, settings: Settings, topic: str, *, job_id: int | None
) -> Job:
    store = FileStore.of(settings.storage)
    async with (
        command_database(settings.database) as engine,
        connected_producer(settings.kafka) as publish,
    ):
        return await submit_upload(request, engine, store, publish, topic=topic, job_id=job_id)
