"""The page and the templates that are made from the declarations."""

import csv
from pathlib import Path

import pytest

from service.domain.catalogue import ENTRY_TYPES, FACTOR_TYPES, UNIT, RowErrorCode, columns_of
from service.domain.catalogue.pages import page, template
from service.rows.checker import EntryChecker, FactorChecker, RowTags

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_in_docs_is_the_one_that_the_declarations_give():
    assert (DOCS / "catalogue.md").read_text(encoding="utf-8") == page(), (
        "the catalogue has changed: run `python -m service.domain.catalogue.pages > docs/catalogue.md`"
    )


def test_the_page_names_every_type_column_and_code():
    text = page()
    for kind in (*ENTRY_TYPES.values(), *FACTOR_TYPES.values()):
        assert f"{kind.name} ({kind.id})" in text
        assert all(f"| `{column.name}` |" in text for column in columns_of(kind, per_year=True))
    assert all(f"| `{code}` |" in text for code in RowErrorCode)


@pytest.mark.parametrize("per_year", [True, False], ids=["per-year", "unit-specific"])
@pytest.mark.parametrize("kind", ENTRY_TYPES.values(), ids=lambda kind: kind.name)
def test_the_template_of_an_entry_type_is_a_file_that_the_checker_accepts(kind, per_year):
    header, *rows = csv.reader(template(kind, per_year=per_year).splitlines())
    assert header == [column.name for column in columns_of(kind, per_year=per_year)]
    place = {"units": {UNIT.example: (1, 2)}} if per_year else {"module": (2, 1)}
    good, bad = EntryChecker(kind, header, RowTags(kind.id, 2025, 1, 1), **place).check(rows)
    assert (len(good), bad) == (1, [])


@pytest.mark.parametrize("kind", FACTOR_TYPES.values(), ids=lambda kind: kind.name)
def test_the_template_of_a_factor_type_is_a_file_that_the_checker_accepts(kind):
    header, *rows = csv.reader(template(kind, per_year=False).splitlines())
    good, bad = FactorChecker(kind, header).check(rows)
    assert (len(good), bad) == (1, [])


@pytest.mark.parametrize("kind", ENTRY_TYPES.values(), ids=lambda kind: kind.name)
def test_a_template_overrides_no_computed_value(kind):
    header, row = csv.reader(template(kind, per_year=True).splitlines())
    assert dict(zip(header, row, strict=True))["kg_co2eq"] == ""
