"""The rules of a row in plain code: what it holds, or the first thing that is wrong with it.

This decides every row that `flat` does not take at once, and writes the messages that people read.
"""

import re
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from math import isfinite
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
    columns_of,
)

QUOTED_LENGTH = 40
"""Characters of a cell that a message may show."""

Value = str | int | float
Values = Mapping[str, Value]
Rules = Mapping[str, Callable[[Values], object]]
"""What to check across columns, by the last column it needs."""

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_BETWEEN_THOUSANDS = re.compile(r"[\s_'’]+")
_NOT_FINITE = {"nan", "inf", "infinity"}
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class NestedJson(str):
    """The cell of a JSON value that no cell can hold: a list, an object, true or false.

    It begins with a NUL, so that nothing takes it for text. `str()` gives the value as JSON.
    """

    __slots__ = ()

    def __new__(cls, json: str) -> Self:
        return super().__new__(cls, f"\0{json}")

    def __str__(self) -> str:
        return self[1:]


class InvalidCell(Exception):
    """The first thing that is wrong with a row."""

    def __init__(self, column: str, code: RowErrorCode, message: str) -> None:
        self.column = column
        self.code = code.value
        self.message = message
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a kind's columns stand in the rows below a header; None for one that the header lacks."""

    columns: tuple[Column, ...]
    positions: tuple[int | None, ...]
    width: int

    @classmethod
    def of(cls, kind: CatalogueType, header: Sequence[str], *, per_year: bool) -> Self:
        """Raises `ValueError` where a known column stands twice, since either might be meant."""
        names = [name.strip() for name in header]
        columns = columns_of(kind, per_year=per_year)
        if repeated := repeated_names(columns, header):
            raise ValueError(f"the header names {', '.join(repeated)} more than once")
        positions = tuple(names.index(column.name) if column.name in names else None for column in columns)
        return cls(columns, positions, len(names))

    def only(self, columns: Container[Column]) -> Self:
        """The same rows, with fewer columns to read."""
        kept = [(c, p) for c, p in zip(self.columns, self.positions, strict=True) if c in columns]
        return replace(self, columns=tuple(c for c, _ in kept), positions=tuple(p for _, p in kept))


def repeated_names(columns: Sequence[Column], header: Sequence[str]) -> list[str]:
    """The columns that a header names more than once."""
    seen = Counter(name.strip() for name in header)
    return [column.name for column in columns if seen[column.name] > 1]


def read_row(layout: Layout, row: Sequence[str], rules: Rules) -> dict[str, Value]:
    """The row's values by column name, absent ones left out. Raises `InvalidCell`, in the catalogue's order."""
    values: dict[str, Value] = {}
    for column, position in zip(layout.columns, layout.positions, strict=True):
        cell = row[position] if position is not None and position < len(row) else ""
        value = read_cell(column, cell)
        if value is not None:
            values[column.name] = value
        if column.name in rules:
            rules[column.name](values)
    return values


def read_cell(column: Column, cell: str) -> Value | None:
    """The value of one cell, None where there is none and none is needed. Raises `InvalidCell`."""
    text = cell.strip()
    if isinstance(cell, NestedJson):
        _wrong(column, RowErrorCode.NESTED_VALUE, str(cell), "is neither a text nor a number; give a plain value")
    if "\0" in text:
        _wrong(column, RowErrorCode.NUL_CHARACTER, text, "holds a NUL character; remove it")
    if not text:
        return _absent(column)
    match column:
        case Number():
            return _number(column, text)
        case Choice():
            return _choice(column, text)
        case Date():
            return _date(column, text)
        case _:
            return text


def sum_rule(rule: SumAtMost) -> Rules:
    """The check of a sum, at the last of its columns."""
    *_, last = rule.columns

    def check(values: Values) -> None:
        numbers = [value for name in rule.columns if isinstance(value := values.get(name), int | float)]
        if sum(numbers) > rule.maximum:
            found = f"{' + '.join(map(str, numbers))} = {sum(numbers)}"
            message = f"{found} is more than the {rule.maximum:g} {rule.measure}; lower one of {_names(rule.columns)}."
            raise InvalidCell(last, RowErrorCode.OUT_OF_BOUNDS, message)

    return {last: check}


def quoted_cell(cell: str) -> str:
    """The cell as a message may show it, between quotes."""
    return f'"{_shortened(cell)}"'


def _shortened(text: str) -> str:
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: QUOTED_LENGTH + 1])
    return shown if len(shown) <= QUOTED_LENGTH else f"{shown[: QUOTED_LENGTH - 1]}…"


def _wrong(column: Column, code: RowErrorCode, cell: str, what: str) -> NoReturn:
    raise InvalidCell(column.name, code, f"{quoted_cell(cell)} {what}.")


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)


def _absent(column: Column) -> Value | None:
    if column.required:
        message = f"The value is missing; write one, such as {quoted_cell(column.example)}."
        raise InvalidCell(column.name, RowErrorCode.REQUIRED, message)
    return column.default


def _number(column: Number, text: str) -> float | int:
    if not _NUMBER.fullmatch(text):
        _misspelt(column, text)
    value = float(text)
    whole = isinstance(column, Integer)
    if not isfinite(value) or (whole and abs(value) > MAX_WHOLE):
        _wrong(column, RowErrorCode.NOT_FINITE, text, f"is too large to be stored; expected {column.bounds}")
    if whole and not value.is_integer():
        _wrong(column, RowErrorCode.NOT_AN_INTEGER, text, f"has a fraction; expected a whole number {column.bounds}")
    if not column.minimum <= value <= column.maximum:
        _wrong(column, RowErrorCode.OUT_OF_BOUNDS, text, f"is out of bounds; expected {column.bounds}")
    return int(value) if whole else value


def _misspelt(column: Number, text: str) -> NoReturn:
    """Say how the number should have been written, where that can be guessed."""
    if text.lower().lstrip("+-") in _NOT_FINITE:
        _wrong(column, RowErrorCode.NOT_FINITE, text, f"is no finite number; expected {column.bounds}")
    joined = _BETWEEN_THOUSANDS.sub("", text)
    before, comma, after = joined.partition(",")
    with_point, without_commas = f"{before.replace('.', '')}.{after}", joined.replace(",", "")
    if comma and _NUMBER.fullmatch(with_point):
        meant = f", or {_shortened(without_commas)} if it stands between thousands" if len(after) == 3 else ""
        what = f"has a decimal comma; write {_shortened(with_point)}{meant}"
        _wrong(column, RowErrorCode.DECIMAL_COMMA, text, what)
    if _NUMBER.fullmatch(without_commas):
        what = f"has separators between its digits; write {_shortened(without_commas)}"
    else:
        what = f"is not a number in decimal notation; write it like {column.example or '12.5'}"
    _wrong(column, RowErrorCode.NOT_A_NUMBER, text, what)


def _choice(column: Choice, text: str) -> str:
    value = text.lower() if column.fold else text
    if value not in column.values:
        close = get_close_matches(text[:QUOTED_LENGTH].lower(), column.values, n=1)
        meant = f" (did you mean {close[0]}?)" if close else ""
        _wrong(column, RowErrorCode.NOT_IN_LIST, text, f"is not in the list: {_names(column.values)}{meant}")
    return value


def _date(column: Date, text: str) -> str:
    if not _ISO_DATE.fullmatch(text):
        _wrong(column, RowErrorCode.BAD_DATE, text, f"is not a date like {column.example}; write YYYY-MM-DD")
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        _wrong(column, RowErrorCode.BAD_DATE, text, "is no day of the calendar; correct it, as YYYY-MM-DD")
