"""What people would write instead with SQLAlchemy, pandas and dlt, to replace the rows of a file.

They read the same file, convert the numbers, look the units up in a dictionary that was made
before, delete the older rows of the same source and modules, and write. None of them checks a row,
keeps a ledger or publishes an event, and none may run twice for one job. They are called in this
process, without a message to wait for.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import registry

from bench.peers.rows import entries
from bench.support.files import PURCHASES
from service.db.tables import data_entries

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "CRITICAL"


class Entry:
    """A row of `data_entries` for the ORM."""


registry().map_imperatively(Entry, data_entries)


def _delete_older(modules: set[int]) -> Any:
    return sa.delete(data_entries).where(
        data_entries.c.carbon_report_module_id.in_(modules),
        data_entries.c.data_entry_type_id == PURCHASES.id,
        data_entries.c.source == 1,
    )


async def orm(engine: AsyncEngine, path: Path, units: dict[str, Any], job_id: int) -> None:
    """`add_all` of mapped objects, through asyncpg."""
    rows = list(entries(path, units, job_id))
    async with AsyncSession(engine) as session, session.begin():
        await session.execute(_delete_older({row["carbon_report_module_id"] for row in rows}))
        session.add_all([_entry(row) for row in rows])


def _entry(row: dict[str, Any]) -> Entry:
    entry = Entry()
    for name, value in row.items():
        setattr(entry, name, value)
    return entry


async def core(engine: AsyncEngine, path: Path, units: dict[str, Any], job_id: int) -> None:
    """One `insert` of many rows, through asyncpg."""
    rows = list(entries(path, units, job_id))
    async with engine.begin() as conn:
        await conn.execute(_delete_older({row["carbon_report_module_id"] for row in rows}))
        await conn.execute(sa.insert(data_entries), rows)


def pandas(engine: sa.Engine, path: Path, units: dict[str, Any], job_id: int) -> None:
    """`read_csv` and `to_sql`, through psycopg2, with many rows in a statement."""
    read = pd.read_csv(path)
    places = read.pop("unit_institutional_id").map(units)
    frame = pd.DataFrame(
        {
            "data_entry_type_id": PURCHASES.id,
            "carbon_report_module_id": [place.module_id for place in places],
            "unit_id": [place.unit_id for place in places],
            "year": 2025,
            "source": 1,
            "created_by_id": job_id,
            "data": read.to_dict("records"),
        }
    )
    with engine.begin() as conn:
        conn.execute(_delete_older(set(frame["carbon_report_module_id"].tolist())))
        frame.to_sql(
            "data_entries",
            conn,
            if_exists="append",
            index=False,
            dtype={"data": sa.JSON()},
            method="multi",
            chunksize=1000,
        )


def dlt_rows(home: Path, url: str, path: Path, units: dict[str, Any], job_id: int) -> None:
    """A `merge` of dictionaries by module, into a table of dlt's own."""
    _merge(home, url, lambda: (_flat(row) for row in entries(path, units, job_id)), "rows")


def dlt_arrow(home: Path, url: str, path: Path, units: dict[str, Any], job_id: int) -> None:
    """A `merge` of an Arrow table by module, into a table of dlt's own."""
    _merge(
        home,
        url,
        lambda: pa.Table.from_pylist([_flat(row) for row in entries(path, units, job_id)]),
        "arrow",
    )


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"data": json.dumps(row["data"], ensure_ascii=False)}


def _merge(home: Path, url: str, read_rows: Callable[[], Any], name: str) -> None:
    pipeline = dlt.pipeline(
        f"bench_{name}",
        destination=dlt.destinations.postgres(url.replace("postgresql+asyncpg", "postgresql")),
        dataset_name=f"bench_{name}",
        pipelines_dir=str(home / "dlt"),
        progress=None,
    )
    pipeline.run(
        dlt.resource(
            read_rows(),
            name="data_entries",
            write_disposition="merge",
            merge_key=("carbon_report_module_id", "source"),
        )
    ).raise_on_failed_jobs()
