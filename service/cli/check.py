"""`uploads check`: what a job would do, without doing it."""

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import orjson
import typer

from service.cli.results import EXIT_CODES, show_preview
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
from service.contract.events import UploadCompleted
from service.db.engine import read_only_database
from service.domain.errors import Poison
from service.domain.model import Job, Result
from service.jobs.preview import preview
from service.jobs.request import UploadRequest
from service.rows.reject_file import RejectFile
from service.settings import CheckSettings

_FIELDS_OF_REAL_JOBS = {
    "schema_version",
    "job_id",
    "superseded_by",
    "attempts",
    "started_at",
    "finished_at",
}
"""Fields of the completion event that a preview has no values for."""


def register(cli: typer.Typer) -> None:
    """Add the subcommand."""
    cli.command()(check)


def check(
    file: FileArgument,
    type_: TypeOption,
    year: YearOption,
    provider: ProviderOption = None,
    module: ModuleOption = None,
    replace_scope: ReplaceScopeOption = None,
    on_row_error: OnRowErrorOption = None,
    rejects: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", dir_okay=False, help="Write all invalid rows to this CSV file."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what an upload of a file would do, without writing anything.

    It reads and checks the file as a worker would, units and unique ids included, and tells which
    rows are invalid, which modules are affected, and how many rows of which source would be deleted
    and remain.

    Needs `UPLOADS_DATABASE__URL`, whose user may be one that only reads.

    Exit codes: 0 every row is valid, 3 some are invalid, 4 the job would be rejected, 6 it would be
    parked; 1 the database does not answer, 2 the command or a setting is wrong.

    **Examples**

    - `uploads check purchases.csv --type other_purchases --year 2025`
    - `uploads check fleet.csv.gz --type 65 --year 2025 --replace-scope year --rejects bad-rows.csv`
    - `uploads check lab.csv --type member --year 2025 --module 4711 --json`
    - `uploads check planes.csv --type plane --year 2025 --provider factors`
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
        )
        settings = CheckSettings.read()
        try:
            job, result = asyncio.run(_run_preview(request, settings, rejects))
        except Poison as error:
            _show_parked(file, error, as_json=as_json)
            raise typer.Exit(EXIT_CODES["parked"]) from None
    _show_result(file, job, result, as_json=as_json)
    raise typer.Exit(EXIT_CODES[result.outcome])


async def _run_preview(
    request: UploadRequest, settings: CheckSettings, rejects: Path | None
) -> tuple[Job, Result]:
    async with read_only_database(settings.database) as engine:
        return await preview(
            request,
            engine,
            settings.limits,
            lambda reject_file: _copy_reject_file(reject_file, rejects),
        )


def _show_result(file: Path, job: Job, result: Result, *, as_json: bool) -> None:
    now = datetime.now(UTC)
    event = UploadCompleted.of(job, result, attempts=1, started_at=now, finished_at=now)
    if as_json:
        typer.echo(event.model_dump_json(exclude=_FIELDS_OF_REAL_JOBS))
    else:
        show_preview(Screen(), file.name, event)


def _show_parked(file: Path, error: Poison, *, as_json: bool) -> None:
    if as_json:
        outcome = {"outcome": "parked", "code": error.code, "message": error.message}
        typer.echo(orjson.dumps(outcome))
    else:
        Screen().line(f"{file.name} would be parked ({error.code}): {error.message}", "red")


def _copy_reject_file(reject_file: RejectFile, path: Path | None) -> str | None:
    """Copy the reject file to `path` and return the path.

    Returns None if there is no path, or no invalid row.
    """
    if path is None or not reject_file.any:
        return None
    reject_file.close()
    try:
        shutil.copyfile(reject_file.path, path)
    except OSError as error:
        raise typer.BadParameter(
            f"{path} cannot be written: {error.strerror}.", param_hint="--rejects"
        ) from None
    return str(path)
