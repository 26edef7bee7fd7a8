import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compaudit.theory.statistics import (
    POCOCK_TWO_LOOKS,
    extension_epochs,
    ratio_interval,
    two_look_level,
    two_look_quantile,
)

SHAPE = [0.5, -1.0, 1.5, -0.5, 0.8, -1.3]  # mean 0


def pilot(deviation: float, mean: float = 0.0) -> list[float]:
    values = np.array(SHAPE)
    return [float(v) for v in mean + deviation * values / values.std(ddof=1)]


def test_pocock() -> None:
    # Pocock 1977, table 1, two looks: 0.0294 at 5 %; 0.0607 and 0.0056 at 10 and 1 %
    assert POCOCK_TWO_LOOKS == 0.0294
    assert two_look_level(0.95) == 0.0294
    assert two_look_level(0.90) == pytest.approx(0.0607, abs=5e-5)
    assert two_look_level(0.99) == pytest.approx(0.0056, abs=5e-5)
    assert two_look_quantile(0.95) == pytest.approx(0.9853, rel=1e-12)


def test_pocock_constant_is_the_computed_one() -> None:
    assert two_look_level(0.95 + 1e-9) == pytest.approx(0.0294, abs=5e-5)


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.99])
def test_two_looks_against_scipys_bivariate_normal(confidence: float) -> None:
    c = stats.norm.isf(two_look_level(confidence) / 2)
    joint = stats.multivariate_normal([0, 0], [[1, math.sqrt(0.5)], [math.sqrt(0.5), 1]])
    assert joint.cdf([c, c], lower_limit=[-c, -c]) == pytest.approx(confidence, abs=1e-6)


def test_narrow_pilot_needs_nothing() -> None:
    # t(0.9853, 5)·s/√6 = 3.0205·0.02/2.449 = 0.0247 < ln 1.03 = 0.0296
    assert extension_epochs(pilot(0.02), 0.03) == 0
    assert extension_epochs([0.1, 0.1, 0.1], 0.03) == 0


@pytest.mark.parametrize("deviation", [0.025, 0.03, 0.05, 0.1, 1.0])
@pytest.mark.parametrize("target", [0.01, 0.03])
def test_smallest_extension_that_reaches_the_target(deviation: float, target: float) -> None:
    further = extension_epochs(pilot(deviation), target)

    def half_width(n: int) -> float:
        return float(math.expm1(stats.t.ppf(0.9853, n - 1) * deviation / math.sqrt(n)))

    n = 6 + further
    assert half_width(n) <= target * (1 + 1e-9)
    assert further == 0 or half_width(n - 1) > target


def test_by_hand() -> None:
    # s = 0.03: n = 7 gives t(6) = 2.8293: 0.0321; n = 8 gives t(7) = 2.7026: 0.0287 < 0.0296
    assert extension_epochs(pilot(0.03), 0.03) == 2


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(0.01, 0.2))
def test_only_the_spread_matters(mean: float, deviation: float) -> None:
    assert abs(extension_epochs(pilot(deviation, mean)) - extension_epochs(pilot(deviation))) <= 1
    assert extension_epochs([-v for v in pilot(deviation)]) == extension_epochs(pilot(deviation))


def test_another_quantile() -> None:
    assert extension_epochs(pilot(0.05), quantile_probability=0.975) < extension_epochs(pilot(0.05))
    assert extension_epochs(pilot(0.05), confidence=0.9) < extension_epochs(pilot(0.05))


@pytest.mark.parametrize(
    ("values", "target", "message"),
    [
        ([0.1], 0.03, "at least 2"),
        ([], 0.03, "no values"),
        ([0.1, math.nan], 0.03, "finite"),
        ([0.1, 0.2], 0.0, "target"),
        ([0.1, 0.2], math.inf, "target"),
    ],
)
def test_refused(values: list[float], target: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        extension_epochs(values, target)


@pytest.mark.parametrize("deviation", [0.02, 0.03, 0.06])
def test_coverage_of_the_whole_procedure(deviation: float) -> None:
    # Pilot of 6, at most one extension, either look may be the one reported.
    rng = np.random.default_rng(17)
    quantile = two_look_quantile(0.95)
    runs, final, both = 3000, 0, 0
    for _ in range(runs):
        values = rng.normal(0.0, deviation, size=6).tolist()
        looks = [ratio_interval(values, 0.95, quantile)]
        further = extension_epochs(values, 0.03, 0.95)
        if further:
            values += rng.normal(0.0, deviation, size=further).tolist()
            looks.append(ratio_interval(values, 0.95, quantile))
        covered = [look.low <= 1 <= look.high for look in looks]  # type: ignore[operator]
        final += covered[-1]
        both += all(covered)
    assert final / runs >= 0.94
    assert both / runs >= 0.93
