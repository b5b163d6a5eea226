"""Every bound of every column, at the bound and one beyond."""

from math import inf, nextafter

import pytest

from service.domain.catalogue import (
    ENTRY_TYPES,
    FACTOR_TYPES,
    MAX_WHOLE,
    UNIT,
    Choice,
    EntryType,
    Integer,
    Number,
    columns_of,
)
from service.domain.model import Placement
from service.rows.checker import EntryChecker, FactorChecker, RowTags

KINDS = (*ENTRY_TYPES.values(), *FACTOR_TYPES.values())
BOUNDED = [
    pytest.param(kind, column, id=f"{type(kind).__name__}-{kind.name}-{column.name}")
    for kind in KINDS
    for column in columns_of(kind, per_year=True)
    if isinstance(column, Number)
]
LISTED = [
    pytest.param(kind, column, id=f"{kind.name}-{column.name}")
    for kind in KINDS
    for column in columns_of(kind, per_year=True)
    if isinstance(column, Choice)
]
# The bounds other than 0 and infinity, from the specification by hand.
LITERAL = [
    ("member", "fte", "1", "1.0000000000000002"),
    ("member", "fte", "0", "-5e-324"),
    ("student", "fte", "0", "-0.1"),
    ("student", "fte", "1e300", None),
    ("scientific", "active_usage_hours_per_week", "168", "169"),
    ("it", "active_usage_hours_per_week", "0", "-1"),
    ("other", "standby_usage_hours_per_week", "168", "169"),
    ("plane", "number_of_trips", "1", "0"),
    ("train", "number_of_trips", "1", "0"),
    ("building", "room_allocation_ratio", "1", "1.01"),
    ("building", "room_allocation_ratio", "0", "-0.01"),
    ("external_ai", "fte_count", "0.1", "0.09"),
]


def check(kind, **cells):
    """Check the example row of a type with these cells; cells that a sum depends on are emptied."""
    row = {column.name: column.example for column in columns_of(kind, per_year=True)}
    if isinstance(kind, EntryType) and kind.sum_at_most is not None:
        row |= dict.fromkeys(kind.sum_at_most.columns, "")
    row |= cells
    if isinstance(kind, EntryType):
        checker = EntryChecker(
            kind, list(row), RowTags(kind.id, 2025, 1, 1), units={UNIT.example: Placement(2, 1)}
        )
    else:
        checker = FactorChecker(kind, list(row))
    return checker.check([list(row.values())])


def accepts(kind, column, cell):
    good, bad = check(kind, **{column: cell})
    assert [(row.error.column, row.error.code) for row in bad] in ([], [(column, "out_of_bounds")])
    return len(good) == 1


def _beyond(column, bound, direction):
    step = bound + (1 if direction > 0 else -1)
    return repr(int(step)) if isinstance(column, Integer) else repr(nextafter(bound, direction))


@pytest.mark.parametrize(("kind", "column"), BOUNDED)
def test_the_lower_bound_is_in_and_what_is_below_is_out(kind, column):
    assert accepts(kind, column.name, repr(column.minimum))
    assert not accepts(kind, column.name, _beyond(column, column.minimum, -inf))


@pytest.mark.parametrize(("kind", "column"), BOUNDED)
def test_the_upper_bound_is_in_and_what_is_above_is_out(kind, column):
    if column.maximum < inf:
        assert accepts(kind, column.name, repr(column.maximum))
        assert not accepts(kind, column.name, _beyond(column, column.maximum, inf))
    else:
        assert accepts(
            kind,
            column.name,
            repr(MAX_WHOLE if isinstance(column, Integer) else 1.7976931348623157e308),
        )
        _, (bad,) = check(kind, **{column.name: "1.8e308"})
        assert bad.error.code == "not_finite"


@pytest.mark.parametrize(("name", "column", "inside", "outside"), LITERAL)
def test_the_bounds_are_those_of_the_specification(name, column, inside, outside):
    kind = next(kind for kind in ENTRY_TYPES.values() if kind.name == name)
    assert accepts(kind, column, inside)
    assert outside is None or not accepts(kind, column, outside)


@pytest.mark.parametrize(("kind", "column"), LISTED)
def test_every_value_of_a_list_is_in_and_any_other_is_out(kind, column):
    for value in column.choices:
        good, bad = check(kind, **{column.name: f" {value} "})
        assert (len(good), bad) == (1, [])
    for other in (
        f"{column.choices[0]}x",
        column.choices[0][:-1],
        f"{column.choices[0]},{column.choices[1]}",
    ):
        _, (bad,) = check(kind, **{column.name: other})
        assert (bad.error.column, bad.error.code) == (column.name, "not_in_list")


REQUIRED = [
    pytest.param(kind, column, id=f"{type(kind).__name__}-{kind.name}-{column.name}")
    for kind in KINDS
    for column in columns_of(kind, per_year=True)
]


@pytest.mark.parametrize(("kind", "column"), REQUIRED)
def test_a_required_value_must_be_there_and_an_optional_one_need_not(kind, column):
    good, bad = check(kind, **{column.name: " "})
    expected = [(column.name, "required")] if column.required else []
    assert [(row.error.column, row.error.code) for row in bad] == expected
    assert len(good) == 1 - len(expected)
