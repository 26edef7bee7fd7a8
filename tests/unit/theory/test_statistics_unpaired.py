"""The ratio of two speed-ups from different experiments, against SciPy's Welch interval."""

import math

import numpy as np
import pytest
from scipy import stats

from compaudit.theory.statistics import unpaired_ratio_interval

RANDOM = np.random.default_rng(0)
FIRST = RANDOM.normal(0.7, 0.02, 6).tolist()
SECOND = RANDOM.normal(0.1, 0.05, 9).tolist()


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_against_scipy(confidence: float) -> None:
    found = unpaired_ratio_interval(FIRST, SECOND, confidence)
    expected = stats.ttest_ind(FIRST, SECOND, equal_var=False).confidence_interval(confidence)
    assert found.value == pytest.approx(math.exp(np.mean(FIRST) - np.mean(SECOND)))
    assert found.low == pytest.approx(math.exp(expected.low))
    assert found.high == pytest.approx(math.exp(expected.high))


def test_one_of_two_looks_is_wider() -> None:
    one, two = (unpaired_ratio_interval(FIRST, SECOND, 0.95, q) for q in (None, 1 - 0.0294 / 2))
    assert one.value == two.value
    assert two.low < one.low  # type: ignore[operator]


def test_too_few_epochs_give_no_interval() -> None:
    found = unpaired_ratio_interval(FIRST[:2], SECOND)
    assert (found.low, found.high) == (None, None)


def test_without_any_spread_the_interval_is_the_point() -> None:
    found = unpaired_ratio_interval([0.5] * 3, [0.2] * 3)
    assert found.low == pytest.approx(math.exp(0.3))
    assert found.high == pytest.approx(math.exp(0.3))


def test_no_epochs() -> None:
    with pytest.raises(ValueError, match="no values"):
        unpaired_ratio_interval([], SECOND)
