"""What the measurements say about their figures."""

import pytest

from bench.support.result import Figure, Measurement, ratio_of_pairs

FAST = Figure("speed", 1.03, goal=1.0)
LARGE = Figure("memory", 72.0, goal=60.0, at_least=False, unit=" MB")


@pytest.mark.parametrize(
    ("figures", "excuse", "line"),
    [
        ([FAST], "", "P1 1.03 (goal 1.00) reached"),
        ([FAST, LARGE], "", "P1 72.00 MB (goal 60.00 MB) not reached"),
        ([LARGE], "all cores full", "P1 72.00 MB (goal 60.00 MB) all cores full"),
        ([Figure("stated", 4.0)], "", "P1 4.00 reached"),
    ],
)
def test_a_row_is_told_by_its_worst_figure(figures: list[Figure], excuse: str, line: str) -> None:
    assert Measurement("P1", "a job", "another way", figures=figures, excuse=excuse).line() == line


def test_a_ratio_is_the_median_of_the_pairs_so_that_a_drift_falls_out() -> None:
    assert ratio_of_pairs([1.0, 2.0, 4.0], [2.0, 4.0, 8.0]) == 2.0
    assert ratio_of_pairs([1.0, 1.0, 1.0], [0.5, 1.5, 9.0]) == 1.5
