"""The rows of a file as a library needs them: read and converted, with their unit and module."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.support.files import PURCHASES
from bench.support.servers import YEAR


def entries(path: Path, units: dict[str, Any], job_id: int) -> Iterator[dict[str, Any]]:
    """Rows of `data_entries` as dictionaries, `data` as an object."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            module, unit = units[row.pop("unit_institutional_id")]
            data: dict[str, Any] = dict(row)
            for name in ("quantity", "total_spent_amount"):
                data[name] = float(data[name])
            yield {
                "data_entry_type_id": PURCHASES.id,
                "carbon_report_module_id": module,
                "unit_id": unit,
                "year": YEAR,
                "source": 1,
                "created_by_id": job_id,
                "data": data,
            }
