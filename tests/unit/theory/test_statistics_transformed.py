import math
from decimal import Decimal

import numpy as np
import pytest

from compaudit.theory.statistics import (
    BlockedMean,
    Interval,
    difference_of_exponentials,
    exponential,
    root,
)


def test_exponential_by_hand() -> None:
    interval = exponential(Interval(math.log(2), math.log(1.5), math.log(3)))
    assert interval is not None
    assert interval.value == pytest.approx(2)
    assert interval.low == pytest.approx(1.5)
    assert interval.high == pytest.approx(3)
    assert exponential(Interval(0.0, None, None)) == Interval(1.0, None, None)


def test_exponentials_that_no_float_holds() -> None:
    assert exponential(Interval(800.0, None, None)) is None
    assert exponential(Interval(-800.0, None, None)) is None
    assert exponential(Interval(700.0, 600.0, 800.0)) == Interval(math.exp(700), None, None)


def test_root_by_hand() -> None:
    assert root(Interval(4.0, 1.0, 9.0)) == Interval(2.0, 1.0, 3.0)
    assert root(Interval(4.0, -1.0, 9.0)) == Interval(2.0, 0.0, 3.0)
    assert root(Interval(4.0, None, None)) == Interval(2.0, None, None)
    with pytest.raises(ValueError, match="negative"):
        root(Interval(-1.0, None, None))


@pytest.mark.parametrize("apart", [0.5, 1e-3, 1e-9])
def test_difference_of_exponentials_is_the_linearised_one(apart: float) -> None:
    """The delta method token by token: B·(y − mean y) − A·(x − mean x) is what varies."""
    random = np.random.default_rng(7)
    owners = np.repeat(np.arange(15), random.integers(3, 30, 15))
    x = random.gamma(2, 1, len(owners)) + random.normal(0, 0.3, 15)[owners]
    y = x + apart * random.normal(0.2, 1, len(owners))
    first, second = BlockedMean.of(x, owners), BlockedMean.of(y, owners)
    result = difference_of_exponentials(first, second, BlockedMean.of(y - x, owners))
    a, b = math.exp(x.mean()), math.exp(y.mean())
    # B·(y − ȳ) − A·(x − x̄), without the cancellation
    influence = b * ((y - x) - (y - x).mean()) + (b - a) * (x - x.mean())
    expected = BlockedMean.of(influence, owners).interval()
    assert result is not None
    assert result.low is not None
    assert result.high is not None
    assert expected.high is not None
    exact = Decimal(second.mean).exp() - Decimal(first.mean).exp()
    assert result.value == pytest.approx(float(exact), rel=1e-13, abs=0)
    assert (result.high - result.low) / 2 == pytest.approx(expected.high, rel=1e-4)


def test_the_same_values_differ_by_nothing_and_surely() -> None:
    mean = BlockedMean.of([1.0, 2.0, 4.0], [0, 0, 1])
    none = BlockedMean.of([0.0, 0.0, 0.0], [0, 0, 1])
    assert difference_of_exponentials(mean, mean, none) == Interval(0.0, 0.0, 0.0)


def test_without_blocks_or_floats_there_is_no_interval() -> None:
    one = BlockedMean.of([1.0, 2.0], [0, 0])
    two = BlockedMean.of([2.0, 3.0], [0, 0])
    change = difference_of_exponentials(one, two, BlockedMean.of([1.0, 1.0], [0, 0]))
    assert change is not None
    assert change.value == pytest.approx(math.exp(2.5) - math.exp(1.5))
    assert change.low is None
    huge = BlockedMean.of([900.0, 900.0], [0, 1])
    assert difference_of_exponentials(one, huge, huge) is None
