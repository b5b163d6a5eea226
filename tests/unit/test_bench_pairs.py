"""What `bench.pairs` says of two versions."""

import pytest

from bench.support.result import Ratio

BEFORE = [1.0, 2.0, 4.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([0.9, 0.9, 0.9, 0.9, 0.9], "no loss"),
        ([1.02, 1.02, 1.02, 1.02, 1.02], "no loss"),
        ([0.8, 0.9, 1.1, 1.2, 1.3], "no loss"),
        ([1.04, 1.05, 1.06, 1.07, 1.08], "LOSS"),
    ],
)
def test_a_loss_is_above_the_margin_and_outside_the_noise(
    ratios: list[float], verdict: str
) -> None:
    after = [old * ratio for old, ratio in zip(BEFORE, ratios, strict=True)]
    assert Ratio.of_pairs(BEFORE, after).verdict == verdict


def test_the_interval_lies_around_the_median_of_the_ratios() -> None:
    ratio = Ratio.of_pairs(BEFORE, [1.0, 2.2, 4.8, 1.3, 2.8])
    assert ratio.median == pytest.approx(1.2)
    assert 1.0 <= ratio.low < ratio.median < ratio.high <= 1.4


def test_one_pair_is_its_own_interval() -> None:
    assert Ratio.of_pairs([2.0], [3.0]) == Ratio(1.5, 1.5, 1.5)
