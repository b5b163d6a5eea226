"""Reads lines for COPY."""

import json
import re
from typing import Any

from service.db.entries import COLUMNS


def cells_of(line: bytes) -> list[str]:
    """The cells of a line as PostgreSQL reads them."""
    return [re.sub(r"\\(.)", r"\1", cell) for cell in line.decode().split("\t")]


def entry(line: bytes) -> dict[str, Any]:
    """The columns of an entry; `data` is parsed."""
    return {column: json.loads(cell) for column, cell in zip(COLUMNS, cells_of(line), strict=True)}
