"""The page and the templates that are made from the declarations."""

import csv
from pathlib import Path

import pytest

from service.domain.catalogue import ENTRY_TYPES, FACTOR_TYPES, UNIT, RowErrorCode, columns_of
from service.domain.catalogue.pages import page, template
from service.domain.model import Placement
from service.rows.checker import EntryChecker, FactorChecker, RowTags

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_in_docs_is_the_one_that_the_declarations_give():
    assert (DOCS / "catalogue.md").read_text(encoding="utf-8") == page(), (
        "the catalogue has changed: run `python -m service.docs`"
    )


def test_the_page_names_every_type_column_and_code():
    text = page()
    for one in (*ENTRY_TYPES.values(), *FACTOR_TYPES.values()):
        assert f"{one.name} ({one.id})" in text
        assert all(f"| `{column.name}` |" in text for column in columns_of(one, per_year=True))
    assert all(f"| `{code}` |" in text for code in RowErrorCode)


@pytest.mark.parametrize("per_year", [True, False], ids=["per-year", "unit-specific"])
@pytest.mark.parametrize("entry", ENTRY_TYPES.values(), ids=lambda entry: entry.name)
def test_the_template_of_an_entry_type_is_a_file_that_the_checker_accepts(entry, per_year):
    header, *rows = csv.reader(template(entry, per_year=per_year).splitlines())
    assert header == [column.name for column in columns_of(entry, per_year=per_year)]
    place = {"units": {UNIT.example: Placement(2, 1)}} if per_year else {"module": Placement(2, 1)}
    good, bad = EntryChecker(entry, header, RowTags(entry.id, 2025, 1, 1), **place).check(rows)
    assert (len(good), bad) == (1, [])


@pytest.mark.parametrize("factor", FACTOR_TYPES.values(), ids=lambda factor: factor.name)
def test_the_template_of_a_factor_type_is_a_file_that_the_checker_accepts(factor):
    header, *rows = csv.reader(template(factor, per_year=False).splitlines())
    good, bad = FactorChecker(factor, header).check(rows)
    assert (len(good), bad) == (1, [])


@pytest.mark.parametrize("entry", ENTRY_TYPES.values(), ids=lambda entry: entry.name)
def test_a_template_overrides_no_computed_value(entry):
    header, row = csv.reader(template(entry, per_year=True).splitlines())
    assert dict(zip(header, row, strict=True))["kg_co2eq"] == ""
