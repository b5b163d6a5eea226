"""Rows of factors: identities and values."""

import pytest

from service.domain.catalogue import factor_type
from service.rows.checker import FactorChecker
from tests.support.lines import cells_of


def factors(header=("category", "subcategory", "unit", "ef_kg_co2eq_per_unit")):
    return FactorChecker(factor_type("process_emissions"), header)


def test_a_factor_becomes_its_canonical_identity_and_its_values():
    header = ["unit", "ef_kg_co2eq_per_unit", "subcategory", "category"]
    good, bad = factors(header).check([["kg", "1430", " R-134a ", "gas"]])
    assert not bad
    (identity, line), *_ = good
    assert identity == '{"category":"gas","subcategory":"R-134a"}'
    assert cells_of(line) == [identity, '{"unit":"kg","ef_kg_co2eq_per_unit":1430.0}']


def test_an_absent_identity_column_is_left_out_of_the_identity():
    good, _ = factors().check([["gas", " ", "kg", "1"]])
    assert good[0][0] == '{"category":"gas"}'


def test_the_second_valid_row_of_an_identity_is_a_duplicate():
    checker = factors()
    rows = [
        ["gas", "", "kg", "-1"],
        ["gas", "", "kg", "1"],
        ["gas", "a", "kg", "1"],
        [" gas", "", "l", "2"],
    ]
    good, bad = checker.check(rows)
    assert [identity for identity, _ in good] == [
        '{"category":"gas"}',
        '{"category":"gas","subcategory":"a"}',
    ]
    assert [(row.error.row, row.error.code) for row in bad] == [
        (1, "out_of_bounds"),
        (4, "duplicate"),
    ]
    assert "row 2" in bad[1].error.message


@pytest.mark.parametrize(
    ("cells", "identity"),
    [
        (["gas", "", "kg", "x"], '{"category":"gas"}'),
        (["gas", "a", "", "1"], '{"category":"gas","subcategory":"a"}'),
        (["", "a", "kg", "1"], None),
        (["gas", "\x00", "kg", "x"], None),
    ],
)
def test_a_bad_factor_row_names_its_identity_where_it_could_be_read(cells, identity):
    _, bad = factors().check([cells])
    assert bad[0].identity == identity
