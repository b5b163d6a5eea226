"""The catalogue for people: the documentation page, and a template of each file.

`python -m service.domain.catalogue.pages > docs/catalogue.md` writes the page anew.
"""

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from service.domain.catalogue.codes import RowErrorCode
from service.domain.catalogue.columns import Choice, Column, Date, Integer, Number
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
<!-- Generated from the declarations in service/catalogue: do not edit. -->

# Catalogue

What an upload of each type may hold. A type is given by its name or its number.

Files are CSV: commas, double quotes, UTF-8; header names exactly as below, in any order. Columns that are
not in the catalogue and cells beyond the header are ignored, a short row lacks its last values, and a line
without any value is no row. Cells are trimmed, and an empty cell is no value. Numbers are written in decimal
notation (`1249.90`, `1.2e3`) and kept as 64-bit floats, whole numbers up to 9007199254740991. Dates are
`YYYY-MM-DD`. Inline rows of a job follow the same rules, with texts and JSON numbers as values; null is no value.

`uploads template TYPE` prints a header with an example row.
"""

_ROW_ERRORS = """\
## Row errors

A row with an error is skipped and reported with the first one in the order of the columns. A sum is judged at the
later of its columns, a `duplicate` last of all: a row that is invalid otherwise takes no identity.
"""

_HEADINGS = ("Column", "Required", "Values", "Default", "Meaning", "Example")


def page() -> str:
    """The documentation page, as Markdown."""
    parts = [_INTRODUCTION, _common_columns(), *_module_sections(), _ROW_ERRORS + "\n" + _codes()]
    return "\n".join(parts)


def template(kind: CatalogueType, per_year: bool) -> str:
    """A header and an example row as CSV, which the service accepts if it knows the example's unit."""
    columns = columns_of(kind, per_year=per_year)
    out = io.StringIO()
    rows = ([column.name for column in columns], [column.example for column in columns])
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _common_columns() -> str:
    return (
        "## Every entry type\n\n"
        "All types of entries accept these columns besides their own; factors do not.\n\n"
        f"{_columns_table((UNIT, *COMMON))}"
    )


def _module_sections() -> Iterator[str]:
    for module_id, name in MODULES.items():
        yield f"## Module {module_id}: {name}\n"
        entries = [kind for kind in ENTRY_TYPES.values() if kind.module_type_id == module_id]
        for _, group in groupby(entries, key=lambda kind: kind.own):
            yield _entry_section(tuple(group))
        factors = [kind for kind in FACTOR_TYPES.values() if kind.module_type_id == module_id]
        for _, same in groupby(factors, key=lambda kind: (kind.identity, kind.values)):
            yield _factor_section(tuple(same))


def _entry_section(kinds: Sequence[EntryType]) -> str:
    entry = kinds[0]
    rules = []
    if entry.sum_at_most is not None:
        rules.append(
            f"{_listed(entry.sum_at_most.columns, ' and ')} sum to at most {entry.sum_at_most.maximum:g}."
        )
    if entry.unique is not None:
        rules.append(f"`{entry.unique}` is unique within a module.")
    return _section(f"### {_titles(kinds)}", entry.own, rules)


def _factor_section(kinds: Sequence[FactorType]) -> str:
    factor = kinds[0]
    rule = f"Identity: {_listed(column.name for column in factor.identity)}; the same identity once in a file."
    return _section(f"### Factors of {_titles(kinds)}", (*factor.identity, *factor.values), [rule])


def _section(title: str, columns: Sequence[Column], rules: Sequence[str]) -> str:
    return "\n\n".join((title, _columns_table(columns).rstrip(), *rules)) + "\n"


def _titles(kinds: Iterable[CatalogueType]) -> str:
    return ", ".join(f"{kind.name} ({kind.id})" for kind in kinds)


def _columns_table(columns: Iterable[Column]) -> str:
    return _table(_HEADINGS, map(_column_line, columns))


def _column_line(column: Column) -> tuple[str, ...]:
    return (
        f"`{column.name}`",
        "yes" if column.required else "",
        _values(column),
        "" if column.default is None else f"`{column.default}`",
        column.meaning + (f" Stored as `{column.stored_as}`." if column.stored_as else ""),
        f"`{column.example}`" if column.example else "",
    )


def _values(column: Column) -> str:
    """What the column accepts, in words."""
    match column:
        case Integer():
            return f"whole number, {column.bounds}"
        case Number():
            return f"number, {column.bounds}"
        case Choice():
            folded = ", in any case; stored in lower case" if column.fold else ""
            return f"one of {_listed(column.values)}{folded}"
        case Date():
            return "date"
        case _:
            return "text"


def _codes() -> str:
    return _table(("Code", "Meaning"), ((f"`{code}`", code.meaning) for code in RowErrorCode))


def _listed(names: Iterable[str], separator: str = ", ") -> str:
    return separator.join(f"`{name}`" for name in names)


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---"] * len(headings)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (headings, rule, *lines))


if __name__ == "__main__":
    sys.stdout.write(page())
