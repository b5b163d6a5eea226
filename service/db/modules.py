"""The host application's units and modules. They say where a row belongs; we only read them."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.domain.model import Placement

_UNITS = text("""
    SELECT unit.institutional_id, unit.id, module.id
    FROM units AS unit
    LEFT JOIN carbon_reports AS report
           ON report.unit_id = unit.id AND report.year = :year AND report.kind = 'calculator'
    LEFT JOIN carbon_report_modules AS module
           ON module.carbon_report_id = report.id AND module.module_type_id = :module_type_id
""")

_CALCULATOR_MODULES = text("""
    SELECT module.id
    FROM carbon_report_modules AS module
    JOIN carbon_reports AS report ON report.id = module.carbon_report_id
    WHERE report.year = :year AND report.kind = 'calculator'
      AND module.module_type_id = :module_type_id
""")

_MODULE = text("""
    SELECT module.module_type_id, report.year, report.unit_id
    FROM carbon_report_modules AS module
    JOIN carbon_reports AS report ON report.id = module.carbon_report_id
    WHERE module.id = CAST(:module_id AS bigint)
""")


@dataclass(frozen=True, slots=True)
class Module:
    """A module with its type, and the year and unit of its report."""

    id: int
    module_type_id: int
    year: int
    unit_id: int

    @property
    def placement(self) -> Placement:
        """Where the rows of this module belong."""
        return Placement(self.id, self.unit_id)


async def units_of_year(
    conn: AsyncConnection, year: int, module_type_id: int
) -> Mapping[str, Placement | None]:
    """Where the rows of each unit belong, by the institutional id of the unit.

    The module is the one of this type in the unit's calculator report of the year. The value is
    None if there is no such report or module. Simulator reports never count.
    """
    found = await conn.execute(_UNITS, {"year": year, "module_type_id": module_type_id})
    return {
        institutional_id.strip(): None if module_id is None else Placement(module_id, unit_id)
        for institutional_id, unit_id, module_id in found
    }


async def calculator_modules(conn: AsyncConnection, year: int, module_type_id: int) -> set[int]:
    """The ids of the modules of a type in all calculator reports of a year."""
    return set(
        await conn.scalars(_CALCULATOR_MODULES, {"year": year, "module_type_id": module_type_id})
    )


async def find_module(conn: AsyncConnection, module_id: int) -> Module | None:
    """The module with this id, or None."""
    row = (await conn.execute(_MODULE, {"module_id": module_id})).one_or_none()
    return None if row is None else Module(module_id, row.module_type_id, row.year, row.unit_id)
