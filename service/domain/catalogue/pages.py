"""The catalogue for people: docs/catalogue.md, and a template of each file.

`python -m service.docs` writes the page.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from service.domain.catalogue.codes import RowErrorCode
from service.domain.catalogue.columns import Choice, Column, Date, Integer, Number, Text
from service.domain.catalogue.lookup import ENTRY_TYPES, FACTOR_TYPES
from service.domain.catalogue.upload_types import (
    COMMON,
    MODULES,
    UNIT,
    CatalogueType,
    EntryType,
    FactorType,
    columns_of,
)

_INTRODUCTION = """\
<!-- Generated from the declarations in service/domain/catalogue: do not edit. -->

# Catalogue

What an upload of each type may hold. A type is given by its name or its number.

- Files are CSV in UTF-8: commas between the cells, double quotes around a cell where needed.
- The header has the names exactly as below, in any order. Other columns are ignored, and
  the result lists them (`ignored_columns`).
- Cells beyond the header are ignored. A short row has no value in its last columns. A line without
  any value is not a row.
- Blanks around a cell are removed. An empty cell is no value.
- Numbers are written in decimal notation (`1249.90`, `1.2e3`) and stored as 64-bit floats. Whole
  numbers are accepted up to 9007199254740991.
- Dates are written as `YYYY-MM-DD` or `YYYY/MM/DD`. A time of day may follow, after a `T` or a
  blank: `2025-03-18T14:30`.
- Inline rows of a job follow the same rules. Their values are texts and JSON numbers; null is no
  value.

`uploads template TYPE` prints a header with an example row.
"""

_ROW_ERRORS = """\
## Row errors

A row with an error is skipped. Only its first error is reported, in the order of the columns. A sum
is checked at the last of its columns. `duplicate` is checked after all columns: a row with another
error does not reserve its identity, so a later row with the same identity can be valid.
"""

_HEADINGS = ("Column", "Required", "Values", "Default", "Meaning", "Example")


def page() -> str:
    """The page docs/catalogue.md, as Markdown."""
    parts = [
        _INTRODUCTION,
        _common_columns(),
        *_module_sections(),
        _ROW_ERRORS + "\n" + _code_table(),
    ]
    return "\n".join(parts)


def template(catalogue_type: CatalogueType, per_year: bool) -> str:
    """A header and an example row as CSV.

    The service accepts this file as it is if the unit of the example exists.
    """
    columns = columns_of(catalogue_type, per_year=per_year)
    header = [column.name for column in columns]
    example = [column.example for column in columns]

    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows((header, example))
    return out.getvalue()


def _common_columns() -> str:
    return (
        "## Every entry type\n\n"
        "All types of entries accept these columns besides their own; factors do not.\n\n"
        f"{_columns_table((UNIT, *COMMON))}"
    )


def _module_sections() -> Iterator[str]:
    """The sections of each module: types with the same columns share one section."""
    for module_id, name in MODULES.items():
        yield f"## Module {module_id}: {name}\n"

        entries = [entry for entry in ENTRY_TYPES.values() if entry.module_type_id == module_id]
        for _, same_columns in groupby(entries, key=lambda entry: entry.own):
            yield _entry_section(tuple(same_columns))

        factors = [factor for factor in FACTOR_TYPES.values() if factor.module_type_id == module_id]
        for _, alike in groupby(factors, key=lambda factor: (factor.identity, factor.values)):
            yield _factor_section(tuple(alike))


def _entry_section(entries: Sequence[EntryType]) -> str:
    entry = entries[0]
    rules = []

    if entry.sum_at_most is not None:
        summed = _code_list(entry.sum_at_most.columns, " and ")
        rules.append(f"{summed} sum to at most {entry.sum_at_most.maximum:g}.")
    if entry.unique is not None:
        rules.append(f"`{entry.unique}` is unique within a module.")

    return _section(f"### {_titles(entries)}", entry.own, rules)


def _factor_section(factors: Sequence[FactorType]) -> str:
    factor = factors[0]
    identity = _code_list(column.name for column in factor.identity)
    rule = f"Identity: {identity}; the same identity once in a file."
    title = f"### Factors of {_titles(factors)}"
    return _section(title, (*factor.identity, *factor.values), [rule])


def _section(title: str, columns: Sequence[Column], rules: Sequence[str]) -> str:
    return "\n\n".join((title, _columns_table(columns).rstrip(), *rules)) + "\n"


def _titles(types: Iterable[CatalogueType]) -> str:
    return ", ".join(f"{catalogue_type.name} ({catalogue_type.id})" for catalogue_type in types)


def _columns_table(columns: Iterable[Column]) -> str:
    return _table(_HEADINGS, map(_column_line, columns))


def _column_line(column: Column) -> tuple[str, ...]:
    """The cells of a column's line, in the order of `_HEADINGS`."""
    required = "yes" if column.required else ""
    default = "" if column.default is None else f"`{column.default}`"
    example = f"`{column.example}`" if column.example else ""

    meaning = column.meaning
    if column.stored_as:
        meaning += f" Stored as `{column.stored_as}`."

    return (
        f"`{column.name}`",
        required,
        _allowed_values(column),
        default,
        meaning,
        example,
    )


def _allowed_values(column: Column) -> str:
    """What the column accepts, in words."""
    match column:
        case Integer():
            return f"whole number, {column.bounds}"
        case Number():
            return f"number, {column.bounds}"
        case Choice():
            any_case = ", in any case; stored in lower case" if column.fold else ""
            return f"one of {_code_list(column.choices)}{any_case}"
        case Date():
            return "date"
        case Text(upper=True):
            return "text; stored in upper case"
        case _:
            return "text"


def _code_table() -> str:
    return _table(("Code", "Meaning"), ((f"`{code}`", code.meaning) for code in RowErrorCode))


def _code_list(names: Iterable[str], separator: str = ", ") -> str:
    return separator.join(f"`{name}`" for name in names)


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    separators = ["---"] * len(headings)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (headings, separators, *lines))
