"""The rules of a row in readable code: the values of its cells, or the first mistake in them.

The generated check (`compiled_check`) takes the rows that are plainly good. This module decides all
other rows, so every message about a row that a person reads starts here. A mistake is raised as
`InvalidCell` with a code, a case and values; `service/domain/texts/english.py` has the sentence for
each code and case, which says what was found and what to write instead.

The columns are read in the catalogue's order, and reading stops at the first mistake: a row has one
error. For each column the order is:

1. A JSON list, object, true or false in place of a cell (`nested_value`), or a NUL
   (`nul_character`).
2. An empty cell: the default, nothing, or `required`.
3. The kind of value: a number, a text from a list, a date. Spreadsheets write a number as their
   country does, so `_raise_not_a_number` recognises `0,5`, `1.234,5` and `1'249.90`, and suggests
   the spelling that is expected.
4. A rule across several columns, at the last column that it needs: the unit is known, a sum of
   hours fits into the week.
"""

import re
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from difflib import get_close_matches
from itertools import islice
from math import inf, isfinite
from typing import NoReturn, Self

from service.domain.catalogue import (
    MAX_WHOLE,
    CatalogueType,
    Choice,
    Column,
    Date,
    Integer,
    Number,
    RowErrorCode,
    SumAtMost,
    Text,
    columns_of,
)
from service.domain.texts import TextValue, message_of, shorten

QUOTED_LENGTH = 40
"""The most characters of a cell that a message quotes."""

LISTED_IGNORED = 100
"""The most ignored columns that an event lists."""

CellValue = str | int | float
RowValues = Mapping[str, CellValue]
"""The values of a row by column name; an absent value has no key."""

Rules = Mapping[str, Callable[[RowValues], object]]
"""Rules across several columns, by the name of the last column that each needs.

A rule gets the values read so far, and raises `InvalidCell`.
"""

_DECIMAL_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_THOUSANDS_SEPARATORS = re.compile(r"[\s_'’]+")
_NOT_FINITE_NAMES = {"nan", "inf", "infinity"}
_DATE = re.compile(
    r"(?P<day>\d{4}([-/])\d\d\2\d\d)(?:[T ](?P<time>\d\d:\d\d(?::\d\d)?))?", re.ASCII
)


class NestedJson(str):
    """The cell for a JSON value that is no text and no number: a list, an object, true or false.

    It begins with a NUL, so that the generated check never takes it for a text. `str()` gives the
    value as JSON, without the NUL.
    """

    __slots__ = ()

    def __new__(cls, json: str) -> Self:
        return super().__new__(cls, f"\0{json}")

    def __str__(self) -> str:
        return self[1:]


class InvalidCell(Exception):
    """The first mistake in a row.

    `message` is made of the code, the case and the values. The value `cell` is the cell's text as
    `quotable_cell` gives it.
    """

    def __init__(
        self, column: str, code: RowErrorCode, case: str = "", /, **values: TextValue
    ) -> None:
        self.column = column
        self.code = code.value
        self.values = values
        self.message = message_of(code.value, case, values)
        super().__init__(self.message)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the columns of a type are in the rows below a header.

    `positions` has the index of each of the `columns` in a row, None for a column that the header
    lacks. `width` is the number of names in the header.
    """

    columns: tuple[Column, ...]
    positions: tuple[int | None, ...]
    width: int

    @classmethod
    def of(cls, catalogue_type: CatalogueType, header: Sequence[str], *, per_year: bool) -> Self:
        """The layout below this header. Raises `ValueError` if it names a known column twice."""
        names = [name.strip() for name in header]
        columns = columns_of(catalogue_type, per_year=per_year)
        if repeated := repeated_names(columns, header):
            raise ValueError(f"the header names {', '.join(repeated)} more than once")

        positions = tuple(
            names.index(column.name) if column.name in names else None for column in columns
        )
        return cls(columns, positions, len(names))

    def position_of(self, column: Column) -> int | None:
        """The index of a column's cell in a row; None if there is no such column or cell."""
        if column not in self.columns:
            return None
        return self.positions[self.columns.index(column)]

    def only(self, columns: Container[Column]) -> Self:
        """The layout of the same rows that reads only these columns."""
        kept = [
            (column, position)
            for column, position in zip(self.columns, self.positions, strict=True)
            if column in columns
        ]
        return replace(
            self,
            columns=tuple(column for column, _ in kept),
            positions=tuple(position for _, position in kept),
        )


def repeated_names(columns: Sequence[Column], header: Sequence[str]) -> list[str]:
    """The names of the columns that a header names more than once."""
    seen = Counter(name.strip() for name in header)
    return [column.name for column in columns if seen[column.name] > 1]


def ignored_names(columns: Sequence[Column], header: Sequence[str]) -> tuple[str, ...]:
    """The names in a header that are no column of the type, in its order and each once.

    Nothing reads the cells below them. They are told all the same, because a misspelled name is one
    of them: `currncy` would leave every amount in the default currency. At most `LISTED_IGNORED`
    names, each as `quotable_cell` gives it.
    """
    known = {column.name for column in columns}
    names = dict.fromkeys(name.strip() for name in header)
    ignored = (quotable_cell(name) for name in names if name and name not in known)
    return tuple(islice(ignored, LISTED_IGNORED))


def read_row(layout: Layout, row: Sequence[str], rules: Rules) -> dict[str, CellValue]:
    """The values of a row by column name, without the absent ones.

    A row with fewer cells than the header is read as if the others were empty. Raises `InvalidCell`
    for the first mistake in the catalogue's order of columns.
    """
    values: dict[str, CellValue] = {}
    for column, position in zip(layout.columns, layout.positions, strict=True):
        cell = row[position] if position is not None and position < len(row) else ""
        value = read_cell(column, cell)
        if value is not None:
            values[column.name] = value
        if column.name in rules:
            rules[column.name](values)
    return values


def read_cell(column: Column, cell: str) -> CellValue | None:
    """The value of one cell; None if it is empty and has no default. Raises `InvalidCell`."""
    text = cell.strip()
    if isinstance(cell, NestedJson):
        raise InvalidCell(column.name, RowErrorCode.NESTED_VALUE, cell=quotable_cell(str(cell)))
    if "\0" in text:
        raise InvalidCell(column.name, RowErrorCode.NUL_CHARACTER, cell=quotable_cell(text))
    if not text:
        return _read_empty_cell(column)
    match column:
        case Number():
            return _read_number(column, text)
        case Choice():
            return _read_choice(column, text)
        case Date():
            return _read_date(column, text)
        case Text(upper=True):
            return text.upper()
        case _:
            return text


def sum_rule(rule: SumAtMost) -> Rules:
    """The rule that a sum of columns has a maximum, to be checked at the last of these columns."""
    *_, last = rule.columns

    def check_sum(values: RowValues) -> None:
        present = (values.get(name) for name in rule.columns)
        numbers = [value for value in present if isinstance(value, int | float)]
        if sum(numbers) > rule.maximum:
            raise InvalidCell(
                last,
                RowErrorCode.OUT_OF_BOUNDS,
                "sum",
                terms=[str(number) for number in numbers],
                sum=sum(numbers),
                maximum=rule.maximum,
                measure=rule.measure,
                columns=rule.columns,
            )

    return {last: check_sum}


def quotable_cell(text: str) -> str:
    """A cell's text as a message quotes it: escaped, and cut to `QUOTED_LENGTH` characters.

    Characters that are not printable are escaped as in the source of Python.
    """
    # One character more than is quoted is enough to see that the text is longer.
    beginning = text[: QUOTED_LENGTH + 1]
    shown = "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in beginning
    )
    return shorten(shown, QUOTED_LENGTH)


def _read_empty_cell(column: Column) -> CellValue | None:
    if column.required:
        raise InvalidCell(column.name, RowErrorCode.REQUIRED, example=quotable_cell(column.example))
    return column.default


def _read_number(column: Number, text: str) -> float | int:
    if not _DECIMAL_NUMBER.fullmatch(text):
        _raise_not_a_number(column, text)

    value = float(text)
    whole = isinstance(column, Integer)
    if not isfinite(value) or (whole and abs(value) > MAX_WHOLE):
        _raise_with_range(column, RowErrorCode.NOT_FINITE, "too_large", text)
    if whole and not value.is_integer():
        _raise_with_range(column, RowErrorCode.NOT_AN_INTEGER, "", text)
    if not column.minimum <= value <= column.maximum:
        _raise_with_range(column, RowErrorCode.OUT_OF_BOUNDS, "value", text)
    return int(value) if whole else value


def _raise_with_range(column: Number, code: RowErrorCode, case: str, text: str) -> NoReturn:
    """Refuse a number that the column does not accept; the message names the range that it does."""
    values: dict[str, TextValue] = {
        "cell": quotable_cell(text),
        "minimum": column.minimum,
        "measure": column.measure,
    }
    # The values are published as JSON, which has no infinity: no upper bound means no `maximum`.
    if column.maximum < inf:
        values["maximum"] = column.maximum
    raise InvalidCell(column.name, code, case, **values)


def _raise_not_a_number(column: Number, text: str) -> NoReturn:
    """Refuse a text that is not a number like `12.5`; suggest the right spelling if possible.

    `nan` and `inf` are `not_finite`; `0,5`, `1.234,5` and `1 234,5` are `decimal_comma`; `1'249.90`
    and `1,234,567` are `not_a_number` because of their separators; for anything else the message
    shows an example.
    """
    if text.lower().lstrip("+-") in _NOT_FINITE_NAMES:
        _raise_with_range(column, RowErrorCode.NOT_FINITE, "no_number", text)

    joined = _THOUSANDS_SEPARATORS.sub("", text)
    without_commas = joined.replace(",", "")
    before, comma, after = joined.partition(",")
    with_point = f"{before.replace('.', '')}.{after}"

    if comma and _DECIMAL_NUMBER.fullmatch(with_point):
        # In `1,234` the comma may stand before decimals or between thousands: suggest both.
        ambiguous = len(after) == 3
        raise InvalidCell(
            column.name,
            RowErrorCode.DECIMAL_COMMA,
            "or_thousands" if ambiguous else "alone",
            cell=quotable_cell(text),
            with_point=quotable_cell(with_point),
            without_commas=quotable_cell(without_commas),
        )
    if _DECIMAL_NUMBER.fullmatch(without_commas):
        raise InvalidCell(
            column.name,
            RowErrorCode.NOT_A_NUMBER,
            "separators",
            cell=quotable_cell(text),
            without_commas=quotable_cell(without_commas),
        )
    raise InvalidCell(
        column.name,
        RowErrorCode.NOT_A_NUMBER,
        "other",
        cell=quotable_cell(text),
        example=column.example or "12.5",
    )


def _read_choice(column: Choice, text: str) -> str:
    value = text.lower() if column.fold else text
    if value in column.choices:
        return value

    # Only the beginning is compared: the time of the comparison grows with the length of the text.
    beginning = text[:QUOTED_LENGTH].lower()
    close = get_close_matches(beginning, column.choices, n=1)
    values: dict[str, TextValue] = {"cell": quotable_cell(text), "listed": column.choices}
    if close:
        raise InvalidCell(column.name, RowErrorCode.NOT_IN_LIST, "close", close=close[0], **values)
    raise InvalidCell(column.name, RowErrorCode.NOT_IN_LIST, "none_close", **values)


def _read_date(column: Date, text: str) -> str:
    # `fromisoformat` alone also accepts 20250318 and dates by week, such as 2025-W12-2.
    match = _DATE.fullmatch(text)
    if match is None:
        raise InvalidCell(
            column.name,
            RowErrorCode.BAD_DATE,
            "form",
            cell=quotable_cell(text),
            example=column.example,
        )
    day, time = match["day"].replace("/", "-"), match["time"]
    try:
        if time is None:
            return date.fromisoformat(day).isoformat()
        return datetime.fromisoformat(f"{day}T{time}").isoformat()
    except ValueError:
        raise InvalidCell(
            column.name, RowErrorCode.BAD_DATE, "no_such_day", cell=quotable_cell(text)
        ) from None
