"""A small university in a real database: units, reports of two years, and existing rows."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.domain.catalogue import entry_type
from service.domain.provider_types import DataEntrySource

PHYSICS, BIOLOGY, LIBRARY = "physics", "biology", "library"
UNITS = (PHYSICS, BIOLOGY, LIBRARY)
"""Units with a calculator report of each year, and a simulator report of 2025."""

UNREPORTED = "archaeology"
"""A unit with a calculator report of 2024, but only a simulator report of 2025."""

UNKNOWN = "alchemy"
"""The id of no unit."""

USER_MANUAL = DataEntrySource.USER_MANUAL
ANY_SOURCE: tuple[DataEntrySource | None, ...] = (*DataEntrySource, None)

_WRITTEN_BY_JOBS = "data_entries, factors, upload_jobs, scope_heads, factor_heads, member_locks"

# The ids of different tables are far apart: a test notices when code takes one for another.
_SEED = f"""
    TRUNCATE {_WRITTEN_BY_JOBS}, units, carbon_reports, carbon_report_modules;
    ALTER TABLE units ALTER id RESTART WITH 1;
    ALTER TABLE carbon_reports ALTER id RESTART WITH 100;
    ALTER TABLE carbon_report_modules ALTER id RESTART WITH 1000;
    ALTER TABLE data_entries ALTER id RESTART WITH 10000;
    INSERT INTO units (institutional_id, name)
    SELECT name, initcap(name)
    FROM unnest(CAST('{{{",".join((*UNITS, UNREPORTED))}}}' AS text[])) AS name;
    INSERT INTO carbon_reports (unit_id, year, kind)
    SELECT unit.id, report.year, report.kind
    FROM units AS unit, (
        VALUES (2024, 'calculator'), (2025, 'calculator'), (2025, 'simulator')
    ) AS report(year, kind)
    WHERE (unit.institutional_id, report.year, report.kind) <> ('{UNREPORTED}', 2025, 'calculator');
    INSERT INTO carbon_report_modules (carbon_report_id, module_type_id)
    SELECT id, module_type_id FROM carbon_reports, generate_series(1, 8) AS module_type_id;
"""

_MODULES = text("""
    SELECT unit.institutional_id, report.year, report.kind, module.module_type_id, module.id
    FROM carbon_report_modules AS module
    JOIN carbon_reports AS report ON report.id = module.carbon_report_id
    JOIN units AS unit ON unit.id = report.unit_id
""")

_PUT = text("""
    INSERT INTO data_entries (
        data_entry_type_id, carbon_report_module_id, data, year, unit_id, source, created_by_id
    )
    SELECT type_id, module, data, year, unit_id, source, created_by_id
    FROM json_to_recordset(CAST(:rows AS json)) AS row(
        type_id int, module int, data json, year int, unit_id int,
        source smallint, created_by_id bigint)
    RETURNING id
""")

Scope = tuple[int, int, int | None]
"""Module, type and source, as stored."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of `data_entries`."""

    module: int
    type_id: int
    source: int | None
    data: Mapping[str, Any]
    year: int | None
    unit_id: int | None
    created_by_id: int | None = None
    status: int | None = None
    written: tuple[datetime, datetime] | None = field(default=None, compare=False)

    @property
    def scope(self) -> Scope:
        return self.module, self.type_id, self.source


@dataclass(frozen=True, slots=True)
class University:
    """The ids of `units` by institutional id, and of `modules`.

    The key of a module is its unit, year, kind of report and module type.
    """

    engine: AsyncEngine = field(repr=False)
    units: Mapping[str, int] = field(repr=False)
    modules: Mapping[tuple[str, int, str, int], int] = field(repr=False)

    @classmethod
    async def seed(cls, engine: AsyncEngine) -> Self:
        """Fill the application's tables of a migrated database, in place of all existing rows."""
        async with engine.begin() as conn:
            await _run_script(conn, _SEED)
            units = {
                name: id_
                for id_, name in await conn.execute(text("SELECT id, institutional_id FROM units"))
            }
            modules = {
                (unit, year, kind, module_type): id_
                for unit, year, kind, module_type, id_ in await conn.execute(_MODULES)
            }
        return cls(engine, units, modules)

    def module(
        self, unit: str, type_id: int = 66, *, year: int = 2025, kind: str = "calculator"
    ) -> int:
        """The id of the module that the entries of a type belong to."""
        return self.modules[unit, year, kind, entry_type(type_id).module_type_id]

    def entry(
        self,
        unit: str,
        source: int | None,
        type_id: int = 66,
        *,
        year: int = 2025,
        kind: str = "calculator",
        year_and_unit: bool = True,
        created_by_id: int | None = None,
        **data: Any,
    ) -> Entry:
        """A row as a job or a person would have written it."""
        module = self.module(unit, type_id, year=year, kind=kind)
        entry = Entry(
            module, type_id, source, {"name": "older"} | data, year, self.units[unit], created_by_id
        )
        if not year_and_unit:
            entry = replace(entry, year=None, unit_id=None)
        return entry

    def bystanders(self, source: int) -> dict[str, Entry]:
        """Rows that an upload of `source` for physics' other purchases of 2025 must not touch.

        The keys say how the rows differ from those that the upload may replace.
        """
        others = (other for other in ANY_SOURCE if other != source)
        return {
            **{
                f"of source {'NULL' if other is None else other.name}": self.entry(PHYSICS, other)
                for other in others
            },
            "of a source of the application's own": replace(self.entry(PHYSICS, None), source=9),
            "of another type of the same module": self.entry(PHYSICS, source, 64),
            "of the year before": self.entry(PHYSICS, source, year=2024),
            "of another unit": self.entry(BIOLOGY, source),
            "of the simulator's report of the same unit and year": self.entry(
                PHYSICS, source, kind="simulator"
            ),
            "of a unit without a report": self.entry(UNREPORTED, source, kind="simulator"),
            "of another unit, without year and unit": self.entry(
                LIBRARY, source, year_and_unit=False
            ),
            "of source NULL, without year and unit": self.entry(PHYSICS, None, year_and_unit=False),
            "typed in, by a user whose id is a job's": self.entry(
                PHYSICS, USER_MANUAL, created_by_id=1
            ),
        }

    async def put(self, *entries: Entry) -> list[int]:
        """Write rows; return their ids."""
        rows = [
            {name: getattr(entry, name) for name in Entry.__slots__ if name != "written"}
            for entry in entries
        ]
        async with self.engine.begin() as conn:
            return list(await conn.scalars(_PUT, {"rows": orjson.dumps(rows).decode()}))

    async def entries(self) -> dict[int, Entry]:
        """All rows by id."""
        async with self.engine.connect() as conn:
            rows = await conn.execute(text("SELECT * FROM data_entries ORDER BY id"))
            return {row.id: _entry(row) for row in rows}

    async def scopes(self) -> dict[Scope, list[Entry]]:
        """All rows by module, type and source, in the order of their ids."""
        return by_scope((await self.entries()).values())

    async def scope(self, unit: str, source: int | None, type_id: int = 66) -> list[Entry]:
        """The rows of one unit, source and type in its calculator report of 2025."""
        return (await self.scopes()).get((self.module(unit, type_id), type_id, source), [])

    async def names(self, unit: str, source: int | None, type_id: int = 66) -> list[str]:
        """The names of the rows of `scope`."""
        return [entry.data["name"] for entry in await self.scope(unit, source, type_id)]

    async def heads(self) -> dict[Scope, int]:
        """The head of every scope: the job whose rows are in it."""
        query = (
            "SELECT carbon_report_module_id, data_entry_type_id, source, job_id FROM scope_heads"
        )
        async with self.engine.connect() as conn:
            return {
                (module, type_id, source): job
                for module, type_id, source, job in await conn.execute(text(query))
            }

    async def clear(self) -> None:
        """Delete every row that people or jobs have written, and every job."""
        await self.execute(f"TRUNCATE {_WRITTEN_BY_JOBS}")

    async def execute(self, script: str) -> None:
        """Run SQL statements, separated by semicolons."""
        async with self.engine.begin() as conn:
            await _run_script(conn, script)


def by_scope(entries: Iterable[Entry]) -> dict[Scope, list[Entry]]:
    """Rows by module, type and source."""
    scopes: dict[Scope, list[Entry]] = defaultdict(list)
    for entry in entries:
        scopes[entry.scope].append(entry)
    return dict(scopes)


async def _run_script(conn: AsyncConnection, statements: str) -> None:
    """Run several statements at once: SQLAlchemy runs only one, the driver runs all."""
    driver = (await conn.get_raw_connection()).driver_connection
    assert driver is not None
    await driver.execute(statements)


def _entry(row: Any) -> Entry:
    return Entry(
        row.carbon_report_module_id,
        row.data_entry_type_id,
        row.source,
        row.data if isinstance(row.data, dict) else orjson.loads(row.data),
        row.year,
        row.unit_id,
        row.created_by_id,
        row.status,
        (row.created_at, row.updated_at),
    )
