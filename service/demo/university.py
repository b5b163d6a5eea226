"""A small university: its units, their reports of two years, and rows of every source from before the story."""

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
"""Who types in, and who uploads."""

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

CLOSED = list(UNITS)[-1]
"""A unit that has a calculator report of the year before alone."""

SIMULATED = list(UNITS)[-12:]
"""Units with a simulator's report of the year, beside the calculator's or without one."""

_NAMED = {
    "ids": list(UNITS),
    "names": list(UNITS.values()),
    "year": YEAR,
    "simulated": SIMULATED,
    "closed": CLOSED,
}
_FOUND = (
    "INSERT INTO units (institutional_id, name) SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:names AS text[]))",
    """
    INSERT INTO carbon_reports (unit_id, year, kind)
    SELECT unit.id, report.year, report.kind FROM units AS unit,
        (VALUES (:year - 1, 'calculator'), (:year, 'calculator'), (:year, 'simulator')) AS report(year, kind)
    WHERE CASE report.kind WHEN 'simulator' THEN unit.institutional_id = ANY(:simulated)
        ELSE report.year < :year OR unit.institutional_id <> :closed END
    """,
    """
    INSERT INTO carbon_report_modules (carbon_report_id, module_type_id)
    SELECT id, module_type_id FROM carbon_reports, generate_series(1, 8) AS module_type_id
    """,
)
_MODULES = text("""
    SELECT unit.institutional_id, unit.id AS unit_id, report.year, report.kind, module.module_type_id, module.id
    FROM carbon_report_modules AS module
    JOIN carbon_reports AS report ON report.id = module.carbon_report_id
    JOIN units AS unit ON unit.id = report.unit_id
    ORDER BY module.id
""")
_AS_BEFORE: Mapping[DataEntrySource | None, tuple[int, int]] = {
    DataEntrySource.USER_MANUAL: (1, 5),
    DataEntrySource.CSV_MODULE_PER_YEAR: (20, 60),
    DataEntrySource.CSV_MODULE_UNIT_SPECIFIC: (0, 6),
    DataEntrySource.API_MODULE_PER_YEAR: (2, 6),
    DataEntrySource.API_MODULE_UNIT_SPECIFIC: (0, 3),
    DataEntrySource.EXTERNAL_INTEGRATION: (3, 9),
    None: (0, 4),
}
"""How many rows of each source a module holds, at least and at most."""


@dataclass(frozen=True, slots=True)
class University:
    """What the story needs to know of it: the units by their ids, and where their purchases of the year belong."""

    units: tuple[str, ...]
    modules: Mapping[str, int]
    entries: int


async def seed(engine: AsyncEngine) -> University:
    """Fill the host's tables of a migrated, empty database."""
    random = Random(YEAR)
    async with engine.begin() as conn:
        for statement in _FOUND:
            await conn.execute(text(statement), _NAMED)
        modules = [row._mapping for row in await conn.execute(_MODULES)]  # noqa: SLF001 - it is public
        jobs = {source: await _earlier_job(conn, source) for source in _AS_BEFORE}
        rows = [row for module in modules for row in _rows(random, dict(module), jobs)]
        await conn.execute(insert(data_entries), rows)
        await conn.execute(insert(factors), list(_factors()))
    purchases = {
        module["institutional_id"]: module["id"]
        for module in modules
        if (module["year"], module["kind"], module["module_type_id"])
        == (YEAR, "calculator", TYPE.module_type_id)
    }
    return University(tuple(purchases), purchases, len(rows))


async def _earlier_job(conn: AsyncConnection, source: DataEntrySource | None) -> int | None:
    """The job that left its rows there; a user's id on what was typed in, nothing where the origin is unknown."""
    if source is None:
        return None
    if source is DataEntrySource.USER_MANUAL:
        return USER_ID
    return int(await conn.scalar(text("SELECT nextval('upload_job_id_seq')")) or 0)


def _rows(
    random: Random, module: dict[str, Any], jobs: Mapping[DataEntrySource | None, int | None]
) -> Iterator[dict[str, Any]]:
    """What one module holds before the story: of our type as much as `_AS_BEFORE` says, of the others less."""
    for type_id, share in _shares(module).items():
        for source, (least, most) in _AS_BEFORE.items():
            for _ in range(round(random.randint(least, most) * share)):
                yield {
                    "data_entry_type_id": type_id,
                    "carbon_report_module_id": module["id"],
                    "data": _trip(random)
                    if type_id == _PLANE.id
                    else files.as_stored(files.purchase(random)),
                    "year": None if source is None else module["year"],
                    "unit_id": None if source is None else module["unit_id"],
                    "source": source,
                    "created_by_id": jobs[source],
                }


def _shares(module: dict[str, Any]) -> dict[int, float]:
    """The entry types that a module holds, and how much of each."""
    if module["module_type_id"] == _PLANE.module_type_id:
        return {_PLANE.id: 0.2}
    if module["module_type_id"] != TYPE.module_type_id:
        return {}
    now = (module["year"], module["kind"]) == (YEAR, "calculator")
    return {TYPE.id: 1.0 if now else 0.3} | {other.id: 0.2 for other in _OTHER_PURCHASES}


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
    """Factors of our type and year, and of another year and another type."""
    for year, type_id in ((YEAR, TYPE.id), (YEAR - 1, TYPE.id), (YEAR, _OTHER_PURCHASES[0].id)):
        for row in files.factors(added=2):
            emissions = float(row.pop("ef_kg_co2eq_per_currency"))
            words = row.pop("purchase_institutional_description")
            values = {
                "purchase_institutional_description": words,
                "ef_kg_co2eq_per_currency": emissions,
            }
            yield {
                "data_entry_type_id": type_id,
                "year": year,
                "classification": row,
                "values": values,
            }
