r"""Files to upload: realistic purchases, and the same rows prepared as text for `\copy`."""

import random
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.support.servers import YEAR
from service.domain.catalogue import entry_type
from service.domain.model import Placement
from service.rows.checker import EntryChecker, RowTags, line_of
from service.rows.table import open_csv

if TYPE_CHECKING:
    import asyncpg

PURCHASES = entry_type("other_purchases")
HEADER = (
    "unit_institutional_id,name,supplier,quantity,total_spent_amount,currency,"
    "purchase_institutional_code"
)

_UNITS = """
    SELECT unit.institutional_id, unit.id, module.id FROM units AS unit
    JOIN carbon_reports AS report ON report.unit_id = unit.id
    JOIN carbon_report_modules AS module ON module.carbon_report_id = report.id
    WHERE module.module_type_id = $1
"""


def write_purchases(
    path: Path, rows: int, *, units: int, first_unit: int = 1, seed: int = 7
) -> Path:
    """Write a file of purchases of `units` units, in no order; one name in ten is quoted."""
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{HEADER}\n")
        for number in range(rows):
            name = f'"Pipettes, {number} ""x"""' if number % 10 == 0 else f"Réactif {number}"
            unit, amount = chance.randrange(units) + first_unit, chance.randrange(10**6) / 100
            supplier, quantity, code = number % 900, number % 12 + 1, number % 400
            file.write(f"U{unit},{name},Fournisseur {supplier},{quantity},{amount},chf,C{code}\n")
    return path


def claim(path: Path) -> dict[str, Any]:
    """The claim check of a file; it is hashed without loading it into memory."""
    with path.open("rb") as file:
        return {
            "url": path.as_uri(),
            "size": path.stat().st_size,
            "sha256": file_digest(file, "sha256").hexdigest(),
        }


def message(path: Path, job_id: int, **more: Any) -> dict[str, Any]:
    """The job message of a file of purchases."""
    return {
        "job_id": job_id,
        "year": YEAR,
        "data_entry_type": PURCHASES.name,
        "file": claim(path),
    } | more


async def places(
    conn: "asyncpg.Connection[Any]", module_type_id: int = PURCHASES.module_type_id
) -> dict[str, Placement]:
    """Where the rows of each unit belong, by the institutional id of the unit."""
    return {row[0]: Placement(row[2], row[1]) for row in await conn.fetch(_UNITS, module_type_id)}


def lines(path: Path, units: dict[str, Any], job_id: int) -> Iterator[bytes]:
    """The good rows of a file of purchases as lines for COPY, in the file's order."""
    with open_csv(path, PURCHASES, per_year=True, max_columns=100) as table:
        checker = EntryChecker(
            PURCHASES, table.header, RowTags(PURCHASES.id, YEAR, 1, job_id), units=units
        )
        while rows := table.take(1000)[0]:
            yield from map(line_of, checker.check(rows)[0])


def write_ready_made(source: Path, target: Path, units: dict[str, Any], job_id: int) -> Path:
    """Write the rows of a file as text for COPY: parsed, checked and tagged already."""
    with target.open("wb") as file:
        file.writelines(line + b"\n" for line in lines(source, units, job_id))
    return target
