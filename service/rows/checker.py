"""The row checker: from a row's text cells to a line for COPY, or to a row error.

Every row goes first through the generated function of `compiled_check`, which takes the rows that
are plainly good. `check_slowly` decides all other rows with `row_rules`, and says what is wrong
with them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
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
)
from service.domain.model import Placement, RowError
from service.rows.compiled_check import compiled_check
from service.rows.row_rules import (
    CellValue,
    InvalidCell,
    Layout,
    RowValues,
    Rules,
    ignored_names,
    quotable_cell,
    read_row,
    sum_rule,
)

CopyRow = tuple[Any, bytes]
"""A good row: its key, and its line for COPY without the newline.

The key of an entry is its module id (int); the key of a factor is its identity (JSON, str). The
line of a factor has two cells, its identity and its values.
"""

key_of, line_of = itemgetter(0), itemgetter(1)
"""The two parts of a `CopyRow`."""


class BadRow(NamedTuple):
    """A row that is skipped: its error, and its cells as they were in the file.

    `identity` is that of a factor, or None if it could not be read; entries have none.
    """

    error: RowError
    cells: list[str]
    identity: str | None


class RowTags(NamedTuple):
    """The values that are the same in every row of a job."""

    data_entry_type_id: int
    year: int
    source: int
    created_by_id: int

    def copy_prefix(self, module_id: int, unit_id: int) -> bytes:
        """A line for COPY up to the data, its last cell; the order is that of `entries.COLUMNS`."""
        type_id, year, source, job_id = self
        return b"%d\t%d\t%d\t%d\t%d\t%d\t" % (type_id, module_id, unit_id, year, source, job_id)


class _RowChecker(ABC):
    """Checks the rows of one upload in the order of the file, some at a time.

    A line without any value is not a row and is not counted. `rows_seen` is the number of rows so
    far; it grows at the end of each `check`. `ignored_columns` has the names in the header that are
    no column of the type. Raises `ValueError` if the header names a known column more than once.
    """

    def __init__(
        self, catalogue_type: CatalogueType, header: Sequence[str], *, per_year: bool
    ) -> None:
        self.layout = Layout.of(catalogue_type, header, per_year=per_year)
        self.ignored_columns = ignored_names(self.layout.columns, header)
        self.rows_seen = 0
        self._compiled_check = compiled_check(catalogue_type, self.layout)

    def check(self, rows: Iterable[list[str]]) -> tuple[list[CopyRow], list[BadRow]]:
        """Check the next rows; the good ones as rows for COPY, and the bad ones."""
        good: list[CopyRow] = []
        bad: list[BadRow] = []
        self._compiled_check(self, rows, good, bad)
        self.rows_seen += len(good) + len(bad)
        return good, bad

    def check_slowly(self, row: list[str], good: list[CopyRow], bad: list[BadRow]) -> None:
        """Decide one row that the generated function did not take; append it to `good` or `bad`."""
        if not any(cell.strip() for cell in row):
            return

        number = self.rows_seen + len(good) + len(bad) + 1
        try:
            good.append(self._copy_row(row, number))
        except InvalidCell as invalid:
            error = RowError(number, invalid.column, invalid.code, invalid.message, invalid.values)
            bad.append(self._bad_row(error, row))

    @abstractmethod
    def _copy_row(self, row: list[str], number: int) -> CopyRow:
        """The key and line of a good row. Raises `InvalidCell`."""

    def _bad_row(self, error: RowError, row: list[str]) -> BadRow:
        return BadRow(error, row, None)


class EntryChecker(_RowChecker):
    """Checks the rows of an upload of entries.

    `tags` has the values that every row of the job carries. Give exactly one of `units` and
    `module`, or `ValueError` is raised:

    - `units` for an upload whose rows name their unit: the placement by the institutional id of
      the unit. It is None if the unit has no module in a calculator report of the year.
    - `module` for a unit-specific upload: the placement of all rows.

    `stored_ids` has, by module id, the unique ids of stored entries that this upload does not
    replace. A row with one of them is a duplicate.

    Attributes to read: `receiving_modules` has the ids of the modules that have had a good row so
    far; `row_of_id` has the number of the good row by its (module id, unique id).

    A destination is the pair (module id, beginning of the line for COPY). A unit-specific upload
    has one `destination`. For a per-year upload it is None, and `destinations` has one by
    institutional id.
    """

    def __init__(
        self,
        entry: EntryType,
        header: Sequence[str],
        tags: RowTags,
        *,
        units: Mapping[str, Placement | None] | None = None,
        module: Placement | None = None,
        stored_ids: Mapping[int, AbstractSet[str]] | None = None,
    ) -> None:
        if (units is None) == (module is None):
            raise ValueError("give exactly one of `units` and `module`")
        super().__init__(entry, header, per_year=units is not None)

        # The beginning of a line is the same in all rows of a unit; it is made once for each.
        self.destinations = {
            name: (placement.module_id, tags.copy_prefix(*placement))
            for name, placement in (units or {}).items()
            if placement is not None
        }
        self.destination = None if module is None else (module.module_id, tags.copy_prefix(*module))

        self.stored_ids = {
            (module_id, unique_id)
            for module_id, unique_ids in (stored_ids or {}).items()
            for unique_id in unique_ids
        }
        self.row_of_id: dict[tuple[int, str], int] = {}
        self.receiving_modules: set[int] = set()

        self._tags = tags
        self._entry = entry
        self._units = units or {}
        self._rules = self._rules_across_columns()

    def check(self, rows: Iterable[list[str]]) -> tuple[list[CopyRow], list[BadRow]]:
        good, bad = super().check(rows)
        self.receiving_modules.update(map(key_of, good))
        return good, bad

    def _copy_row(self, row: list[str], number: int) -> CopyRow:
        values = read_row(self.layout, row, self._rules)
        module_id, prefix = self.destination or self._destination_of(values)
        data = {
            column.json_key: values[column.name]
            for column in self.layout.columns
            if column is not UNIT and column.name in values
        }

        # Last, because a row with any other mistake must not reserve its unique id.
        if self._entry.unique is not None:
            unique_id = str(values[self._entry.unique])
            self._reserve_unique_id(module_id, self._entry.unique, unique_id, number)
        return module_id, prefix + escape_json(orjson.dumps(data))

    def _rules_across_columns(self) -> Rules:
        rules: dict[str, Callable[[RowValues], object]] = {}
        if self.destination is None:
            # An unknown unit is then the first error of its row, as the unit is the first column.
            rules[UNIT.name] = self._destination_of
        if self._entry.sum_at_most is not None:
            rules.update(sum_rule(self._entry.sum_at_most))
        return rules

    def _destination_of(self, values: RowValues) -> tuple[int, bytes]:
        """The destination of a row that names its unit. Raises `InvalidCell`."""
        name = str(values[UNIT.name])
        cell = quotable_cell(name)
        if name not in self._units:
            raise InvalidCell(UNIT.name, RowErrorCode.UNKNOWN_UNIT, cell=cell)
        if name not in self.destinations:
            year = self._tags.year
            raise InvalidCell(UNIT.name, RowErrorCode.UNIT_WITHOUT_REPORT, cell=cell, year=year)
        return self.destinations[name]

    def _reserve_unique_id(self, module_id: int, column: str, value: str, number: int) -> None:
        """Reserve a unique id for row `number`. Raises `InvalidCell` if another row has it."""
        key = (module_id, value)
        cell = quotable_cell(value)
        if key in self.row_of_id:
            raise InvalidCell(
                column,
                RowErrorCode.DUPLICATE,
                "earlier_row",
                cell=cell,
                earlier_row=self.row_of_id[key],
            )
        if key in self.stored_ids:
            raise InvalidCell(column, RowErrorCode.DUPLICATE, "stored_entry", cell=cell)
        self.row_of_id[key] = number


class FactorChecker(_RowChecker):
    """Checks the rows of an upload of factors.

    The identity of a factor is a JSON object of its identity columns with sorted keys, without the
    absent ones. `row_of_identity` has the number of the good row by its identity.
    """

    def __init__(self, factor: FactorType, header: Sequence[str]) -> None:
        super().__init__(factor, header, per_year=False)
        self.row_of_identity: dict[str, int] = {}
        self._factor = factor
        self._identity_layout = self.layout.only(factor.identity)

    def _copy_row(self, row: list[str], number: int) -> CopyRow:
        values = read_row(self.layout, row, {})
        identity = self._identity_of(values)
        if identity in self.row_of_identity:
            columns = [column.name for column in self._factor.identity]
            raise InvalidCell(
                columns[0],
                RowErrorCode.DUPLICATE,
                "same_factor",
                earlier_row=self.row_of_identity[identity],
                columns=columns,
            )

        self.row_of_identity[identity] = number
        data = {
            column.json_key: values[column.name]
            for column in self._factor.values
            if column.name in values
        }
        return identity, escape_json(identity.encode()) + b"\t" + escape_json(orjson.dumps(data))

    def _bad_row(self, error: RowError, row: list[str]) -> BadRow:
        # A stored factor is not removed if only a bad row names it, so its identity is needed.
        try:
            identity = self._identity_of(read_row(self._identity_layout, row, {}))
        except InvalidCell:
            return BadRow(error, row, None)
        return BadRow(error, row, identity)

    def _identity_of(self, values: Mapping[str, CellValue]) -> str:
        identity = {
            column.json_key: values[column.name]
            for column in self._factor.identity
            if column.name in values
        }
        return orjson.dumps(identity, option=orjson.OPT_SORT_KEYS).decode()
