"""The CSV dialect: from a spooled file, or inline rows, to a header and rows of text cells."""

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from service.domain.catalogue import CatalogueType
from service.domain.errors import Refusal, TooLarge
from service.rows.checker import inline_table, missing_columns, repeated_columns

SHORT_BYTES, SHORT_ROWS = 2**15, 250
"""About a millisecond's work: the event loop is not held for longer."""

SHOWN_NAMES = 12
"""Names of a header that a message quotes."""

_OTHER_SEPARATORS = (";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Table:
    """A header and the rows below it, as text; `position` is how many bytes of the file were read.

    One that `is_short` is read sooner than a thread is woken to read it.
    """

    header: Sequence[str]
    rows: Iterator[list[str]]
    position: Callable[[], int]
    is_short: bool

    def take(self, count: int) -> tuple[list[list[str]], Refusal | None]:
        """The next rows, at most `count`, and why there are no more where the file is malformed."""
        rows: list[list[str]] = []
        try:
            rows.extend(islice(self.rows, count))
        except csv.Error as error:
            return rows, _malformed(error)
        return rows, None


@contextmanager
def open_csv(
    path: Path, kind: CatalogueType, *, per_year: bool, max_columns: int
) -> Iterator[Table]:
    """A spooled CSV file, its header read and checked.

    Raises `Refusal` (wrong_separator, missing_column, repeated_column, no_rows, malformed_csv) and
    `TooLarge` above `max_columns`.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = _header(reader)
        except csv.Error as error:
            raise _wrong_separator(path, kind, per_year=per_year) or _malformed(error) from None
        if missing := missing_columns(kind, header, per_year=per_year):
            raise _wrong_separator(path, kind, per_year=per_year) or _missing(missing, header)
        _check_width(kind, header, per_year=per_year, max_columns=max_columns)
        tell = file.buffer.raw.tell  # type: ignore[attr-defined]
        yield Table(header, reader, tell, os.fstat(file.fileno()).st_size <= SHORT_BYTES)


def open_rows(rows: Sequence[Mapping[str, Any]], kind: CatalogueType, *, per_year: bool) -> Table:
    """The inline rows of a job as a table. Raises `Refusal` (no_rows)."""
    if not rows:
        raise Refusal("no_rows", "inline")
    header, cells = inline_table(kind, rows, per_year=per_year)
    return Table(header, cells, lambda: 0, len(rows) <= SHORT_ROWS)


def _header(reader: Iterator[list[str]]) -> list[str]:
    for cells in reader:
        if any(map(str.strip, cells)):
            return [cell.strip() for cell in cells]
    raise Refusal("no_rows", "no_header")


def _check_width(
    kind: CatalogueType, header: list[str], *, per_year: bool, max_columns: int
) -> None:
    if len(header) > max_columns:
        raise TooLarge("columns", found=len(header), most=max_columns)
    if repeated := repeated_columns(kind, header, per_year=per_year):
        raise Refusal("repeated_column", columns=repeated)


def _missing(missing: list[str], header: list[str]) -> Refusal:
    case = "all_names" if len(header) <= SHOWN_NAMES else "first_names"
    return Refusal("missing_column", case, missing=missing, found=header[:SHOWN_NAMES])


def _wrong_separator(path: Path, kind: CatalogueType, *, per_year: bool) -> Refusal | None:
    """The refusal that names the separator found, where the first line makes more sense with another one."""
    with path.open(encoding="utf-8-sig") as file:
        line = file.readline(2**16)

    def lacking(separator: str) -> int:
        names = [name.strip().strip('"') for name in line.split(separator)]
        return len(missing_columns(kind, names, per_year=per_year))

    best = min(_OTHER_SEPARATORS, key=lacking)
    if lacking(best) >= lacking(","):
        return None
    if best == "\t":
        return Refusal("wrong_separator", "tab")
    return Refusal("wrong_separator", "character", separator=best)


def _malformed(error: csv.Error) -> Refusal:
    said = str(error)
    if "field limit" in said:
        return Refusal("malformed_csv", "long_cell")
    if "unexpected end" in said:
        return Refusal("malformed_csv", "open_quote")
    return Refusal("malformed_csv", "text_after_quote")
