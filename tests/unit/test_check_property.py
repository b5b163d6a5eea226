"""For random cells, three readings of the rules agree.

They are the compiled check, the readable rules, and a slow and obvious one that is written here.
"""

import json
from datetime import datetime
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.domain.catalogue import (
    ENTRY_TYPES,
    FACTOR_TYPES,
    UNIT,
    Choice,
    Date,
    EntryType,
    Integer,
    Number,
    Text,
    columns_of,
)
from service.domain.model import Placement
from service.rows.checker import EntryChecker, FactorChecker, RowTags
from tests.support.lines import cells_of, entry

UNITS = {"1": Placement(100, 10), "2": Placement(200, 20), "3": None}
STORED_IDS = {100: {"taken"}, 7: {"taken"}}


def forms():
    """Every type and form of file whose columns are different from those of all others."""
    kinds = [(kind, per_year) for kind in ENTRY_TYPES.values() for per_year in (True, False)]
    kinds += [(kind, False) for kind in FACTOR_TYPES.values()]
    unlike = {
        (type(kind), columns_of(kind, per_year=per_year)): (kind, per_year)
        for kind, per_year in kinds
    }
    for kind, per_year in unlike.values():
        form = "factors" if not isinstance(kind, EntryType) else "year" if per_year else "unit"
        yield pytest.param(kind, per_year, id=f"{kind.name}-{form}")


FORMS = list(forms())
ANYWHERE = [
    "",
    " ",
    "\t",
    "\u00a0",
    "\x1c",
    "\x00",
    "a\x00b",
    r"\u0000",
    "é",
    "x" * 50,
    '"',
    "\\",
    "0,5",
]
NUMBERS = [
    *(
        "-0",
        "0.1",
        "0.09",
        "1.5",
        "40.0",
        "40.5",
        "4e1",
        "4e-1",
        "-1",
        "1e400",
        "1e-400",
        "9" * 400,
        ".5",
        "5.",
        ".",
    ),
    *(
        "nan",
        "inf",
        "-Infinity",
        "1_0",
        "٤",
        "４",
        "0x1",
        "1 0",
        " 1",
        "1\u2003",
        "\x1c1",
        "\u00a01",
    ),
    *("1,234.5", "True"),
]
WHOLE = [
    "40.0",
    "40.5",
    "4e1",
    "4e-1",
    "0",
    "168",
    "169",
    "9007199254740991",
    "9007199254740992",
    "1_0",
    "٤",
    "-1",
]
DATES = [
    " 2025-03-18",
    "2025-02-30",
    "20250318",
    "2025-W01-1",
    "2025-077",
    "2025-03-1８",
    "2025-3-18",
    "25-03-18",
    "2025/03/18",
    "2025/03-18",
    "2025-03-18T14:30",
    "2025-03-18 14:30:59",
    "2025/03/18 7:30",
    "2025-03-18T24:00",
    "2025-03-18T14:30:59.5",
    "2025-03-18 ",
]
TIMES_OF_DAY = {
    "": "",
    "T%H:%M": "T%H:%M:00",
    " %H:%M": "T%H:%M:00",
    "T%H:%M:%S": "T%H:%M:%S",
    " %H:%M:%S": "T%H:%M:%S",
}


def good(column):
    """Cells that the column takes, if the unit and the id are free."""
    match column:
        case _ if column is UNIT:
            return st.sampled_from(["1", " 2 "])
        case Choice():
            return st.sampled_from(column.choices)
        case Date():
            return st.dates().map(str)
        case Integer():
            return st.integers(1, 110).map(str)
        case Number():
            return st.floats(0.1, 1).map(repr)
        case _:
            return st.sampled_from(["a", "b", "c", "d e"])


def odd(column):
    """Cells near the edge of what the column takes, on either side."""
    match column:
        case Choice():
            near = [
                form
                for value in column.choices
                for form in (value.upper(), f" {value}\t", f"{value}x", value[1:])
            ]
        case Date():
            near = DATES
        case Integer():
            near = WHOLE
        case Number():
            near = NUMBERS
        case _:
            near = ["3", "4", "taken", " taken"]
    return st.one_of(
        st.sampled_from(near), st.sampled_from(near), st.sampled_from(ANYWHERE), st.text()
    )


@st.composite
def tables(draw, columns):
    """A header in any order, with gaps and unknown names, and rows with at most two odd cells."""
    required = [column for column in columns if column.required]
    optional = [column for column in columns if not column.required]
    kept = [column for column in optional if draw(st.integers(0, 3))]
    dropped = draw(st.sampled_from([None] * 12 + required))
    kept += [column for column in required if column is not dropped]
    header = draw(st.permutations([*kept, *[None] * draw(st.integers(0, 2))]))
    names = ["unknown" if column is None else column.name for column in header]
    return names, [draw(rows(header)) for _ in range(draw(st.integers(0, 8)))]


@st.composite
def rows(draw, header):
    cells = [draw(st.text(max_size=1) if column is None else good(column)) for column in header]
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2]))):
        place = draw(st.integers(0, max(0, len(header) - 1)))
        if header and header[place] is not None:
            cells[place] = draw(odd(header[place]))
    cut = draw(st.sampled_from([None, None, None, None, len(header) // 2, 0]))
    return [*cells[:cut], *draw(st.sampled_from([[]] * 5 + [["", "x"]]))]


def checker_of(kind, header, *, per_year):
    if not isinstance(kind, EntryType):
        return FactorChecker(kind, header)
    place = {"units": UNITS} if per_year else {"module": Placement(7, 70)}
    return EntryChecker(kind, header, RowTags(kind.id, 2025, 1, 99), stored_ids=STORED_IDS, **place)


class Bad(Exception):
    """A row error: the column, and the codes that may be given for it."""


def value_of(column, cell):
    text = cell.strip()
    if "\x00" in text:
        raise Bad(column.name, {"nul_character"})
    if text == "":
        if column.required:
            raise Bad(column.name, {"required"})
        return column.default
    if isinstance(column, Number):
        return number_of(column, text)
    if isinstance(column, Choice):
        for value in column.choices:
            if value == text or (column.fold and value == text.lower()):
                return value
        raise Bad(column.name, {"not_in_list"})
    if isinstance(column, Date):
        return date_of(column, text)
    if isinstance(column, Text) and column.upper:
        return text.upper()
    return text


def number_of(column, text):
    value = float_of(text)
    if value is None:
        raise Bad(column.name, {"not_a_number", "decimal_comma", "not_finite"})
    if value in (float("inf"), float("-inf")):
        raise Bad(column.name, {"not_finite"})
    if isinstance(column, Integer):
        if abs(value) >= 2**53:
            raise Bad(column.name, {"not_finite"})
        if value != int(value):
            raise Bad(column.name, {"not_an_integer"})
        value = int(value)
    if value < column.minimum or value > column.maximum:
        raise Bad(column.name, {"out_of_bounds"})
    return value


def float_of(text):
    try:
        return float(text) if set(text) <= set("0123456789.eE+-") else None
    except ValueError:
        return None


def date_of(column, text):
    for separator, (time, stored_time) in product("-/", TIMES_OF_DAY.items()):
        try:
            at = datetime.strptime(text, f"%Y{separator}%m{separator}%d{time}")  # noqa: DTZ007 - cells have no zone
        except ValueError:
            continue
        day = at.date().isoformat()
        # `strptime` also takes digits without their zero; the rules do not.
        if day.replace("-", separator) + at.strftime(time) == text:
            return day + at.strftime(stored_time)
    raise Bad(column.name, {"bad_date"})


def reference(kind, header, rows, *, per_year):
    """The result of each row, in order: where and what is stored, or its column and error codes."""
    taken, results = set(), []
    for cells in rows:
        if all(cell.strip() == "" for cell in cells):
            continue
        named = dict(zip(header, cells, strict=False))
        try:
            results.append(judge(kind, named, taken, per_year=per_year))
        except Bad as bad:
            results.append(bad.args)
    return results


def judge(kind, named, taken, *, per_year):
    module, unit, values = 7, 70, {}
    for column in columns_of(kind, per_year=per_year):
        value = value_of(column, named.get(column.name, ""))
        if column is UNIT:
            unit, module = destination_of(value)
        elif value is not None:
            values[column.json_key] = value
        if column.name == "standby_usage_hours_per_week" and isinstance(kind, EntryType):
            hours = values.get("active_usage_hours_per_week", 0) + values.get(
                "standby_usage_hours_per_week", 0
            )
            if hours > 168:
                raise Bad(column.name, {"out_of_bounds"})
    if not isinstance(kind, EntryType):
        return judge_factor(kind, values, taken)
    if kind.name == "member":
        judge_member(module, values["user_institutional_id"], taken)
    return (module, unit, values)


def destination_of(name):
    if name not in UNITS:
        raise Bad("unit_institutional_id", {"unknown_unit"})
    placement = UNITS[name]
    if placement is None:
        raise Bad("unit_institutional_id", {"unit_without_report"})
    return placement.unit_id, placement.module_id


def judge_member(module, key, taken):
    if (module, key) in taken or key in STORED_IDS.get(module, ()):
        raise Bad("user_institutional_id", {"duplicate"})
    taken.add((module, key))


def judge_factor(kind, values, taken):
    names = [column.name for column in kind.identity]
    identity = tuple(values.get(name) for name in names)
    if identity in taken:
        raise Bad(names[0], {"duplicate"})
    taken.add(identity)
    return (
        {name: value for name, value in values.items() if name in names},
        {name: value for name, value in values.items() if name not in names},
    )


def results_of(kind, good, bad):
    """The checker's good rows and errors, in the order of the rows."""
    errors = {row.error.row: (row.error.column, row.error.code) for row in bad}
    copy_rows = iter(good)
    for number in range(1, len(good) + len(bad) + 1):
        if number in errors:
            yield errors[number]
        elif isinstance(kind, EntryType):
            module, line = next(copy_rows)
            row = entry(line)
            tags = {"data_entry_type_id": kind.id, "year": 2025, "source": 1, "created_by_id": 99}
            assert row == tags | {
                column: row[column] for column in ("carbon_report_module_id", "unit_id", "data")
            }
            assert row["carbon_report_module_id"] == module
            yield (module, row["unit_id"], row["data"])
        else:
            yield tuple(map(json.loads, cells_of(next(copy_rows)[1])))


def agree(result, expected):
    if isinstance(expected[1], set):
        return result[0] == expected[0] and result[1] in expected[1]
    return result == expected


PATIENT = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize(("kind", "per_year"), FORMS)
def test_the_checker_reads_every_row_as_the_rules_say(kind, per_year):
    @PATIENT
    @given(tables(columns_of(kind, per_year=per_year)), st.integers(1, 4))
    def property_(table, chunk):
        header, rows = table
        checker = checker_of(kind, header, per_year=per_year)
        good, bad = [], []
        for start in range(0, len(rows), chunk):
            more = checker.check(rows[start : start + chunk])
            good += more[0]
            bad += more[1]
        expected = reference(kind, header, rows, per_year=per_year)
        assert checker.rows_seen == len(expected) == len(good) + len(bad)
        for result, rule in zip(results_of(kind, good, bad), expected, strict=True):
            assert agree(result, rule), (result, rule)

    property_()


@pytest.mark.parametrize(("kind", "per_year"), FORMS)
def test_the_compiled_check_and_the_slow_one_give_the_same_to_the_letter(kind, per_year):
    @PATIENT
    @given(tables(columns_of(kind, per_year=per_year)))
    def property_(table):
        header, rows = table
        slow = checker_of(kind, header, per_year=per_year)
        good, bad = [], []
        for row in rows:
            slow.check_slowly(row, good, bad)
        compiled = checker_of(kind, header, per_year=per_year)
        assert compiled.check(rows) == (good, bad)
        for seen in ("row_of_id", "row_of_identity"):
            assert getattr(compiled, seen, None) == getattr(slow, seen, None)

    property_()


def other_of(column):
    """Another good cell than the example, where the column is free."""
    if column is UNIT:
        return "1"
    return column.example if isinstance(column, Number | Choice) else f"other {column.example}"


@pytest.mark.parametrize(("kind", "per_year"), FORMS)
def test_the_compiled_check_takes_a_plainly_good_row_itself(kind, per_year):
    columns = columns_of(kind, per_year=per_year)
    checker = checker_of(kind, [column.name for column in columns], per_year=per_year)
    checker.check_slowly = lambda row, _good, _bad: pytest.fail(f"checked slowly: {row}")
    whole = ["1" if column is UNIT else column.example for column in columns]
    bare = [f" {other_of(column)} " if column.required else "" for column in columns]
    good, bad = checker.check([whole, bare])
    assert (len(good), bad) == (2, [])
