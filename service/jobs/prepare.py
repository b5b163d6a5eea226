"""Everything that happens to an upload before its transaction.

`prepare_upload` fetches the file and, at the same time, looks up what the rows are checked against.
The rows themselves are read and checked later, while the transaction writes them.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from service import crash
from service.db import entries, modules
from service.db.engine import autocommit
from service.domain.catalogue import CatalogueType, EntryType, entry_type, factor_type, module_name
from service.domain.errors import JobIdTooLarge, Refusal
from service.domain.model import Job, Placement
from service.domain.provider_types import WriteMode
from service.files.fetch import fetch_file
from service.files.spools import spool_directory
from service.files.store import FileStore
from service.jobs.background import background_task
from service.rows.checker import EntryChecker, FactorChecker, RowTags
from service.rows.reject_file import RejectFile
from service.rows.table import Table, open_csv, open_rows
from service.rows.upload import Progress, Upload
from service.settings import LimitSettings

MakeChecker = Callable[[Sequence[str]], EntryChecker | FactorChecker]
"""Makes the checker of a job's rows from the header of the upload."""

LONGEST_NAME = 255
"""Longest name of a file in bytes, as common file systems allow it."""


@dataclass(frozen=True, slots=True)
class PrepareDependencies:
    """What preparing needs: the database for look-ups, the store of the files, and the caps."""

    engine: AsyncEngine
    store: FileStore
    limits: LimitSettings
    job_id_width: entries.JobIdWidth = field(default_factory=entries.JobIdWidth)


@asynccontextmanager
async def prepare_upload(
    job: Job, dependencies: PrepareDependencies, progress: Progress
) -> AsyncIterator[Upload]:
    """Fetch, verify and open the job's upload. Its local files are deleted when the context ends.

    Raises `Refusal` if the whole upload is refused before its first row, `JobIdTooLarge`, and the
    `Poison`, `Transient` and `Environment` errors of fetching.
    """
    kind = _catalogue_type(job)
    with spool_directory(job.job_id) as directory:
        module = await _find_named_module(job, kind, dependencies)

        # The look-ups run while the file is fetched; the header is known once it is open.
        async with (
            background_task(_look_up_checker(job, kind, module, dependencies)) as looking_up,
            _open_table(job, kind, dependencies, Path(directory), progress) as table,
        ):
            make_checker = await looking_up
            checker = make_checker(table.header)
            rejects = RejectFile(Path(directory) / "rejected.csv", table.header)
            progress.stage = "inserting"
            crash.point("after_parse")
            yield Upload(
                job, table, checker, rejects, max_rows=dependencies.limits.rows, progress=progress
            )


async def save_rejects(job: Job, upload: Upload, store: FileStore) -> str | None:
    """Write the reject file to the store; its URL, or None if the upload has no bad row.

    The file of an earlier attempt is overwritten.
    """
    if not upload.rejects.any:
        return None
    upload.rejects.close()
    url = reject_url(job, store)
    await store.write(url, upload.rejects.path)
    return url


def reject_url(job: Job, store: FileStore) -> str:
    """The URL of a job's reject file.

    It is beside the job's input if that place can be written and the name is not too long, else
    in `rejected/` under the storage root.
    """
    if job.file is not None and store.is_in_root_store(job.file.url):
        location, suffix = store.resolve(job.file.url), f".{job.job_id}.rejected.csv"
        name = location.path.rpartition("/")[2]
        if len(name.encode()) + len(suffix) <= LONGEST_NAME:
            return store.sibling_url(location, suffix)
    return store.url_under_root(f"rejected/{job.job_id}.csv")


def _catalogue_type(job: Job) -> CatalogueType:
    if job.is_factors:
        return factor_type(job.data_entry_type_id)
    return entry_type(job.data_entry_type_id)


async def _find_named_module(
    job: Job, kind: CatalogueType, dependencies: PrepareDependencies
) -> modules.Module | None:
    """The module that a unit-specific job names; None for other jobs.

    Raises `Refusal` if there is no such module, or if it is of another year or type.
    """
    module_id = job.carbon_report_module_id
    if module_id is None:
        return None
    async with autocommit(dependencies.engine).connect() as conn:
        module = await modules.find_module(conn, module_id)

    if module is None:
        raise Refusal("unknown_module", module=module_id)
    if module.year != job.year:
        raise Refusal("wrong_year", module=module_id, module_year=module.year, job_year=job.year)
    if isinstance(kind, EntryType) and module.module_type_id != kind.module_type_id:
        raise Refusal(
            "wrong_module_type",
            module=module_id,
            module_type=module_name(module.module_type_id),
            type=kind.name,
            expected=module_name(kind.module_type_id),
        )
    return module


@asynccontextmanager
async def _open_table(
    job: Job,
    kind: CatalogueType,
    dependencies: PrepareDependencies,
    directory: Path,
    progress: Progress,
) -> AsyncIterator[Table]:
    """Open the job's inline rows, or fetch its file into `directory` and open that."""
    per_year = job.mode is WriteMode.REPLACE
    if job.file is None:
        yield open_rows(job.rows or (), kind, per_year=per_year)
        return

    def note_bytes(count: int) -> None:
        progress.bytes_done = count

    limits = dependencies.limits
    progress.bytes_total = job.file.size
    async with AsyncExitStack() as stack:
        fetching = fetch_file(
            job.file,
            dependencies.store,
            limits,
            directory=directory,
            now=datetime.now(UTC),
            on_bytes=note_bytes,
        )
        spool = await stack.enter_async_context(fetching)
        crash.point("after_fetch")

        # From here on, progress counts the bytes of the decompressed spool.
        progress.bytes_done, progress.bytes_total = 0, spool.size
        yield stack.enter_context(
            open_csv(spool.path, kind, per_year=per_year, max_columns=limits.columns)
        )


async def _look_up_checker(
    job: Job, kind: CatalogueType, module: modules.Module | None, dependencies: PrepareDependencies
) -> MakeChecker:
    """Look up what the job's rows are checked against. Raises `JobIdTooLarge`.

    For a per-year job these are the units with their modules. For a type with a unique id, these
    are also the ids that other entries of the modules hold.
    """
    if not isinstance(kind, EntryType):
        return partial(FactorChecker, kind)

    units = held = None
    async with autocommit(dependencies.engine).connect() as conn:
        if not await dependencies.job_id_width.fits(conn, job.job_id):
            raise JobIdTooLarge("job_id", job_id=job.job_id)
        if module is None:
            units = await modules.units_of_year(conn, job.year, kind.module_type_id)
        if kind.unique is not None:
            module_ids = _modules_to_check(module, units)
            held = await entries.held_ids(conn, job, module_ids, kind.unique)

    tags = RowTags(job.data_entry_type_id, job.year, job.source.value, job.job_id)
    placement = None if module is None else module.placement
    return partial(EntryChecker, kind, tags=tags, units=units, module=placement, stored_ids=held)


def _modules_to_check(
    module: modules.Module | None, units: Mapping[str, Placement | None] | None
) -> set[int]:
    """The ids of the modules that the job's rows may be for."""
    if module is not None:
        return {module.id}
    return {placement.module_id for placement in (units or {}).values() if placement is not None}
