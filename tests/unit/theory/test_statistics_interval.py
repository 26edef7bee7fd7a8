"""Student's quantiles and the interval of δ against SciPy, and a coverage for each confidence."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compaudit.theory.statistics import minimal_detectable_effect, ratio_interval, standard_error
from compaudit.theory.statistics.interval import normal_quantile, t_quantile, upper_probability

probabilities = st.floats(0.001, 0.999)
confidences = st.floats(0.5, 0.999)


@settings(deadline=None)
@given(probabilities, st.integers(1, 200))
def test_students_quantile_against_scipy(probability: float, degrees: int) -> None:
    expected = stats.t.ppf(probability, degrees)
    assert t_quantile(probability, degrees) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(probabilities)
def test_normal_quantile_against_scipy(probability: float) -> None:
    expected = stats.norm.ppf(probability)
    assert normal_quantile(probability) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_published_quantiles() -> None:
    # Student's table, and the normal one
    assert t_quantile(0.975, 2) == pytest.approx(4.3027, abs=5e-5)
    assert t_quantile(0.975, 10) == pytest.approx(2.2281, abs=5e-5)
    assert t_quantile(0.95, 5) == pytest.approx(2.0150, abs=5e-5)
    assert normal_quantile(0.975) == pytest.approx(1.9600, abs=5e-5)
    assert upper_probability(0.95) == pytest.approx(0.975, rel=1e-15)


@pytest.mark.parametrize("bad", [0.0, 1.0, -0.1, math.nan])
def test_probabilities_are_checked(bad: float) -> None:
    for refuse in (upper_probability, normal_quantile, lambda p: t_quantile(p, 5)):
        with pytest.raises(ValueError, match="between 0 and 1"):
            refuse(bad)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_degrees_of_freedom_are_checked(bad: float) -> None:
    with pytest.raises(ValueError, match="degrees of freedom"):
        t_quantile(0.975, bad)


@settings(deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=3, max_size=20), confidences)
def test_interval_of_delta_against_scipy(values: list[float], confidence: float) -> None:
    error = standard_error(values)
    assert error == pytest.approx(stats.sem(values), rel=1e-9, abs=1e-12)
    ours = ratio_interval(values, confidence)
    assert ours.value == pytest.approx(stats.gmean(np.exp(values)), rel=1e-9)
    assert ours.low is not None
    assert ours.high is not None
    mean = np.mean(values)
    margin = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * stats.sem(values)
    assert ours.low == pytest.approx(np.exp(mean - margin), rel=1e-7)
    assert ours.high == pytest.approx(np.exp(mean + margin), rel=1e-7)


def test_two_epochs_have_a_spread_and_one_has_none() -> None:
    # s = |a − b| / √2, and s / √2
    assert standard_error([0.1, 0.4]) == pytest.approx(0.15, rel=1e-12)
    assert standard_error([0.1]) is None


@pytest.mark.parametrize("sign", [1, -1])
def test_where_one_limit_is_beyond_a_float_there_is_none(sign: int) -> None:
    # 4.303 · 100 / √3 = 248: e^±848 is no float, e^±352 is one
    interval = ratio_interval([sign * log for log in (500.0, 600.0, 700.0)])
    assert (interval.low, interval.high) == (None, None)


@settings(deadline=None)
@given(st.floats(0, 0.5), st.integers(2, 40), confidences, st.floats(0.5, 0.99))
def test_minimal_detectable_effect_by_its_formula(
    error: float, degrees: int, confidence: float, power: float
) -> None:
    t = stats.t(degrees)
    expected = math.expm1((t.ppf((1 + confidence) / 2) + t.ppf(power)) * error)
    ours = minimal_detectable_effect(error, degrees, confidence, power)
    assert ours == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.99])
def test_every_confidence_is_kept(confidence: float) -> None:
    """10,000 draws: a standard error of at most 0.5 points, of which three are allowed."""
    draws = np.random.default_rng(12).normal(0.0, 0.05, (10_000, 6)).tolist()
    intervals = [ratio_interval(row, confidence) for row in draws]
    covered = np.mean([i.low <= 1 <= i.high for i in intervals])  # type: ignore[operator]
    error = math.sqrt(confidence * (1 - confidence) / len(draws))
    assert covered == pytest.approx(confidence, abs=3 * error)
