"""P10: every type, prepared but not written, against the `csv` module that only reads the file.

`python -m bench.prepare_alone [--rows 20000] [--runs 5]`
"""

import argparse
import asyncio
import csv
import statistics
import time
from contextlib import aclosing
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from bench.support.result import Figure, Measurement, median, tell
from bench.support.servers import YEAR
from service.contract.messages import parse_job
from service.domain.catalogue import (
    ENTRY_TYPES,
    FACTOR_TYPES,
    UNIT,
    CatalogueType,
    Choice,
    Column,
    Date,
    EntryType,
    Integer,
    Number,
    columns_of,
)
from service.domain.model import Job, Placement
from service.domain.provider_types import ProviderType
from service.rows.checker import EntryChecker, FactorChecker, RowTags
from service.rows.reject_file import RejectFile
from service.rows.table import open_csv
from service.rows.upload import Progress, Upload

MEDIAN_GOAL, LEAST_GOAL = 0.15, 0.12
UNITS = {f"U{number}": Placement(number + 1000, number) for number in range(500)}


def cell(column: Column, number: int) -> str:
    """A good cell; texts differ from row to row, because some must be unique."""
    match column:
        case _ if column is UNIT:
            return f"U{number % 500}"
        case Choice():
            return str(column.choices[number % len(column.choices)])
        case Date():
            return str(date(YEAR, 1, 1) + timedelta(number % 365))
        case Integer():
            return str(max(1, int(column.minimum)) + number % 3)
        case Number():
            return f"{column.minimum + (number % 97) / 100:.2f}"
        case _:
            return f"{column.example} {number}"


def write(path: Path, type_: CatalogueType, rows: int) -> None:
    """Write a file of a type with the columns of its template.

    These are all columns but the one that overrides a computed value.
    """
    columns = [column for column in columns_of(type_, per_year=True) if column.name != "kg_co2eq"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(column.name for column in columns)
        writer.writerows([cell(column, number) for column in columns] for number in range(rows))


def job_of(type_: CatalogueType) -> Job:
    is_entries = isinstance(type_, EntryType)
    provider = ProviderType.CSV_MODULE_PER_YEAR if is_entries else ProviderType.FACTORS
    claim = {"url": "file:///nowhere.csv", "size": 1, "sha256": "0" * 64}
    return parse_job(
        provider,
        orjson.dumps({"job_id": 1, "year": YEAR, "data_entry_type": type_.name, "file": claim}),
    )


async def prepare(path: Path, type_: CatalogueType, home: Path) -> float:
    """Seconds until all rows are lines for COPY. Raises `RuntimeError` if a row is bad."""
    before = time.perf_counter()
    with open_csv(path, type_, per_year=True, max_columns=100) as table:
        checker: EntryChecker | FactorChecker
        if isinstance(type_, EntryType):
            tags = RowTags(type_.id, YEAR, 1, 1)
            checker = EntryChecker(type_, table.header, tags, units=UNITS)
        else:
            checker = FactorChecker(type_, table.header)
        rejects = RejectFile(home / "rejected.csv", table.header)
        upload = Upload(job_of(type_), table, checker, rejects, max_rows=10**7, progress=Progress())
        async with aclosing(upload.lines()) as lines:
            async for _ in lines:
                pass
    if upload.tally.skipped or not upload.tally.processed:
        raise RuntimeError(f"{type_.name}: {upload.tally.errors[:1]}")
    return time.perf_counter() - before


def read(path: Path) -> float:
    """Seconds that the csv module takes for the file."""
    before = time.perf_counter()
    with path.open(encoding="utf-8", newline="") as file:
        for _ in csv.reader(file):
            pass
    return time.perf_counter() - before


async def main(rows: int, runs: int) -> None:
    measurement = Measurement(
        "P10", f"Prepare alone, every type, {rows:,} rows", "the csv module just reading the file"
    )
    measurement.facts = [["type", "rows/s of prepare", "rows/s of csv", "ratio"]]
    ratios = []
    with TemporaryDirectory(prefix="uploads-bench-") as name:
        home = Path(name)
        for type_ in (*ENTRY_TYPES.values(), *FACTOR_TYPES.values()):
            path = home / "file.csv"
            write(path, type_, rows)
            pairs = [(await prepare(path, type_, home), read(path)) for _ in range(runs)]
            ratios.append(median([reading / preparing for preparing, reading in pairs]))
            ours, theirs = (rows / median(times) for times in zip(*pairs, strict=True))
            sort = "entries" if isinstance(type_, EntryType) else "factors"
            measurement.facts.append(
                [f"{type_.name} ({sort})", f"{ours:,.0f}", f"{theirs:,.0f}", f"{ratios[-1]:.3f}"]
            )
            tell(f"{type_.name}, {sort}: {ratios[-1]:.3f}")
    measurement.figures = [
        Figure("median type", statistics.median(ratios), MEDIAN_GOAL),
        Figure("slowest type", min(ratios), LEAST_GOAL),
    ]
    measurement.keep()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    asyncio.run(main(asked.rows, asked.runs))
