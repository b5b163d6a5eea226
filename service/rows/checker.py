"""The row checker: from text cells to records ready for COPY, and to row errors.

`flat` takes the rows that are plainly good; `plain` decides the others, and says what is wrong.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from service.db.copy import escape_json
from service.domain.catalogue import (
    UNIT,
    CatalogueType,
    EntryType,
    FactorType,
    RowErrorCode,
    columns_of,
)
from service.domain.model import RowError
from service.rows.compiled_check import compiled_check
from service.rows.row_rules import (
    CellValue,
    InvalidCell,
    Layout,
    NestedJson,
    RowValues,
    Rules,
    read_row,
    repeated_names,
    shortened,
    sum_rule,
)

CopyRow = tuple[Any, bytes]
"""What a good row becomes: its key, which is an entry's module id or a factor's identity, and its line for COPY."""

key_of, line_of = itemgetter(0), itemgetter(1)


class BadRow(NamedTuple):
    """A row that is skipped: why, its cells as they were, and (factors) its identity where that could be read."""

    error: RowError
    cells: list[str]
    identity: str | None


class RowTags(NamedTuple):
    """What every row of one job carries."""

    data_entry_type_id: int
    year: int
    source: int
    created_by_id: int

    def copy_prefix(self, module_id: int, unit_id: int) -> bytes:
        """All of a line for COPY, in the order of `entries.COLUMNS`, but the data, which comes last."""
        type_id, year, source, job_id = self
        return b"%d\t%d\t%d\t%d\t%d\t%d\t" % (type_id, module_id, unit_id, year, source, job_id)


class _Checker(ABC):
    """Checks the rows of one upload in their order, a chunk at a time; blank lines are not rows."""

    def __init__(self, kind: CatalogueType, header: Sequence[str], *, per_year: bool) -> None:
        self.layout = Layout.of(kind, header, per_year=per_year)
        self.rows_seen = 0
        self._flat = compiled_check(kind, self.layout)

    def check(self, rows: Iterable[list[str]]) -> tuple[list[CopyRow], list[BadRow]]:
        """The records of the good rows, and the bad rows."""
        good: list[CopyRow] = []
        bad: list[BadRow] = []
        self._flat(self, rows, good, bad)
        self.rows_seen += len(good) + len(bad)
        return good, bad

    def check_slowly(self, row: list[str], good: list[CopyRow], bad: list[BadRow]) -> None:
        """Decide a row that the flat function did not take."""
        if not any(cell.strip() for cell in row):
            return
        number = self.rows_seen + len(good) + len(bad) + 1
        try:
            good.append(self._record(row, number))
        except InvalidCell as wrong:
            error = RowError(number, wrong.column, wrong.code, wrong.message, wrong.values)
            bad.append(self._skipped(error, row))

    @abstractmethod
    def _record(self, row: list[str], number: int) -> CopyRow:
        """The record of a row. Raises `InvalidCell`."""

    def _skipped(self, error: RowError, row: list[str]) -> BadRow:
        return BadRow(error, row, None)


class EntryChecker(_Checker):
    """Checks the rows of an upload of entries. `affected` are the modules that received a good row so far.

    Exactly one of `units` (per-year: institutional id to unit id and module id, the latter None for a
    unit without a calculator report) and `module` (unit-specific: module id and unit id) is given.
    `held` are the unique ids that entries which this job does not replace hold, by module; `taken` are
    those that its good rows took, with their row numbers.
    """

    def __init__(
        self,
        entry: EntryType,
        header: Sequence[str],
        target: RowTags,
        *,
        units: Mapping[str, tuple[int, int | None]] | None = None,
        module: tuple[int, int] | None = None,
        held: Mapping[int, AbstractSet[str]] | None = None,
    ) -> None:
        if (units is None) == (module is None):
            raise ValueError("give exactly one of `units` and `module`")
        super().__init__(entry, header, per_year=units is not None)
        self.target = target
        self.destinations = {
            name: (module_id, target.copy_prefix(module_id, unit_id))
            for name, (unit_id, module_id) in (units or {}).items()
            if module_id is not None
        }
        self.destination = None if module is None else (module[0], target.copy_prefix(*module))
        self.held = {(module_id, key) for module_id, keys in (held or {}).items() for key in keys}
        self.taken: dict[tuple[int, str], int] = {}
        self.affected: set[int] = set()
        self._entry = entry
        self._units = units or {}
        self._rules = self._rules_of(entry)

    def check(self, rows: Iterable[list[str]]) -> tuple[list[CopyRow], list[BadRow]]:
        good, bad = super().check(rows)
        self.affected.update(map(key_of, good))
        return good, bad

    def _record(self, row: list[str], number: int) -> CopyRow:
        values = read_row(self.layout, row, self._rules)
        module_id, prefix = self.destination or self._destination_of(values)
        own = (column for column in self.layout.columns if column is not UNIT)
        data = {column.key: values[column.name] for column in own if column.name in values}
        if self._entry.unique is not None:
            self._take(module_id, self._entry.unique, str(values[self._entry.unique]), number)
        return module_id, prefix + escape_json(orjson.dumps(data))

    def _rules_of(self, entry: EntryType) -> Rules:
        placing = {UNIT.name: self._destination_of} if self.destination is None else {}
        return placing if entry.sum_at_most is None else {**placing, **sum_rule(entry.sum_at_most)}

    def _destination_of(self, values: RowValues) -> tuple[int, bytes]:
        """The module and head of a row that names its unit. Raises `InvalidCell`."""
        name = str(values[UNIT.name])
        cell = shortened(name)
        if name not in self._units:
            raise InvalidCell(UNIT.name, RowErrorCode.UNKNOWN_UNIT, cell=cell)
        if name not in self.destinations:
            year = self.target.year
            raise InvalidCell(UNIT.name, RowErrorCode.UNIT_WITHOUT_REPORT, cell=cell, year=year)
        return self.destinations[name]

    def _take(self, module_id: int, column: str, value: str, number: int) -> None:
        key, cell = (module_id, value), shortened(value)
        if key in self.taken:
            raise InvalidCell(
                column,
                RowErrorCode.DUPLICATE,
                "earlier_row",
                cell=cell,
                earlier_row=self.taken[key],
            )
        if key in self.held:
            raise InvalidCell(column, RowErrorCode.DUPLICATE, "stored_entry", cell=cell)
        self.taken[key] = number


class FactorChecker(_Checker):
    """Checks the rows of an upload of factors. `taken` are the identities of its good rows, with their numbers."""

    def __init__(self, factor: FactorType, header: Sequence[str]) -> None:
        super().__init__(factor, header, per_year=False)
        self.taken: dict[str, int] = {}
        self._factor = factor
        self._identity_layout = self.layout.only(factor.identity)

    def _record(self, row: list[str], number: int) -> CopyRow:
        values = read_row(self.layout, row, {})
        identity = self._canonical(values)
        if identity in self.taken:
            columns = [column.name for column in self._factor.identity]
            raise InvalidCell(
                columns[0],
                RowErrorCode.DUPLICATE,
                "same_factor",
                earlier_row=self.taken[identity],
                columns=columns,
            )
        self.taken[identity] = number
        said = {
            column.key: values[column.name]
            for column in self._factor.values
            if column.name in values
        }
        return identity, escape_json(identity.encode()) + b"\t" + escape_json(orjson.dumps(said))

    def _skipped(self, error: RowError, row: list[str]) -> BadRow:
        try:
            identity = self._canonical(read_row(self._identity_layout, row, {}))
        except InvalidCell:
            return BadRow(error, row, None)
        return BadRow(error, row, identity)

    def _canonical(self, values: Mapping[str, CellValue]) -> str:
        identity = {
            column.key: values[column.name]
            for column in self._factor.identity
            if column.name in values
        }
        return orjson.dumps(identity, option=orjson.OPT_SORT_KEYS).decode()


def missing_columns(kind: CatalogueType, header: Sequence[str], *, per_year: bool) -> list[str]:
    """The required columns that a header lacks, in the catalogue's order."""
    names = {name.strip() for name in header}
    columns = columns_of(kind, per_year=per_year)
    return [column.name for column in columns if column.required and column.name not in names]


def repeated_columns(kind: CatalogueType, header: Sequence[str], *, per_year: bool) -> list[str]:
    """The kind's columns that a header names more than once, so that either might be meant."""
    return repeated_names(columns_of(kind, per_year=per_year), header)


def inline_table(
    kind: CatalogueType, rows: Sequence[Mapping[str, Any]], *, per_year: bool = True
) -> tuple[list[str], Iterator[list[str]]]:
    """JSON objects as a table of text: a header, and the cells below it.

    The header has the objects' keys in the order of their first appearance, then the required columns
    that none of them has, so that every row says so. Null and absent are the empty cell.
    """
    trimmed = [{name.strip(): value for name, value in row.items()} for row in rows]
    header = list(dict.fromkeys(name for row in trimmed for name in row))
    header += missing_columns(kind, header, per_year=per_year)
    return header, ([_cell(row.get(name)) for name in header] for row in trimmed)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case int() | float() if not isinstance(value, bool):
            return repr(value)
        case _:
            return NestedJson(orjson.dumps(value).decode())
