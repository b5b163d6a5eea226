"""The code of one column in the generated check: the conditions on its cell, and its value.

`compiled_check` explains what is generated and why; read it first. This module writes, as text of
Python source, the parts that concern a single column. The names in this source carry the number of
the column in the catalogue's order, which need not be the order of the file: column 3 has its cell
in `cell3` and its value in `value3`, and if it is a choice, the texts that it accepts are in
`choices3`. Some columns and their code:

    text, required      condition   (value1 := cell1.strip())
                        value       value1
    text, optional      value       value2
                        present if  (value2 := cell2.strip())
    number, optional    condition   (not cell3 or 0 <= (value3 := float(cell3)) < inf)
                        value       value3
                        present if  cell3
    integer, default 1  condition   (not cell4 or 1 <= (value4 := float(cell4)) <= 9007199254740991
                                     and value4.is_integer())
                        value       (int(value4) if cell4 else 1)

A condition may be stricter than `row_rules`, never weaker, because a row that fails it is checked
again there. For example, an optional number cell with nothing but blanks fails its condition,
although it is good. `float` raises `ValueError` if a cell is no number; the generated function
catches it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from service.domain.catalogue import (
    MAX_WHOLE,
    UNIT,
    Choice,
    Column,
    Date,
    EntryType,
    Integer,
    Number,
    Text,
)
from service.rows.row_rules import Layout


@dataclass(frozen=True, slots=True)
class ColumnCode:
    """What one column contributes to the generated source; every text is a Python expression.

    A row is good only if all `conditions` are true. `value` is then stored under `json_key`: always
    if `present_if` is empty, otherwise only where `present_if` is true.
    """

    name: str
    json_key: str
    conditions: tuple[str, ...]
    value: str
    present_if: str = ""


UNIT_CODE = ColumnCode(
    UNIT.name,
    json_key="",
    conditions=("(destination := destinations.get(cell0) or destinations.get(cell0.strip()))",),
    value="",
)
"""The unit is always column 0; its cell leads to the module and is not stored itself."""


def column_codes(layout: Layout) -> list[ColumnCode]:
    """The code of every column that contributes anything, in the catalogue's order."""
    codes = []
    for index, column in enumerate(layout.columns):
        if layout.positions[index] is None:
            code = _code_without_cell(column)
        elif column is UNIT:
            code = UNIT_CODE
        else:
            code = _code_of_cell(index, column)

        if code is not None:
            codes.append(code)
    return codes


def accepted_choices(column: Choice) -> dict[str, str]:
    """The texts that stand for a value of the list; the empty text stands for the default."""
    accepted = {value: value for value in column.choices}
    if column.default is not None:
        accepted[""] = str(column.default)
    return accepted


def spelling_conditions(layout: Layout) -> list[str]:
    """The conditions that the number cells have only ASCII characters and no underscores.

    `float` also accepts `1_000` and the digits of any script; `row_rules` does not. The cells are
    joined and tested once per row, because a test of each cell would take longer.
    """
    cells = [
        f"cell{index}"
        for index, column in enumerate(layout.columns)
        if isinstance(column, Number) and layout.positions[index] is not None
    ]
    if not cells:
        return []
    return [f'"_" not in (numbers := {" + ".join(cells)})', "numbers.isascii()"]


def sum_conditions(entry: EntryType, codes: Sequence[ColumnCode]) -> list[str]:
    """The condition of the type's `sum_at_most`; none if the type has no such rule."""
    rule = entry.sum_at_most
    if rule is None:
        return []

    terms = [
        f"({code.value} if {code.present_if} else 0)" for code in codes if code.name in rule.columns
    ]
    if not terms:
        return []
    return [f"{' + '.join(terms)} <= {rule.maximum!r}"]


def _code_without_cell(column: Column) -> ColumnCode | None:
    """The code of a column that the header lacks; None if nothing is stored for it."""
    if column.required:
        # No row below this header is good. `row_rules` then says in each row what is missing.
        return ColumnCode(column.name, column.json_key, ("False",), "None")
    if column.default is None:
        return None
    return ColumnCode(column.name, column.json_key, (), repr(column.default))


def _code_of_cell(index: int, column: Column) -> ColumnCode:
    """The code of a column that the header has."""
    cell, value = f"cell{index}", f"value{index}"
    match column:
        case Number():
            condition = _number_condition(column, cell, value)
            stored = f"int({value})" if isinstance(column, Integer) else value
            return _code_with_condition(column, cell, condition, stored)
        case Choice():
            return _choice_code(column, cell, value, f"choices{index}")
        case Date():
            return _code_with_condition(column, cell, _date_condition(cell, value), value)
        case Text(upper=True):
            return _text_code(column, f"{cell}.strip().upper()", value)
        case _:
            return _text_code(column, f"{cell}.strip()", value)


def _code_with_condition(column: Column, cell: str, condition: str, value: str) -> ColumnCode:
    """The code of a column whose cell must meet the condition, unless it is optional and empty."""
    if column.required:
        return ColumnCode(column.name, column.json_key, (condition,), value)

    condition = f"(not {cell} or {condition})"
    if column.default is None:
        return ColumnCode(column.name, column.json_key, (condition,), value, present_if=cell)
    value = f"({value} if {cell} else {column.default!r})"
    return ColumnCode(column.name, column.json_key, (condition,), value)


def _text_code(column: Column, text: str, value: str) -> ColumnCode:
    """Any text is good; a NUL character is found later, in the JSON of the whole row."""
    is_there = f"({value} := {text})"
    if column.required:
        return ColumnCode(column.name, column.json_key, (is_there,), value)
    return ColumnCode(column.name, column.json_key, (), value, present_if=is_there)


def _number_condition(column: Number, cell: str, value: str) -> str:
    """The cell is a number within the bounds. The upper bound also excludes `nan` and infinity."""
    upper = f"<= {column.maximum!r}" if column.maximum < inf else "< inf"
    if isinstance(column, Integer):
        upper = f"<= {min(column.maximum, MAX_WHOLE)!r}"

    condition = f"{column.minimum!r} <= ({value} := float({cell})) {upper}"
    if isinstance(column, Integer):
        condition += f" and {value}.is_integer()"
    return condition


def _choice_code(column: Choice, cell: str, value: str, choices: str) -> ColumnCode:
    """The cell, as it is or trimmed, is in the list. The usual cell needs a single lookup."""
    folded = ".lower()" if column.fold else ""
    condition = f"({value} := {choices}.get({cell}) or {choices}.get({cell}.strip(){folded}))"
    if column.default is not None:
        # The empty cell is one of the accepted texts, so that there is always a value.
        return ColumnCode(column.name, column.json_key, (condition,), value)
    return _code_with_condition(column, cell, condition, value)


def _date_condition(cell: str, value: str) -> str:
    """The cell is a date like 2025-03-18; `fromisoformat` alone also accepts other ISO forms."""
    return (
        f"({value} := {cell}.strip()) and len({value}) == 10"
        f' and {value}[4] == {value}[7] == "-" and iso_date({value})'
    )
