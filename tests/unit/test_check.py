"""Headers, rows, units and members: what the checker makes of them."""

import pytest

from service.domain.catalogue import columns_of, entry_type, factor_type
from service.domain.model import Placement
from service.rows.checker import EntryChecker, RowTags
from service.rows.row_rules import repeated_names
from service.rows.table import missing_columns
from tests.support.lines import entry

TAGS = RowTags(data_entry_type_id=66, year=2025, source=1, created_by_id=8123)
UNITS = {"100": Placement(11, 1), "200": Placement(22, 2), "300": None}
PURCHASE = {
    "unit_institutional_id": "100",
    "name": "Pipettes",
    "total_spent_amount": "10.5",
    "purchase_institutional_code": "41116000",
}
MEMBER = {"name": "Chloé", "sius_code": "52", "user_institutional_id": "7", "fte": "0.8"}


def purchases(header, **options):
    return EntryChecker(entry_type("other_purchases"), header, TAGS, **({"units": UNITS} | options))


def check_purchase(**cells):
    row = PURCHASE | cells
    return purchases(list(row)).check([list(row.values())])


def stored(result):
    """The data of the one good row."""
    good, bad = result
    assert not bad
    ((_, line),) = good
    return entry(line)["data"]


def error(result):
    """The error of the one bad row."""
    good, bad = result
    assert not good
    (row,) = bad
    return row.error


def test_a_good_row_becomes_a_tagged_line():
    ((_, line),), bad = check_purchase(
        supplier="Müller & Söhne", quantity="3", note="fragile", kg_co2eq="0"
    )
    assert bad == []
    tags = entry(line)
    assert tags.pop("data") == {
        "name": "Pipettes",
        "supplier": "Müller & Söhne",
        "quantity": 3,
        "total_spent_amount": 10.5,
        "currency": "chf",
        "purchase_institutional_code": "41116000",
        "note": "fragile",
        "__kg_co2eq_override__": 0,
    }
    assert tags == {
        "data_entry_type_id": 66,
        "carbon_report_module_id": 11,
        "year": 2025,
        "unit_id": 1,
        "source": 1,
        "created_by_id": 8123,
    }


def test_columns_may_stand_in_any_order_between_unknown_ones_and_blanks_around_names():
    header = [
        " total_spent_amount ",
        "colour",
        "name",
        "purchase_institutional_code",
        "unit_institutional_id",
        "",
    ]
    good, bad = purchases(header).check([["5", "red", "Gloves", "4", "200", "x"]])
    assert not bad
    ((module, line),) = good
    assert (module, entry(line)["data"]["name"]) == (22, "Gloves")


def test_cells_are_trimmed_and_an_empty_cell_is_absent():
    data = stored(
        check_purchase(
            name="  Gloves\u00a0\t", supplier=" \u2003 ", quantity="  ", currency=" EUR "
        )
    )
    assert (data["name"], data["currency"]) == ("Gloves", "eur")
    assert data.keys() & {"supplier", "quantity"} == set()


def test_surplus_cells_are_ignored():
    header = list(PURCHASE)
    assert stored(purchases(header).check([[*PURCHASE.values(), "9", "9"]]))["name"] == "Pipettes"


def test_a_short_row_lacks_its_last_values():
    header = [*PURCHASE, "supplier", "note"]
    assert "note" not in stored(purchases(header).check([[*PURCHASE.values(), "Müller"]]))
    found = error(purchases(header).check([["100", "Gloves"]]))
    assert (found.column, found.code) == ("total_spent_amount", "required")


def test_lines_without_a_value_are_not_rows_and_are_not_counted():
    checker = purchases(list(PURCHASE))
    good, bad = checker.check([[], ["", " ", "\t"], list(PURCHASE.values()), [""] * 9, ["100"]])
    assert (len(good), [row.error.row for row in bad], checker.rows_seen) == (1, [2], 2)


def test_a_line_with_a_value_in_an_ignored_column_is_a_row():
    found = error(purchases([*PURCHASE, "colour"]).check([["", "", "", "", "red"]]))
    assert (found.column, found.code) == ("unit_institutional_id", "required")


def test_rows_are_counted_on_across_chunks():
    checker = purchases(list(PURCHASE))
    checker.check([list(PURCHASE.values())] * 3)
    _, bad = checker.check([list(PURCHASE.values()), ["100"]])
    assert (bad[0].error.row, checker.rows_seen) == (5, 5)


def test_a_bad_row_keeps_its_cells_as_they_were():
    cells = ["100", " Gloves ", "0,5", "4", "surplus"]
    _, bad = purchases(list(PURCHASE)).check([cells])
    assert (bad[0].cells, bad[0].identity) == ([*cells], None)


def test_a_row_has_one_error_and_it_is_the_first_in_the_order_of_the_catalogue():
    wrong = {"kg_co2eq": "-1", "currency": "xyz", "total_spent_amount": "much", "name": ""}
    for column in ("name", "total_spent_amount", "currency", "kg_co2eq"):
        assert error(check_purchase(**wrong)).column == column
        del wrong[column]


def test_a_nul_in_an_ignored_column_does_no_harm():
    assert stored(purchases([*PURCHASE, "colour"]).check([[*PURCHASE.values(), "\x00"]]))


def test_a_row_that_names_no_known_unit_says_which_one():
    found = error(check_purchase(unit_institutional_id="999"))
    assert (found.column, found.code) == ("unit_institutional_id", "unknown_unit")
    assert '"999"' in found.message


def test_a_unit_without_a_report_of_the_year_is_a_row_error():
    found = error(check_purchase(unit_institutional_id=" 300 ", name=""))
    assert (found.column, found.code) == ("unit_institutional_id", "unit_without_report")
    assert "2025" in found.message


def test_a_unit_specific_upload_ignores_the_unit_column():
    good, bad = purchases(list(PURCHASE), units=None, module=Placement(77, 7)).check(
        [["999", "Gloves", "1", "4"]]
    )
    ((module, line),) = good
    assert (module, entry(line)["unit_id"], bad) == (77, 7, [])
    assert "unit_institutional_id" not in entry(line)["data"]


def test_affected_modules_are_those_with_a_good_row():
    checker = purchases(list(PURCHASE))
    checker.check([["100", "Gloves", "1", "4"], ["200", "Gloves", "0,5", "4"]])
    assert checker.receiving_modules == {11}
    checker.check([["200", "Gloves", "1", "4"]])
    assert checker.receiving_modules == {11, 22}


def test_units_or_a_module_must_be_given_and_not_both():
    with pytest.raises(ValueError, match="exactly one"):
        EntryChecker(entry_type(66), list(PURCHASE), TAGS)
    with pytest.raises(ValueError, match="exactly one"):
        EntryChecker(entry_type(66), list(PURCHASE), TAGS, units=UNITS, module=Placement(1, 1))


def test_missing_columns_are_named_in_the_order_of_the_catalogue():
    header = ["purchase_institutional_code", " name ", "Total_Spent_Amount"]
    kind = entry_type(66)
    assert missing_columns(kind, header, per_year=True) == [
        "unit_institutional_id",
        "total_spent_amount",
    ]
    assert missing_columns(kind, header, per_year=False) == ["total_spent_amount"]
    assert missing_columns(factor_type(21), [], per_year=True) == [
        "country_code",
        "ef_kg_co2eq_per_km",
    ]


def test_every_row_below_a_header_without_a_required_column_lacks_it():
    found = error(purchases(["unit_institutional_id", "name"]).check([["100", "Gloves"]]))
    assert (found.column, found.code) == ("total_spent_amount", "required")


def test_a_known_column_that_stands_twice_is_ambiguous():
    header = ["name", "colour", "colour", "unit_institutional_id", " name", "unit_institutional_id"]
    kind = entry_type(66)
    assert repeated_names(columns_of(kind, per_year=True), header) == [
        "unit_institutional_id",
        "name",
    ]
    assert repeated_names(columns_of(kind, per_year=False), header) == ["name"]
    with pytest.raises(ValueError, match="name more than once"):
        purchases(header)


def test_a_second_row_of_a_member_is_a_duplicate_within_its_module_only():
    header = ["unit_institutional_id", *MEMBER]
    checker = EntryChecker(entry_type("member"), header, TAGS, units=UNITS)
    rows = [
        ["100", "A", "52", "7", "1"],
        ["200", "B", "52", "7", "1"],
        ["100", "C", "52", " 7 ", "1"],
    ]
    good, bad = checker.check(rows)
    assert [module for module, _ in good] == [11, 22]
    assert (bad[0].error.row, bad[0].error.column, bad[0].error.code) == (
        3,
        "user_institutional_id",
        "duplicate",
    )
    assert "row 1" in bad[0].error.message
    assert checker.row_of_id == {(11, "7"): 1, (22, "7"): 2}


def test_an_invalid_row_takes_no_id_and_a_duplicate_is_judged_last():
    checker = EntryChecker(entry_type("member"), list(MEMBER), TAGS, module=Placement(11, 1))
    rows = [
        ["A", "52", "7", "2"],
        ["B", "52", "7", "1"],
        ["C", "52", "7", "2"],
        ["D", "52", "7", "1"],
    ]
    good, bad = checker.check(rows)
    assert len(good) == 1
    assert [(row.error.row, row.error.code) for row in bad] == [
        (1, "out_of_bounds"),
        (3, "out_of_bounds"),
        (4, "duplicate"),
    ]


def test_an_id_that_another_entry_of_the_module_holds_is_a_duplicate():
    header = ["unit_institutional_id", *MEMBER]
    checker = EntryChecker(entry_type("member"), header, TAGS, units=UNITS, stored_ids={11: {"7"}})
    good, bad = checker.check([["100", "A", "52", "7", "1"], ["200", "A", "52", "7", "1"]])
    assert ([module for module, _ in good], [row.error.code for row in bad]) == (
        [22],
        ["duplicate"],
    )
    assert checker.row_of_id == {(22, "7"): 2}
