"""The rules of a row in plain code: what it holds, or the first thing that is wrong with it.

This decides every row that `flat` does not take at once, and writes the messages that people read.
"""

import re
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
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
    columns_of,
)
from service.domain.texts import Value, message_of

QUOTED_LENGTH = 40
"""Characters of a cell that a message may show."""

CellValue = str | int | float
RowValues = Mapping[str, CellValue]
Rules = Mapping[str, Callable[[RowValues], object]]
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
    """The first thing that is wrong with a row.

    The message is made of the code, the case and the values; `cell` is shortened and shown as text.
    """

    def __init__(self, column: str, code: RowErrorCode, case: str = "", /, **values: Value) -> None:
        self.column = column
        self.code = code.value
        self.values = values
        self.message = message_of(code.value, case, values)
        super().__init__(self.message)


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
        positions = tuple(
            names.index(column.name) if column.name in names else None for column in columns
        )
        return cls(columns, positions, len(names))

    def only(self, columns: Container[Column]) -> Self:
        """The same rows, with fewer columns to read."""
        kept = [(c, p) for c, p in zip(self.columns, self.positions, strict=True) if c in columns]
        return replace(self, columns=tuple(c for c, _ in kept), positions=tuple(p for _, p in kept))


def repeated_names(columns: Sequence[Column], header: Sequence[str]) -> list[str]:
    """The columns that a header names more than once."""
    seen = Counter(name.strip() for name in header)
    return [column.name for column in columns if seen[column.name] > 1]


def read_row(layout: Layout, row: Sequence[str], rules: Rules) -> dict[str, CellValue]:
    """The row's values by column name, absent ones left out. Raises `InvalidCell`, in the catalogue's order."""
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
    """The value of one cell, None where there is none and none is needed. Raises `InvalidCell`."""
    text = cell.strip()
    if isinstance(cell, NestedJson):
        raise InvalidCell(column.name, RowErrorCode.NESTED_VALUE, cell=shortened(str(cell)))
    if "\0" in text:
        raise InvalidCell(column.name, RowErrorCode.NUL_CHARACTER, cell=shortened(text))
    if not text:
        return _read_absent(column)
    match column:
        case Number():
            return _read_number(column, text)
        case Choice():
            return _read_choice(column, text)
        case Date():
            return _read_date(column, text)
        case _:
            return text


def sum_rule(rule: SumAtMost) -> Rules:
    """The check of a sum, at the last of its columns."""
    *_, last = rule.columns

    def check_sum(values: RowValues) -> None:
        numbers = [
            value for name in rule.columns if isinstance(value := values.get(name), int | float)
        ]
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


def shortened(text: str) -> str:
    """A cell as a message may show it: its beginning, with control characters escaped."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: QUOTED_LENGTH + 1])
    return shown if len(shown) <= QUOTED_LENGTH else f"{shown[: QUOTED_LENGTH - 1]}…"


def _read_absent(column: Column) -> CellValue | None:
    if column.required:
        raise InvalidCell(column.name, RowErrorCode.REQUIRED, example=shortened(column.example))
    return column.default


def _read_number(column: Number, text: str) -> float | int:
    if not _NUMBER.fullmatch(text):
        _raise_misspelt(column, text)
    value = float(text)
    whole = isinstance(column, Integer)
    if not isfinite(value) or (whole and abs(value) > MAX_WHOLE):
        _raise_beyond(column, RowErrorCode.NOT_FINITE, "too_large", text)
    if whole and not value.is_integer():
        _raise_beyond(column, RowErrorCode.NOT_AN_INTEGER, "", text)
    if not column.minimum <= value <= column.maximum:
        _raise_beyond(column, RowErrorCode.OUT_OF_BOUNDS, "value", text)
    return int(value) if whole else value


def _raise_beyond(column: Number, code: RowErrorCode, case: str, text: str) -> NoReturn:
    """Refuse a number that is none of those that the column takes, and say which it takes."""
    upper = {} if column.maximum == inf else {"maximum": column.maximum}
    raise InvalidCell(
        column.name,
        code,
        case,
        cell=shortened(text),
        minimum=column.minimum,
        measure=column.measure,
        **upper,
    )


def _raise_misspelt(column: Number, text: str) -> NoReturn:
    """Refuse what is not a number, and say how it should have been written where that can be guessed."""
    cell = shortened(text)
    if text.lower().lstrip("+-") in _NOT_FINITE:
        _raise_beyond(column, RowErrorCode.NOT_FINITE, "no_number", text)
    joined = _BETWEEN_THOUSANDS.sub("", text)
    before, comma, after = joined.partition(",")
    with_point, without_commas = f"{before.replace('.', '')}.{after}", joined.replace(",", "")
    if comma and _NUMBER.fullmatch(with_point):
        raise InvalidCell(
            column.name,
            RowErrorCode.DECIMAL_COMMA,
            "or_thousands" if len(after) == 3 else "alone",
            cell=cell,
            with_point=shortened(with_point),
            without_commas=shortened(without_commas),
        )
    if _NUMBER.fullmatch(without_commas):
        raise InvalidCell(
            column.name,
            RowErrorCode.NOT_A_NUMBER,
            "separators",
            cell=cell,
            without_commas=shortened(without_commas),
        )
    example = column.example or "12.5"
    raise InvalidCell(column.name, RowErrorCode.NOT_A_NUMBER, "other", cell=cell, example=example)


def _read_choice(column: Choice, text: str) -> str:
    value = text.lower() if column.fold else text
    if value in column.values:
        return value
    known = {"cell": shortened(text), "listed": column.values}
    close = get_close_matches(text[:QUOTED_LENGTH].lower(), column.values, n=1)
    if close:
        raise InvalidCell(column.name, RowErrorCode.NOT_IN_LIST, "close", close=close[0], **known)
    raise InvalidCell(column.name, RowErrorCode.NOT_IN_LIST, "none_close", **known)


def _read_date(column: Date, text: str) -> str:
    if not _ISO_DATE.fullmatch(text):
        raise InvalidCell(
            column.name,
            RowErrorCode.BAD_DATE,
            "form",
            cell=shortened(text),
            example=column.example,
        )
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise InvalidCell(
            column.name, RowErrorCode.BAD_DATE, "no_such_day", cell=shortened(text)
        ) from None
