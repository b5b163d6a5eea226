"""The fast check: one generated Python function for each upload type and header.

Why a function is generated
---------------------------
Every row of every upload is checked, and `row_rules` calls several functions for each of its cells.
A function that is written for one type and one header needs none of these calls: the loop over the
rows is inside it, and the conditions on all cells are one expression. It takes a tenth of the time.

What it leaves to `row_rules`
-----------------------------
The generated function appends a row to `good` only if every cell is plainly good. It hands every
other row to `checker.check_slowly`, which decides with `row_rules` and writes the message. So:

- It may hand a good row to `check_slowly`. This only costs time.
- It must never take a row that `row_rules` refuses, nor read a value in another way.

`tests/unit/test_check_property.py` compares the two with random cells.

An example
----------
For the type `student` and the header `unit_institutional_id,fte,note` the whole source is:

    def check(checker, rows, good, bad):
        destinations = checker.destinations
        add, check_slowly, base_number = good.append, checker.check_slowly, checker.rows_seen + 1
        for row in rows:
            [cell0, cell1, cell2] = row if len(row) == 3 else pad_row(row, 3)
            try:
                if (
                    (destination := destinations.get(cell0) or destinations.get(cell0.strip()))
                    and 0 <= (value1 := float(cell1)) < inf
                    and "_" not in (numbers := cell1)
                    and numbers.isascii()
                ):
                    module, prefix = destination
                    data = {'fte': value1}
                    if (value2 := cell2.strip()): data['note'] = value2
                    json = dumps(data)
                    if (92 not in json or (json := escape_unless_nul(json))):
                        add((module, prefix + json))
                        continue
            except ValueError:
                pass
            check_slowly(row, good, bad)
            base_number = checker.rows_seen + 1 + len(bad)

`source_of(catalogue_type, layout)` returns this text for any type and header; print it to see
another one.

Where each part comes from
--------------------------
1. `_TEMPLATE` is the frame that all functions share.
2. `column_code` writes the conditions on each cell and the expression of its value.
3. `_entry_setup` and `_entry_lines` write what comes before the loop and after the conditions in an
   upload of entries, `_FACTOR_SETUP` and `_factor_lines` in one of factors.
4. `source_of` joins the parts, and `compiled_check` compiles them.

Only declarations of the catalogue become source; a header decides the positions of the cells.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import lru_cache
from itertools import takewhile
from math import inf
from typing import Any

import orjson

from service.db.copy import escape_json
from service.domain.catalogue import UNIT, CatalogueType, Choice, EntryType, FactorType
from service.rows.column_code import (
    UNIT_CODE,
    ColumnCode,
    accepted_choices,
    column_codes,
    spelling_conditions,
    sum_conditions,
)
from service.rows.row_rules import Layout

CompiledCheck = Callable[[Any, Iterable[list[str]], list[Any], list[Any]], None]
"""A generated function, called as `check(checker, rows, good, bad)`.

It appends each row to `good` as a `CopyRow`, or calls `checker.check_slowly(row, good, bad)`. It
reads `checker.rows_seen` and, if its type needs them, `destination`, `destinations`, `row_of_id`
and `stored_ids`, or `row_of_identity`.
"""

_TEMPLATE = """\
def check(checker, rows, good, bad):
    {setup}
    add, check_slowly, base_number = good.append, checker.check_slowly, checker.rows_seen + 1
    for row in rows:
        {cell_names} = row if len(row) == {width} else pad_row(row, {width})
        try:
            if (
                {conditions}
            ):
                {lines}
        except ValueError:
            pass
        check_slowly(row, good, bad)
        base_number = checker.rows_seen + 1 + len(bad)
"""
"""The frame of every function; `continue` at the end of `{lines}` skips `check_slowly`.

The current row has the number `base_number + len(good)`. Only `check_slowly` adds to `bad`, so
`base_number` changes only after it.
"""

_JSON_IS_READY = "(92 not in json or (json := escape_unless_nul(json)))"
"""The condition that `json` can be a cell for COPY; it also escapes the backslashes in `json`.

92 is the code of the backslash: `in` finds an integer in a fifth of the time that it takes to find
bytes. JSON without a backslash needs no escape. It has no NUL either, because JSON writes a NUL as
a backslash and `u0000`.
"""

_FACTOR_SETUP = ("row_of_identity = checker.row_of_identity",)


@lru_cache(maxsize=64)
def compiled_check(catalogue_type: CatalogueType, layout: Layout) -> CompiledCheck:
    """The compiled function of a type and header; files of a type usually have the same header."""
    # The generated source can use these names, its arguments and the builtins.
    namespace: dict[str, Any] = {
        "dumps": orjson.dumps,
        "escape_unless_nul": _escape_unless_nul,
        "inf": inf,
        "iso_date": date.fromisoformat,
        "pad_row": _pad_row,
    }
    for index, column in enumerate(layout.columns):
        if isinstance(column, Choice):
            namespace[f"choices{index}"] = accepted_choices(column)

    code = compile(
        source_of(catalogue_type, layout), f"<compiled check of {catalogue_type.name}>", "exec"
    )
    exec(code, namespace)  # noqa: S102 - nothing that a user wrote is in this source
    check: CompiledCheck = namespace["check"]
    return check


def source_of(catalogue_type: CatalogueType, layout: Layout) -> str:
    """The source of the function for a type and header, as in the example above."""
    codes = column_codes(layout)
    conditions = [condition for code in codes for condition in code.conditions]
    conditions += spelling_conditions(layout)

    setup: Iterable[str]
    if isinstance(catalogue_type, EntryType):
        conditions += sum_conditions(catalogue_type, codes)
        setup, lines = _entry_setup(catalogue_type, layout), _entry_lines(catalogue_type, codes)
    else:
        setup, lines = _FACTOR_SETUP, _factor_lines(catalogue_type, codes)

    first, *others = conditions
    return _TEMPLATE.format(
        setup=_indented(1, setup),
        cell_names=_cell_names(layout),
        width=layout.width,
        conditions=_indented(4, [first, *(f"and {condition}" for condition in others)]),
        lines=_indented(4, lines),
    )


def _cell_names(layout: Layout) -> str:
    """The list that a row is unpacked to: `[cell1, _, cell0]`, with `_` for an unknown column."""
    names = ["_"] * layout.width
    for index, position in enumerate(layout.positions):
        if position is not None:
            names[position] = f"cell{index}"
    return f"[{', '.join(names)}]"


def _indented(depth: int, lines: Iterable[str]) -> str:
    """The lines for a place in the template, which already has the indentation of the first one."""
    return f"\n{'    ' * depth}".join(lines)


def _entry_setup(entry: EntryType, layout: Layout) -> Iterator[str]:
    """Before the loop: the destination of all rows, or the table of destinations by unit."""
    if UNIT in layout.columns:
        yield "destinations = checker.destinations"
    else:
        yield "module, prefix = checker.destination"
    if entry.unique is not None:
        yield "row_of_id, stored_ids = checker.row_of_id, checker.stored_ids"


def _entry_lines(entry: EntryType, codes: Sequence[ColumnCode]) -> Iterator[str]:
    """After the conditions: build the data, look for a duplicate, and append the row to `good`."""
    if UNIT_CODE in codes:
        yield "module, prefix = destination"
    yield from _dict_lines([code for code in codes if code is not UNIT_CODE])
    yield "json = dumps(data)"

    conditions = [_JSON_IS_READY]
    if entry.unique is not None:
        (unique_id,) = (code.value for code in codes if code.name == entry.unique)
        yield f"key = (module, {unique_id})"
        conditions += ["key not in row_of_id", "key not in stored_ids"]

    yield f"if {' and '.join(conditions)}:"
    if entry.unique is not None:
        yield "    row_of_id[key] = base_number + len(good)"
    yield "    add((module, prefix + json))"
    yield "    continue"


def _factor_lines(factor: FactorType, codes: Sequence[ColumnCode]) -> Iterator[str]:
    """After the conditions: the identity and the values are two JSON cells, with a tab between."""
    names = {column.name for column in factor.identity}
    identity = [code for code in codes if code.name in names]
    values = [code for code in codes if code.name not in names]

    # `FactorChecker` writes an identity with sorted keys, and equal identities must be equal texts.
    yield from _dict_lines(sorted(identity, key=lambda code: code.json_key))
    yield "identity = dumps(data)"
    yield from _dict_lines(values)
    yield r"json, key = identity + b'\t' + dumps(data), identity.decode()"

    yield f"if {_JSON_IS_READY} and key not in row_of_identity:"
    yield "    row_of_identity[key] = base_number + len(good)"
    yield "    add((key, json))"
    yield "    continue"


def _dict_lines(codes: Sequence[ColumnCode]) -> Iterator[str]:
    """Build `data` with its keys in the order of `codes`, in as few steps as possible.

    The values before the first one that may be absent go into the literal. All later values are
    added one by one, even those that are always present, so that the JSON has its keys in order.
    """
    in_literal = list(takewhile(lambda code: not code.present_if, codes))
    items = ", ".join(f"{code.json_key!r}: {code.value}" for code in in_literal)
    yield f"data = {{{items}}}"

    for code in codes[len(in_literal) :]:
        condition = f"if {code.present_if}: " if code.present_if else ""
        yield f"{condition}data[{code.json_key!r}] = {code.value}"


def _pad_row(row: list[str], width: int) -> list[str]:
    """The row with as many cells as the header: empty ones are added, surplus ones are cut off."""
    return (row + [""] * width)[:width]


def _escape_unless_nul(json: bytes) -> bytes:
    """JSON as a cell for COPY; empty, and so false, if it may contain a NUL."""
    # PostgreSQL refuses a NUL in JSON. A text in which somebody typed these six characters is good
    # but contains them as well, behind one more backslash; `row_rules` tells the two apart.
    if rb"\u0000" in json:
        return b""
    return escape_json(json)
