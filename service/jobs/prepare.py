"""Everything that happens to an upload before its transaction.

`prepare_upload` looks up the module that the message names, if it names one. It then fetches the
file and, at the same time, looks up what the rows are checked against. The rows themselves are read
and checked later, while the transaction writes them.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from service import crash
from service.db import entries, modules
from service.db.engine import autocommit
from service.domain.catalogue import CatalogueType, EntryType, entry_type, factor_type, module_name
from service.domain.errors import JobIdTooLarge, Refusal
from service.domain.model import Job, Placement
from service.domain.provider_types import ModuleNamedBy
from service.files.fetch import fetch_file
from service.files.spools import spool_directory
from service.files.store import FileStore
from service.jobs.background import background_task
from service.rows.checker import EntryChecker, FactorChecker, RowTags
from service.rows.reject_file import RejectFile
from service.rows.table import Table, open_csv, open_rows
from service.rows.upload import Progress, Upload
from service.settings import LimitSettings


@dataclass(frozen=True, slots=True)
class PrepareDependencies:
    """What preparing needs: the database for look-ups, the store of the files, and the caps."""

    engine: AsyncEngine
    store: FileStore
    limits: LimitSettings
    job_id_width: entries.JobIdWidth = field(default_factory=entries.JobIdWidth)


@dataclass(frozen=True, slots=True)
class _EntryLookups:
    """What the rows of entries are checked against: the arguments of an `EntryChecker`.

    Exactly one of `units` and `module` is set, or neither for factors. `stored_ids` is None for a
    type without a unique id.
    """

    units: Mapping[str, Placement | None] | None = None
    module: Placement | None = None
    stored_ids: Mapping[int, set[str]] | None = None


@asynccontextmanager
async def prepare_upload(
    job: Job, dependencies: PrepareDependencies, progress: Progress
) -> AsyncIterator[Upload]:
    """Fetch, verify and open the job's upload. Its local files are deleted when the context ends.

    Raises `Refusal` if the whole upload is refused before its first row, `JobIdTooLarge`, and the
    `Poison`, `Transient` and `Environment` errors of fetching.
    """
    catalogue_type = _catalogue_type(job)
    with spool_directory(job.job_id) as directory:
        # Before the fetch, because a job whose module is wrong is refused without its file, however
        # large that is, and with this reason even if the file is wrong too.
        module = await _find_named_module(job, catalogue_type, dependencies)

        # The look-ups run while the file is fetched. The checker also needs the header, which is
        # known once the file is open.
        async with (
            background_task(_look_up(job, catalogue_type, module, dependencies)) as looking_up,
            _open_table(job, catalogue_type, dependencies, Path(directory), progress) as table,
        ):
            checker = _make_checker(job, catalogue_type, table.header, await looking_up)
            rejects = RejectFile(Path(directory) / "rejected.csv", table.header)
            progress.stage = "inserting"
            crash.point("after_parse")
            yield Upload(
                job, table, checker, rejects, max_rows=dependencies.limits.rows, progress=progress
            )


def _catalogue_type(job: Job) -> CatalogueType:
    if job.is_factors:
        return factor_type(job.data_entry_type_id)
    return entry_type(job.data_entry_type_id)


async def _find_named_module(
    job: Job, catalogue_type: CatalogueType, dependencies: PrepareDependencies
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
    if (
        isinstance(catalogue_type, EntryType)
        and module.module_type_id != catalogue_type.module_type_id
    ):
        raise Refusal(
            "wrong_module_type",
            module=module_id,
            module_type=module_name(module.module_type_id),
            type=catalogue_type.name,
            expected=module_name(catalogue_type.module_type_id),
        )
    return module


@asynccontextmanager
async def _open_table(
    job: Job,
    catalogue_type: CatalogueType,
    dependencies: PrepareDependencies,
    directory: Path,
    progress: Progress,
) -> AsyncIterator[Table]:
    """Open the job's inline rows, or fetch its file into `directory` and open that."""
    # False for factors too. They have no unit, so the catalogue's columns are the same either way.
    per_year = job.provider_type.module_named_by is ModuleNamedBy.ROW
    if job.file is None:
        yield open_rows(job.rows or (), catalogue_type, per_year=per_year)
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
            open_csv(spool.path, catalogue_type, per_year=per_year, max_columns=limits.columns)
        )


async def _look_up(
    job: Job,
    catalogue_type: CatalogueType,
    module: modules.Module | None,
    dependencies: PrepareDependencies,
) -> _EntryLookups:
    """Look up what the job's rows are checked against; factors are checked against nothing.

    For a job whose rows name their unit, these are all units with their modules. For a type with a
    unique id, these are also the ids that other entries of the modules hold. Raises
    `JobIdTooLarge`.
    """
    if not isinstance(catalogue_type, EntryType):
        return _EntryLookups()

    units = stored_ids = None
    async with autocommit(dependencies.engine).connect() as conn:
        if not await dependencies.job_id_width.fits(conn, job.job_id):
            raise JobIdTooLarge("job_id", job_id=job.job_id)
        if module is None:
            units = await modules.units_of_year(conn, job.year, catalogue_type.module_type_id)
        if catalogue_type.unique is not None:
            module_ids = _modules_to_check(module, units)
            stored_ids = await entries.held_ids(conn, job, module_ids, catalogue_type.unique)

    placement = None if module is None else module.placement
    return _EntryLookups(units, placement, stored_ids)


def _make_checker(
    job: Job, catalogue_type: CatalogueType, header: Sequence[str], lookups: _EntryLookups
) -> EntryChecker | FactorChecker:
    if not isinstance(catalogue_type, EntryType):
        return FactorChecker(catalogue_type, header)

    tags = RowTags(job.data_entry_type_id, job.year, job.source.value, job.job_id)
    return EntryChecker(
        catalogue_type,
        header,
        tags,
        units=lookups.units,
        module=lookups.module,
        stored_ids=lookups.stored_ids,
    )


def _modules_to_check(
    module: modules.Module | None, units: Mapping[str, Placement | None] | None
) -> set[int]:
    """The ids of the modules that the job's rows may be for."""
    if module is not None:
        return {module.id}
    return {placement.module_id for placement in (units or {}).values() if placement is not None}
