"""The kinds of values: what a cell may say, and what is said about one that may not."""

import orjson
import pytest

from service.domain.catalogue import ENTRY_TYPES, RowErrorCode, entry_type
from service.domain.model import Placement
from service.rows.checker import EntryChecker, RowTags
from tests.support.lines import entry

UNITS = {"100": Placement(11, 1), "200": Placement(22, 2), "300": None}
PURCHASE = {
    "unit_institutional_id": "100",
    "name": "Pipettes",
    "total_spent_amount": "10.5",
    "purchase_institutional_code": "41116000",
}
MEMBER = {"name": "Chloé", "sius_code": "52", "user_institutional_id": "7", "fte": "0.8"}
EQUIPMENT = {"equipment_id": "E1", "name": "Freezer", "equipment_class": "Cold"}
PLANE = {
    "origin_iata": "GVA",
    "destination_iata": "OSL",
    "user_institutional_id": "7",
    "cabin_class": "economy",
}
TRAIN = {
    "origin_name": "Lausanne",
    "origin_country_code": "CH",
    "destination_name": "Paris",
    "destination_country_code": "FR",
    "user_institutional_id": "7",
    "cabin_class": "second",
}


def check_purchase(**cells):
    row = PURCHASE | cells
    checker = EntryChecker(
        entry_type("other_purchases"), list(row), RowTags(66, 2025, 1, 8123), units=UNITS
    )
    return checker.check([list(row.values())])


def check_own(kind, stored_ids=None, **cells):
    checker = EntryChecker(
        entry_type(kind),
        list(cells),
        RowTags(1, 2025, 2, 8123),
        module=Placement(11, 1),
        stored_ids=stored_ids,
    )
    return checker.check([list(cells.values())])


def stored(result):
    """The data of the one good row."""
    good, bad = result
    assert not bad
    return entry(good[0][1])["data"]


def error(result):
    """The error of the one bad row."""
    good, bad = result
    assert not good
    (row,) = bad
    return row.error


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("40", 40),
        ("+40", 40),
        ("-0", 0),
        ("1e3", 1000),
        ("1.5E-2", 0.015),
        (".5", 0.5),
        ("5.", 5),
        ("0012", 12),
    ],
)
def test_numbers_are_decimal_notation_with_an_exponent_if_need_be(cell, value):
    assert stored(check_purchase(quantity=cell))["quantity"] == value


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("abc", "not_a_number"),
        ("1_000", "not_a_number"),
        ("٤٠", "not_a_number"),
        ("４０", "not_a_number"),
        ("0x10", "not_a_number"),
        ("1e", "not_a_number"),
        ("--1", "not_a_number"),
        ("1 000", "not_a_number"),
        ("1'000.50", "not_a_number"),
        ("1,234,567", "not_a_number"),
        ("1,234.50", "not_a_number"),
        ("True", "not_a_number"),
        ("nan", "not_finite"),
        ("-NaN", "not_finite"),
        ("inf", "not_finite"),
        ("-Infinity", "not_finite"),
        ("1e400", "not_finite"),
        ("9" * 400, "not_finite"),
        ("0,5", "decimal_comma"),
        ("1.234,5", "decimal_comma"),
        ("1 234,5", "decimal_comma"),
        ("1,234", "decimal_comma"),
        ("-0.1", "out_of_bounds"),
        ("1\x002", "nul_character"),
        ("\x00", "nul_character"),
    ],
)
def test_what_is_no_number_is_a_row_error(cell, code):
    found = error(check_purchase(quantity=cell))
    assert (found.column, found.code) == ("quantity", code)


@pytest.mark.parametrize("cell", ["40", "40.0", "4e1", "400e-1", " 40 ", "040"])
def test_an_integer_may_be_written_in_any_way_that_is_whole(cell):
    value = stored(check_own("it", **EQUIPMENT, active_usage_hours_per_week=cell))[
        "active_usage_hours_per_week"
    ]
    assert (value, type(value)) == (40, int)


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("40.5", "not_an_integer"),
        ("1e-3", "not_an_integer"),
        ("4_0", "not_a_number"),
        ("nan", "not_finite"),
        ("9007199254740992", "not_finite"),
        ("1" + "0" * 5000, "not_finite"),
        ("1e400", "not_finite"),
        ("0", "out_of_bounds"),
    ],
)
def test_what_is_no_whole_number_is_a_row_error(cell, code):
    assert error(check_own("plane", **PLANE, number_of_trips=cell)).code == code


def test_the_largest_whole_number_is_kept_exactly():
    assert (
        stored(check_own("plane", **PLANE, number_of_trips="9007199254740991"))["number_of_trips"]
        == 2**53 - 1
    )


CLOUD = {"service_type": "storage", "provider": "Exoscale", "spent_amount": "1"}


def test_a_default_stands_in_for_an_empty_cell_and_for_a_missing_column():
    assert stored(check_purchase())["currency"] == "chf"
    assert stored(check_purchase(currency=" "))["currency"] == "chf"
    assert stored(check_own("external_clouds", **CLOUD))["currency"] == "eur"
    assert stored(check_own("external_clouds", **CLOUD, currency=""))["currency"] == "eur"


@pytest.mark.parametrize("header", [PLANE, PLANE | {"number_of_trips": ""}])
def test_a_missing_number_of_trips_stays_missing(header):
    assert "number_of_trips" not in stored(check_own("plane", **header))


def test_currencies_and_cabins_are_taken_in_any_case():
    assert stored(check_purchase(currency="Usd"))["currency"] == "usd"
    assert stored(check_own("external_clouds", **CLOUD, currency=" EUR"))["currency"] == "eur"
    assert stored(check_own("plane", **PLANE | {"cabin_class": "Economy"}))["cabin_class"] == (
        "economy"
    )
    assert error(check_own("plane", **PLANE | {"cabin_class": "Second"})).code == "not_in_list"
    assert stored(check_own("train", **TRAIN | {"cabin_class": "SECOND"}))["cabin_class"] == (
        "second"
    )


def test_codes_of_airports_and_countries_are_stored_in_upper_case():
    plane = PLANE | {"origin_iata": " gva ", "destination_iata": "Osl"}
    data = stored(check_own("plane", **plane))
    assert (data["origin_iata"], data["destination_iata"]) == ("GVA", "OSL")
    train = TRAIN | {"origin_country_code": "ch", "destination_country_code": "Fr"}
    data = stored(check_own("train", **train))
    assert (data["origin_country_code"], data["destination_country_code"]) == ("CH", "FR")


@pytest.mark.parametrize("kind", ENTRY_TYPES.values(), ids=lambda kind: kind.name)
def test_an_override_of_zero_is_a_value_and_an_empty_one_is_none(kind):
    row = {column.name: column.example for column in kind.own}
    assert stored(check_own(kind.id, **row, kg_co2eq="0"))["__kg_co2eq_override__"] == 0
    assert "__kg_co2eq_override__" not in stored(check_own(kind.id, **row, kg_co2eq=""))
    assert error(check_own(kind.id, **row, kg_co2eq="-0.1")).column == "kg_co2eq"


def test_codes_in_a_list_of_numbers_are_stored_as_text():
    assert stored(check_own("member", **MEMBER))["sius_code"] == "52"
    assert error(check_own("member", **MEMBER | {"sius_code": "55"})).code == "not_in_list"


@pytest.mark.parametrize(
    ("cell", "iso"),
    [
        ("2025-03-18", "2025-03-18"),
        (" 2024-02-29 ", "2024-02-29"),
        ("2025/03/18", "2025-03-18"),
        ("2025-03-18T14:30:00", "2025-03-18T14:30:00"),
        ("2025-03-18 14:30", "2025-03-18T14:30:00"),
        ("2025/03/18 00:00:00", "2025-03-18T00:00:00"),
    ],
)
def test_dates_are_stored_in_iso_form(cell, iso):
    assert stored(check_own("plane", **PLANE, departure_date=cell))["departure_date"] == iso


@pytest.mark.parametrize(
    "cell",
    [
        "18.03.2025",
        "2025-02-29",
        "20250318",
        "2025-W12-2",
        "2025-3-18",
        "2025/03-18",
        "18/03/2025",
        "2025-03-18T",
        "2025-03-18T24:30",
        "2025-03-18T14",
        "2025-03-18x14:30",
        "2025/02/29 10:00",
        "２025-03-18",
        "0000-01-01",
    ],
)
def test_any_other_form_of_date_is_a_row_error(cell):
    found = error(check_own("plane", **PLANE, departure_date=cell))
    assert (found.column, found.code) == ("departure_date", "bad_date")


@pytest.mark.parametrize(
    ("active", "standby"), [("168", "0"), ("100", "68"), ("168", ""), ("", "168"), ("0", "0")]
)
def test_the_hours_of_a_week_may_be_used_up(active, standby):
    hours = {"active_usage_hours_per_week": active, "standby_usage_hours_per_week": standby}
    assert stored(check_own("other", **EQUIPMENT, **hours))


@pytest.mark.parametrize("kind", ["scientific", "it", "other"])
def test_more_hours_than_a_week_has_are_an_error_at_the_later_column(kind):
    hours = {"active_usage_hours_per_week": "100", "standby_usage_hours_per_week": "69"}
    found = error(check_own(kind, **EQUIPMENT, **hours, kg_co2eq="-1"))
    assert (found.column, found.code) == ("standby_usage_hours_per_week", "out_of_bounds")
    assert "100 + 69 = 169" in found.message


def test_a_text_may_hold_the_escape_of_a_nul_but_not_a_nul():
    assert stored(check_purchase(name=r"C:\u0000"))["name"] == r"C:\u0000"
    found = error(check_purchase(note="a\x00b"))
    assert (found.column, found.code) == ("note", "nul_character")
    assert r"\x00" in found.message


@pytest.mark.parametrize(
    ("cells", "part"),
    [
        ({"total_spent_amount": "0,5"}, '"0,5" has a decimal comma; write 0.5.'),
        ({"total_spent_amount": "1,234"}, "write 1.234, or 1234 if it stands between thousands."),
        ({"total_spent_amount": "1'249.90"}, "has separators between its digits; write 1249.90."),
        ({"total_spent_amount": ""}, 'The value is missing; write one, such as "1249.90".'),
        ({"total_spent_amount": "-1"}, '"-1" is out of bounds; expected at least 0.'),
        ({"currency": "chff"}, "aud, cad, chf, cny, eur, gbp, jpy, sek, usd (did you mean chf?)."),
        ({"note": "a\x00b"}, r'"a\x00b" holds a NUL character; remove it.'),
    ],
)
def test_a_message_says_what_was_found_and_what_to_do(cells, part):
    assert part in error(check_purchase(**cells)).message


@pytest.mark.parametrize(
    "cell", ["x" * 41, "\x00" * 41, "1," + "2" * 131_000, "1_" + "2" * 131_000]
)
def test_a_message_quotes_forty_characters_at_most(cell):
    message = error(check_purchase(total_spent_amount=cell)).message
    assert len(message.split('"')[1]) == 40
    assert message.split('"')[1].endswith("…")
    assert len(message) < 200


def test_forty_characters_are_quoted_whole():
    assert f'"{"x" * 40}"' in error(check_purchase(total_spent_amount="x" * 40)).message


def test_codes_are_plain_text_that_any_json_writer_takes():
    found = error(check_purchase(name=""))
    assert type(found.code) is str
    assert orjson.dumps(found)


def test_every_code_of_the_catalogue_is_one_that_a_row_can_have():
    inline_only = {RowErrorCode.NESTED_VALUE}
    rows = [
        check_purchase(name=""),
        check_purchase(quantity="x"),
        check_own("plane", **PLANE, number_of_trips="1.5"),
        check_purchase(quantity="-1"),
        check_purchase(quantity="nan"),
        check_purchase(currency="x"),
        check_purchase(name="\x00"),
        check_purchase(quantity="0,5"),
        check_own("plane", **PLANE, departure_date="x"),
        check_purchase(unit_institutional_id="x"),
        check_purchase(unit_institutional_id="300"),
        check_own("member", stored_ids={11: {"7"}}, **MEMBER),
    ]
    assert {error(row).code for row in rows} == set(RowErrorCode) - inline_only
