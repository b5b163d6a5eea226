"""Inline rows of a job: JSON objects as a table of text."""

import pytest

from service.domain.catalogue import entry_type
from service.domain.model import Placement
from service.rows.checker import EntryChecker, RowTags
from service.rows.table import inline_table
from tests.support.lines import entry

STUDENT = entry_type("student")
PLANE = {
    "origin_iata": "GVA",
    "destination_iata": "OSL",
    "user_institutional_id": 302417,
    "cabin_class": "first",
}


def check(kind, rows):
    header, cells = inline_table(entry_type(kind), rows, per_year=False)
    return EntryChecker(
        entry_type(kind), header, RowTags(2, 2025, 4, 1), module=Placement(11, 1)
    ).check(cells)


def test_the_header_has_the_keys_as_they_appear_then_the_required_ones_that_no_row_has():
    header, cells = inline_table(
        STUDENT, [{"note": "a", "colour": None}, {"kg_co2eq": 1, "note": "b"}]
    )
    assert header == ["note", "colour", "kg_co2eq", "unit_institutional_id", "fte"]
    assert list(cells) == [["a", "", "", "", ""], ["b", "", "1", "", ""]]


def test_a_unit_specific_job_needs_no_unit():
    assert inline_table(STUDENT, [{"fte": 1}], per_year=False)[0] == ["fte"]


def test_a_missing_required_value_is_an_error_of_its_row():
    good, bad = check("student", [{"note": "a"}, {"fte": 2}])
    assert len(good) == 1
    assert (bad[0].error.row, bad[0].error.column, bad[0].error.code) == (1, "fte", "required")


def test_texts_and_numbers_are_both_fine_and_null_is_absent():
    good, bad = check("plane", [PLANE | {"number_of_trips": 2, "kg_co2eq": 0.1, "note": None}])
    assert not bad
    data = entry(good[0][1])["data"]
    assert (data["user_institutional_id"], data["number_of_trips"]) == ("302417", 2)
    assert data["__kg_co2eq_override__"] == 0.1
    assert "note" not in data


@pytest.mark.parametrize("number", [0.1, 1e22, 5e-324, 1 / 3, 2**53 - 1, -(2**70)])
def test_a_number_becomes_text_that_reads_back_as_the_same_number(number):
    _, cells = inline_table(STUDENT, [{"fte": number}], per_year=False)
    ((cell,),) = cells
    assert type(number)(cell) == number


@pytest.mark.parametrize("value", [True, False, [], [1, 2], {}, {"a": {"b": "é"}}])
@pytest.mark.parametrize(
    "column",
    ["origin_iata", "cabin_class", "departure_date", "number_of_trips", "note", "kg_co2eq"],
)
def test_a_nested_value_is_a_row_error_in_every_column(column, value):
    good, bad = check("plane", [PLANE | {column: value}])
    assert not good
    assert (bad[0].error.column, bad[0].error.code) == (column, "nested_value")


def test_a_nested_unit_is_a_nested_value():
    header, cells = inline_table(STUDENT, [{"unit_institutional_id": ["1"], "fte": 1}])
    _, bad = EntryChecker(
        STUDENT, header, RowTags(2, 2025, 3, 1), units={"1": Placement(1, 1)}
    ).check(cells)
    assert (bad[0].error.column, bad[0].error.code) == ("unit_institutional_id", "nested_value")


def test_the_cell_of_a_nested_value_can_be_shown_as_json():
    _, bad = check("student", [{"fte": {"a": [1, "é"]}}])
    assert list(map(str, bad[0].cells)) == ['{"a":[1,"é"]}']
    assert '"{"a":[1,"é"]}" is neither' in bad[0].error.message


def test_a_nested_value_under_an_unknown_key_is_ignored():
    good, bad = check("student", [{"fte": 1, "extra": {"a": 1}}])
    assert (len(good), bad) == (1, [])


def test_an_object_without_a_value_is_no_row():
    good, bad = check("student", [{}, {"fte": None}, {"fte": 1}])
    assert (len(good), bad) == (1, [])


def test_names_are_trimmed_as_in_a_file():
    good, bad = check("student", [{" fte ": 1}, {"fte": 2}])
    assert (len(good), bad) == (2, [])


def test_a_number_too_large_for_a_float_is_a_row_error():
    _, bad = check("student", [{"fte": 10**400}])
    assert bad[0].error.code == "not_finite"
