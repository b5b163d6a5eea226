"""The CSV dialect: from a local CSV file, or inline rows, to a header and rows of text cells."""

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from service.domain.catalogue import CatalogueType, columns_of
from service.domain.errors import Refusal, TooLarge
from service.rows.row_rules import NestedJson, repeated_names

SHORT_BYTES, SHORT_ROWS = 2**15, 250
"""The largest table that is read on the event loop, which it holds for about a millisecond."""

SHOWN_NAMES = 12
"""The most names of a header that a message quotes."""

_OTHER_SEPARATORS = (";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Table:
    """A header and the rows below it, as text.

    `position()` is the number of bytes of the file that were read so far. A table that `is_short`
    takes less time to read than a thread takes to start reading it.
    """

    header: Sequence[str]
    rows: Iterator[list[str]]
    position: Callable[[], int]
    is_short: bool

    def take(self, count: int) -> tuple[list[list[str]], Refusal | None]:
        """The next rows, at most `count`; and a `Refusal` if the file is malformed after them.

        No rows and no refusal mean the end of the table.
        """
        rows: list[list[str]] = []
        try:
            # `extend` keeps the rows before an error in the list.
            rows.extend(islice(self.rows, count))
        except csv.Error as error:
            return rows, _malformed_csv(error)
        return rows, None


@contextmanager
def open_csv(
    path: Path, catalogue_type: CatalogueType, *, per_year: bool, max_columns: int
) -> Iterator[Table]:
    """Open a local CSV file, and read and check its header; the file is closed at the end.

    Raises `Refusal` (wrong_separator, missing_column, repeated_column, no_rows, malformed_csv), and
    `TooLarge` if the header has more than `max_columns` names.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = _read_header(reader)
        except csv.Error as error:
            raise _header_refusal(path, catalogue_type, per_year, _malformed_csv(error)) from None

        if missing := missing_columns(catalogue_type, header, per_year=per_year):
            refusal = _missing_column_refusal(missing, header)
            raise _header_refusal(path, catalogue_type, per_year, refusal)
        _check_width(catalogue_type, header, per_year=per_year, max_columns=max_columns)

        # The position of the unbuffered file: `file.tell()` is not allowed while a text file is
        # iterated over. The type of `buffer` does not declare `raw`, but this kind of file has it.
        tell = file.buffer.raw.tell  # type: ignore[attr-defined]
        yield Table(header, reader, tell, os.fstat(file.fileno()).st_size <= SHORT_BYTES)


def open_rows(
    rows: Sequence[Mapping[str, Any]], catalogue_type: CatalogueType, *, per_year: bool
) -> Table:
    """The inline rows of a job as a table. Raises `Refusal` (no_rows)."""
    if not rows:
        raise Refusal("no_rows", "inline")
    header, cells = inline_table(catalogue_type, rows, per_year=per_year)
    return Table(header, cells, lambda: 0, len(rows) <= SHORT_ROWS)


def missing_columns(
    catalogue_type: CatalogueType, header: Sequence[str], *, per_year: bool
) -> list[str]:
    """The required columns that a header lacks, in the catalogue's order."""
    names = {name.strip() for name in header}
    columns = columns_of(catalogue_type, per_year=per_year)
    return [column.name for column in columns if column.required and column.name not in names]


def inline_table(
    catalogue_type: CatalogueType, rows: Sequence[Mapping[str, Any]], *, per_year: bool = True
) -> tuple[list[str], Iterator[list[str]]]:
    """The inline rows of a message (JSON objects) as a table of text: a header and rows of cells.

    The header has the keys of the objects in the order of their first appearance. The required
    columns that no object has follow, so that every row gets the error that the value is missing.
    Null and an absent key become the empty cell.
    """
    trimmed = [{name.strip(): value for name, value in row.items()} for row in rows]
    header = list(dict.fromkeys(name for row in trimmed for name in row))
    header += missing_columns(catalogue_type, header, per_year=per_year)
    return header, ([_cell_of_json(row.get(name)) for name in header] for row in trimmed)


def _cell_of_json(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case int() | float() if not isinstance(value, bool):  # Python's bool is an int
            return repr(value)
        case _:
            return NestedJson(orjson.dumps(value).decode())


def _read_header(reader: Iterator[list[str]]) -> list[str]:
    """The names in the first line that has any. Raises `Refusal` (no_rows) and `csv.Error`."""
    for cells in reader:
        if any(map(str.strip, cells)):
            return [cell.strip() for cell in cells]
    raise Refusal("no_rows", "no_header")


def _check_width(
    catalogue_type: CatalogueType, header: list[str], *, per_year: bool, max_columns: int
) -> None:
    """Raise `TooLarge` if the header has too many names, and `Refusal` if it repeats one."""
    if len(header) > max_columns:
        raise TooLarge("columns", found=len(header), most=max_columns)
    columns = columns_of(catalogue_type, per_year=per_year)
    if repeated := repeated_names(columns, header):
        raise Refusal("repeated_column", columns=repeated)


def _header_refusal(
    path: Path, catalogue_type: CatalogueType, per_year: bool, otherwise: Refusal
) -> Refusal:
    """Why a header is refused: `wrong_separator` if that explains the problem, or `otherwise`."""
    separator = _separator_found(path, catalogue_type, per_year=per_year)
    if separator is None:
        return otherwise
    if separator == "\t":
        return Refusal("wrong_separator", "tab")
    return Refusal("wrong_separator", "character", separator=separator)


def _separator_found(path: Path, catalogue_type: CatalogueType, *, per_year: bool) -> str | None:
    """The separator that finds more required columns in the first line than the comma, or None."""
    with path.open(encoding="utf-8-sig") as file:
        line = file.readline(2**16)

    def count_missing(separator: str) -> int:
        names = [name.strip().strip('"') for name in line.split(separator)]
        return len(missing_columns(catalogue_type, names, per_year=per_year))

    best = min(_OTHER_SEPARATORS, key=count_missing)
    if count_missing(best) < count_missing(","):
        return best
    return None


def _missing_column_refusal(missing: list[str], header: list[str]) -> Refusal:
    case = "all_names" if len(header) <= SHOWN_NAMES else "first_names"
    return Refusal("missing_column", case, missing=missing, found=header[:SHOWN_NAMES])


def _malformed_csv(error: csv.Error) -> Refusal:
    # The csv module has one class for all errors; only its message tells them apart.
    message = str(error)
    if "field limit" in message:
        return Refusal("malformed_csv", "long_cell")
    if "unexpected end" in message:
        return Refusal("malformed_csv", "open_quote")
    return Refusal("malformed_csv", "text_after_quote")
