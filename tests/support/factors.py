"""Factors as they are stored, and rows of a file of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

STUDENT = 2
"""A type whose factors have an optional column in their identity, the subclass."""

_PUT = text("""
    INSERT INTO factors (data_entry_type_id, year, classification, "values", last_seen_job_id)
    VALUES (:type_id, :year, CAST(:classification AS jsonb), CAST(:values AS jsonb), :job_id)
    RETURNING id
""")


@dataclass(frozen=True, slots=True)
class Factor:
    """A row of `factors`."""

    classification: Mapping[str, Any]
    values: Mapping[str, Any]
    type_id: int = STUDENT
    year: int = 2025
    last_seen_job_id: int | None = None


async def put_factor(engine: AsyncEngine, factor: Factor) -> int:
    """Write a factor; return its id."""
    row = {
        "type_id": factor.type_id,
        "year": factor.year,
        "classification": orjson.dumps(factor.classification).decode(),
        "values": orjson.dumps(factor.values).decode(),
        "job_id": factor.last_seen_job_id,
    }
    async with engine.begin() as conn:
        id_: int = await conn.scalar(_PUT, row)
        return id_


async def stored_factors(engine: AsyncEngine) -> dict[int, Factor]:
    """All factors by id."""
    async with engine.connect() as conn:
        rows = await conn.execute(text("SELECT * FROM factors ORDER BY id"))
        return {
            row.id: Factor(
                _json(row.classification),
                _json(row.values),
                row.data_entry_type_id,
                row.year,
                row.last_seen_job_id,
            )
            for row in rows
        }


def _json(value: Any) -> Any:
    return orjson.loads(value) if isinstance(value, str) else value


def food(
    kind: str, subclass: str | None = None, *, ef: str = "0.5", **columns: str
) -> dict[str, str]:
    """A good row of a file with factors of the type `STUDENT`."""
    identity = {"headcount_category": "food", "headcount_class": kind}
    values = {"unit": "meal", "number_of_unit_per_fte": "210", "ef_kg_co2eq_per_unit": ef}
    return {**identity, "headcount_subclass": subclass or "", **values, **columns}


def of_food(kind: str, subclass: str | None = None, *, ef: float = 0.5, **stored: Any) -> Factor:
    """The stored factor that a row of `food` becomes."""
    identity = {"headcount_category": "food", "headcount_class": kind}
    values = {"unit": "meal", "number_of_unit_per_fte": 210.0, "ef_kg_co2eq_per_unit": ef}
    if subclass is not None:
        identity |= {"headcount_subclass": subclass}
    return Factor(identity, values, **stored)
