"""A small university: units, their reports of two years, and older rows of every source."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.db.tables import data_entries, factors
from service.demo import files
from service.domain.catalogue import entry_type
from service.domain.provider_types import DataEntrySource

YEAR = 2025
USER_ID = 302_417
"""The user who typed in the manual rows, and who submits the uploads."""

TYPE = entry_type("other_purchases")
_OTHER_PURCHASES = tuple(map(entry_type, ("it_equipment", "services")))
_PLANE = entry_type("plane")

_KINDS = ("Laboratoire", "Chaire", "Plateforme")
_FIELDS = (
    "d'acoustique",
    "d'astrophysique",
    "de biologie cellulaire",
    "de chimie verte",
    "de cristallographie",
    "d'écologie alpine",
    "d'électronique",
    "d'énergétique",
    "de génétique",
    "de géodésie",
    "d'hydrologie",
    "d'imagerie médicale",
    "de mécanique des fluides",
    "de microscopie",
    "de neurosciences",
    "d'optique quantique",
    "de pédologie",
    "de robotique",
    "de science des matériaux",
    "d'urbanisme",
)
UNITS = {
    str(10_000 + 137 * number): f"{kind} {field}"
    for number, (kind, field) in enumerate(
        ((kind, field) for kind in _KINDS for field in _FIELDS), start=1
    )
}
"""Sixty units: their institutional ids, each with its name."""

UNIT_WITHOUT_REPORT = list(UNITS)[-1]
"""A unit with a calculator report of the year before, but without one of this year."""

UNITS_WITH_SIMULATOR = list(UNITS)[-12:]
"""Units with a simulator report of this year, beside their calculator report or without one."""

_SEED_VALUES = {
    "ids": list(UNITS),
    "names": list(UNITS.values()),
    "year": YEAR,
    "with_simulator": UNITS_WITH_SIMULATOR,
    "without_report": UNIT_WITHOUT_REPORT,
}
_SEED_STATEMENTS = (
    """
    INSERT INTO units (institutional_id, name)
    SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:names AS text[]))
    """,
    """
    INSERT INTO carbon_reports (unit_id, year, kind)
    SELECT unit.id, report.year, report.kind
    FROM units AS unit, (
        VALUES (:year - 1, 'calculator'), (:year, 'calculator'), (:year, 'simulator')
    ) AS report(year, kind)
    WHERE CASE report.kind
        WHEN 'simulator' THEN unit.institutional_id = ANY(:with_simulator)
        ELSE report.year < :year OR unit.institutional_id <> :without_report
    END
    """,
    """
    INSERT INTO carbon_report_modules (carbon_report_id, module_type_id)
    SELECT id, module_type_id FROM carbon_reports, generate_series(1, 8) AS module_type_id
    """,
)
_MODULES = text("""
    SELECT unit.institutional_id, unit.id AS unit_id, report.year, report.kind,
        module.module_type_id, module.id
    FROM carbon_report_modules AS module
    JOIN carbon_reports AS report ON report.id = module.carbon_report_id
    JOIN units AS unit ON unit.id = report.unit_id
    ORDER BY module.id
""")
_ROWS_BEFORE: Mapping[DataEntrySource | None, tuple[int, int]] = {
    DataEntrySource.USER_MANUAL: (1, 5),
    DataEntrySource.CSV_MODULE_PER_YEAR: (20, 60),
    DataEntrySource.CSV_MODULE_UNIT_SPECIFIC: (0, 6),
    DataEntrySource.API_MODULE_PER_YEAR: (2, 6),
    DataEntrySource.API_MODULE_UNIT_SPECIFIC: (0, 3),
    DataEntrySource.EXTERNAL_INTEGRATION: (3, 9),
    None: (0, 4),
}
"""How many rows of each source a module holds before the story: at least and at most."""


@dataclass(frozen=True, slots=True)
class University:
    """What the story needs to know about the university.

    `modules` maps the institutional id of each unit with a calculator report of the year to the id
    of the module that its purchases belong to.
    """

    modules: Mapping[str, int]


async def seed(engine: AsyncEngine) -> University:
    """Fill the application's tables of a migrated, empty database, with the same rows each time."""
    random = Random(YEAR)
    async with engine.begin() as conn:
        for statement in _SEED_STATEMENTS:
            await conn.execute(text(statement), _SEED_VALUES)
        modules = [dict(module) for module in (await conn.execute(_MODULES)).mappings()]
        jobs = {source: await _earlier_job(conn, source) for source in _ROWS_BEFORE}

        rows: list[dict[str, Any]] = []
        for module in modules:
            rows.extend(_entries(random, module, jobs))
        await conn.execute(insert(data_entries), rows)
        await conn.execute(insert(factors), list(_factors()))

    story = (YEAR, "calculator", TYPE.module_type_id)
    return University(
        {
            module["institutional_id"]: module["id"]
            for module in modules
            if (module["year"], module["kind"], module["module_type_id"]) == story
        }
    )


async def _earlier_job(conn: AsyncConnection, source: DataEntrySource | None) -> int | None:
    """Return the `created_by_id` of the rows of a source.

    It is a job id for uploaded rows, the user's id for manual rows, and None for rows of unknown
    source.
    """
    if source is None:
        return None
    if source is DataEntrySource.USER_MANUAL:
        return USER_ID
    return int(await conn.scalar(text("SELECT nextval('upload_job_id_seq')")) or 0)


def _entries(
    random: Random, module: dict[str, Any], jobs: Mapping[DataEntrySource | None, int | None]
) -> Iterator[dict[str, Any]]:
    """Yield the entries that one module holds before the story.

    Their number is drawn from `_ROWS_BEFORE` and multiplied by the share of their type.
    """
    for type_id, share in _shares(module).items():
        for source, (at_least, at_most) in _ROWS_BEFORE.items():
            for _ in range(round(random.randint(at_least, at_most) * share)):
                yield {
                    "data_entry_type_id": type_id,
                    "carbon_report_module_id": module["id"],
                    "data": _entry_data(random, type_id),
                    "year": None if source is None else module["year"],
                    "unit_id": None if source is None else module["unit_id"],
                    "source": source,
                    "created_by_id": jobs[source],
                }


def _shares(module: dict[str, Any]) -> dict[int, float]:
    """Return the entry types that a module holds, and the share of rows of each.

    The share is 1 for the story's own type in the reports that it is about, and less elsewhere.
    """
    if module["module_type_id"] == _PLANE.module_type_id:
        return {_PLANE.id: 0.2}
    if module["module_type_id"] != TYPE.module_type_id:
        return {}
    is_in_play = (module["year"], module["kind"]) == (YEAR, "calculator")
    own_share = 1.0 if is_in_play else 0.3
    return {TYPE.id: own_share} | {other.id: 0.2 for other in _OTHER_PURCHASES}


def _entry_data(random: Random, type_id: int) -> Mapping[str, Any]:
    if type_id == _PLANE.id:
        return _trip(random)
    return files.as_stored(files.purchase(random))


def _trip(random: Random) -> dict[str, Any]:
    origin, destination = random.sample(("GVA", "ZRH", "OSL", "LIS", "JFK", "NRT"), 2)
    traveller = str(random.randint(100_000, 400_000))
    return {
        "origin_iata": origin,
        "destination_iata": destination,
        "user_institutional_id": traveller,
        "cabin_class": "economy",
        "number_of_trips": random.randint(1, 3),
    }


def _factors() -> Iterator[dict[str, Any]]:
    """Yield factors of the story's type and year, of another year, and of another type."""
    for year, type_id in ((YEAR, TYPE.id), (YEAR - 1, TYPE.id), (YEAR, _OTHER_PURCHASES[0].id)):
        for row in files.factors(added=2):
            emissions = float(row.pop("ef_kg_co2eq_per_currency"))
            description = row.pop("purchase_institutional_description")
            values = {
                "purchase_institutional_description": description,
                "ef_kg_co2eq_per_currency": emissions,
            }
            yield {
                "data_entry_type_id": type_id,
                "year": year,
                "classification": row,
                "values": values,
            }
