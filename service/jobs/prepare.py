"""Everything that happens to an upload before its transaction."""

import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from sqlalchemy.ext.asyncio import AsyncEngine

from service import crash
from service.db import entries, modules
from service.db.engine import autocommit
from service.domain.catalogue import CatalogueType, EntryType, entry_type, factor_type, module_name
from service.domain.errors import JobIdTooLarge, Refusal
from service.domain.model import Job
from service.domain.provider_types import WriteMode
from service.files.fetch import fetch_file
from service.files.store import FileStore
from service.jobs.background import background_task
from service.rows.checker import EntryChecker, FactorChecker, RowTags
from service.rows.reject_file import RejectFile
from service.rows.table import Table, open_csv, open_rows
from service.rows.upload import Progress, Upload
from service.settings import LimitSettings

MakeChecker = Callable[[Sequence[str]], EntryChecker | FactorChecker]
"""Makes the checker of a job's rows, given the header above them."""

LONGEST_NAME = 255
"""Bytes of a file's name that common file systems take."""

SPOOLS = "uploads-spool-"
"""What the names of the folders with a job's local files begin with, in the directory for temporary files."""


@dataclass(frozen=True, slots=True)
class PrepareDependencies:
    """What preparing needs: the database to look units up, the store to fetch from, the caps."""

    engine: AsyncEngine
    store: FileStore
    limits: LimitSettings
    job_ids: entries.JobIds = field(default_factory=entries.JobIds)


@asynccontextmanager
async def prepare_upload(
    job: Job, dependencies: PrepareDependencies, progress: Progress
) -> AsyncIterator[Upload]:
    """The job's upload, fetched, verified and opened; its local files are gone afterwards.

    Raises `Refusal` where the whole upload is refused before its first row, and the `Poison`,
    `Transient` and `Environment` errors of fetching.
    """
    kind: CatalogueType = (
        factor_type(job.data_entry_type_id)
        if job.is_factors
        else entry_type(job.data_entry_type_id)
    )
    with TemporaryDirectory(prefix=f"{SPOOLS}{job.job_id}-") as directory:
        module = (
            None
            if job.carbon_report_module_id is None
            else await _fitting_module(job, kind, dependencies)
        )
        async with (
            background_task(_checking(job, kind, module, dependencies)) as checking,
            _table(job, kind, dependencies, Path(directory), progress) as table,
        ):
            checker = (await checking)(table.header)
            rejects = RejectFile(Path(directory) / "rejected.csv", table.header)
            progress.stage = "inserting"
            crash.point("after_parse")
            yield Upload(
                job, table, checker, rejects, max_rows=dependencies.limits.rows, progress=progress
            )


async def save_rejects(job: Job, upload: Upload, store: FileStore) -> str | None:
    """Write the reject file beside the input, over one of an earlier attempt; its URL, None without bad rows."""
    if not upload.rejects.any:
        return None
    upload.rejects.close()
    url = reject_url(job, store)
    await store.write(url, upload.rejects.path)
    return url


def reject_url(job: Job, store: FileStore) -> str:
    """Where the bad rows of a job go: beside its input where that can be written, else `rejected/` under the root."""
    if job.file is not None and store.is_under_root(job.file.url):
        location, suffix = store.resolve(job.file.url), f".{job.job_id}.rejected.csv"
        if len(location.path.rpartition("/")[2].encode()) + len(suffix) <= LONGEST_NAME:
            return store.sibling_url(location, suffix)
    return store.url_under_root(f"rejected/{job.job_id}.csv")


@asynccontextmanager
async def _table(
    job: Job,
    kind: CatalogueType,
    dependencies: PrepareDependencies,
    directory: Path,
    progress: Progress,
) -> AsyncIterator[Table]:
    per_year = job.mode is WriteMode.REPLACE
    if job.file is None:
        yield open_rows(job.rows or (), kind, per_year=per_year)
        return
    limits = dependencies.limits

    def fetched(count: int) -> None:
        progress.bytes_done = count

    progress.bytes_total = job.file.size
    async with AsyncExitStack() as stack:
        fetching = fetch_file(
            job.file,
            dependencies.store,
            limits,
            directory=directory,
            now=datetime.now(UTC),
            on_bytes=fetched,
        )
        spool = await stack.enter_async_context(fetching)
        crash.point("after_fetch")
        progress.bytes_done, progress.bytes_total = 0, spool.size
        yield stack.enter_context(
            open_csv(spool.path, kind, per_year=per_year, max_columns=limits.columns)
        )


async def _checking(
    job: Job, kind: CatalogueType, module: modules.Module | None, dependencies: PrepareDependencies
) -> MakeChecker:
    """Look up what the job's rows are checked against. Raises `JobIdTooLarge`."""
    if not isinstance(kind, EntryType):
        return partial(FactorChecker, kind)
    units = held = None
    async with autocommit(dependencies.engine).connect() as conn:
        if not await dependencies.job_ids.hold(conn, job.job_id):
            raise JobIdTooLarge("job_id", job_id=job.job_id)
        if module is None:
            units = await modules.units_of_year(conn, job.year, kind.module_type_id)
        if kind.unique is not None:
            found = (
                ()
                if units is None
                else (module_id for _, module_id in units.values() if module_id is not None)
            )
            held = await entries.held_ids(
                conn, job, set(found) if module is None else {module.id}, kind.unique
            )
    target = RowTags(job.data_entry_type_id, job.year, job.source.value, job.job_id)
    place = None if module is None else (module.id, module.unit_id)
    return partial(EntryChecker, kind, target=target, units=units, module=place, held=held)


async def _fitting_module(
    job: Job, kind: CatalogueType, dependencies: PrepareDependencies
) -> modules.Module:
    """The module that a unit-specific job names. Raises `Refusal` where it does not fit the job."""
    module_id = job.carbon_report_module_id or 0
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


def clear_abandoned_spools(older_than: float) -> int:
    """Remove the local files that killed workers left, where nobody has touched them for so many seconds.

    A worker that is killed again and again would fill its disk with them otherwise. Returns how many there were.
    """
    before = time.time() - older_than
    found = [
        path for path in Path(gettempdir()).glob(f"{SPOOLS}*") if path.stat().st_mtime < before
    ]
    for path in found:
        shutil.rmtree(path, ignore_errors=True)
    return len(found)
