import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compaudit.theory.statistics import (
    Interval,
    epoch_value,
    minimal_detectable_effect,
    noise_floor,
    quad_value,
    ratio_interval,
    standard_error,
    trimmed_mean,
    two_look_quantile,
)

T_975_5 = 2.5705818356363155  # Student's t, 5 degrees of freedom; statsmodels and every table
T_800_5 = 0.9195437801
LN_2 = math.log(2)

logs = st.floats(min_value=-3, max_value=3)


def coverage(intervals: list[Interval], truth: float) -> float:
    return float(np.mean([i.low <= truth <= i.high for i in intervals]))  # type: ignore[operator]


# -------------------------------------------------------------------------------- quad and epoch


def test_quad_is_original_over_compressed() -> None:
    # 30 ms against 12 ms: ln 2.5; swapped it would be −ln 2.5
    assert quad_value([0.030, 0.030], [0.012, 0.012]) == pytest.approx(math.log(2.5), rel=1e-14)


def test_quad_averages_logarithms() -> None:
    # √(10·40) = 20 against √(5·20) = 10; means would say 25 / 12.5 too, so use an odd pair
    assert quad_value([10, 40], [10, 10]) == pytest.approx(math.log(2), rel=1e-14)


def test_abba_cancels_drift() -> None:
    # The machine slows down by the same factor between blocks; true ratio 2, order A B B A.
    pace = [1.0, 1.1, 1.1**2, 1.1**3]
    original = [2 * pace[0], 2 * pace[3]]
    compressed = [1 * pace[1], 1 * pace[2]]
    assert quad_value(original, compressed) == pytest.approx(LN_2, rel=1e-14)


@pytest.mark.parametrize(
    ("original", "compressed", "message"),
    [
        ([1.0, 1.0], [1.0], "unbalanced"),
        ([], [], "no values"),
        ([1.0, 0.0], [1.0, 1.0], "positive"),
        ([1.0, -1.0], [1.0, 1.0], "positive"),
        ([1.0, math.nan], [1.0, 1.0], "finite"),
        ([1.0, 1.0], [math.inf, 1.0], "finite"),
    ],
)
def test_quad_refuses(original: list[float], compressed: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quad_value(original, compressed)


def test_epoch_drops_a_fifth_on_each_side() -> None:
    # median 0.8, mean 1.16; trimmed: (0.6 + 0.8 + 0.9) / 3
    assert epoch_value([0.9, 3.0, 0.5, 0.8, 0.6]) == pytest.approx(2.3 / 3, rel=1e-14)
    # 8 quads: one on each side; 2 quads (the short budget): none
    assert epoch_value([1, 2, 3, 4, 5, 6, 8, 1000]) == pytest.approx(28 / 6, rel=1e-14)
    assert epoch_value([1, 4]) == 2.5
    assert epoch_value([7.0]) == 7


@settings(deadline=None)
@given(st.lists(logs, min_size=1, max_size=40), st.floats(0, 0.49))
def test_trimmed_mean_against_scipy(values: list[float], proportion: float) -> None:
    expected = stats.trim_mean(values, proportion)
    assert trimmed_mean(values, proportion) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("values", "proportion"), [([], 0.2), ([1.0, math.nan], 0.2), ([1.0], 0.5), ([1.0], -0.1)]
)
def test_trimmed_mean_refuses(values: list[float], proportion: float) -> None:
    with pytest.raises(ValueError, match=r"no values|finite|proportion"):
        trimmed_mean(values, proportion)


# ----------------------------------------------------------------------------------- δ of epochs


def test_interval_by_hand() -> None:
    # mean ln 2; deviations ±0.01, ±0.02, ±0.03: s² = 2·14e-4/5, se² = s²/6
    values = [LN_2 + d for d in (0.01, -0.01, 0.02, -0.02, 0.03, -0.03)]
    error = math.sqrt(2 * 14e-4 / 5 / 6)
    assert standard_error(values) == pytest.approx(error, rel=1e-12)
    interval = ratio_interval(values, 0.95)
    assert interval.value == pytest.approx(2, rel=1e-14)
    assert interval.low == pytest.approx(2 * math.exp(-T_975_5 * error), rel=1e-9)
    assert interval.high == pytest.approx(2 * math.exp(T_975_5 * error), rel=1e-9)


def test_the_value_is_the_geometric_mean_of_epochs() -> None:
    # neither the median epoch (1) nor the mean of ratios
    assert ratio_interval([0.0, 0.0, 0.3]).value == pytest.approx(math.exp(0.1), rel=1e-14)


def test_not_the_ratio_of_medians() -> None:
    # Load comes and goes. Quads: 10/5, 10/15, 30/15: δ = (2 · ⅔ · 2)^⅓. The medians say 10/15.
    quads = [
        quad_value([10, 10], [5, 5]),
        quad_value([10, 10], [15, 15]),
        quad_value([30, 30], [15, 15]),
    ]
    delta = ratio_interval([epoch_value(quads)] * 3).value
    assert delta == pytest.approx((8 / 3) ** (1 / 3), rel=1e-14)
    assert delta > 1.3


def test_epochs_count_alike_however_many_quads_they_have() -> None:
    # Pooled quads would weigh the long epoch more.
    epochs = [epoch_value([0.1] * 20), epoch_value([0.4] * 2), epoch_value([0.4] * 2)]
    assert ratio_interval(epochs).value == pytest.approx(math.exp(0.3), rel=1e-12)


def test_the_two_look_quantile_widens() -> None:
    values = [0.01, -0.01, 0.02, -0.02, 0.03, -0.03]
    error = math.sqrt(2 * 14e-4 / 5 / 6)
    interval = ratio_interval(values, 0.95, two_look_quantile(0.95))
    # t with probability 0.9853 and 5 degrees of freedom, by SciPy: 3.0204854
    assert interval.high == pytest.approx(math.exp(3.0204854 * error), rel=1e-8)


@pytest.mark.parametrize("epochs", [1, 2])
def test_fewer_than_three_epochs_have_no_interval(epochs: int) -> None:
    assert ratio_interval([0.0] * epochs) == Interval(1.0, None, None)


def test_three_epochs_have_one() -> None:
    # t₀.₉₇₅ with 2 degrees of freedom is 4.302653, s = 0.1
    interval = ratio_interval([-0.1, 0.0, 0.1])
    assert interval.high == pytest.approx(math.exp(4.302653 * 0.1 / math.sqrt(3)), rel=1e-6)


def test_limits_beyond_a_float_are_no_limits() -> None:
    assert ratio_interval([-700.0, 0.0, 700.0]) == Interval(1.0, None, None)
    with pytest.raises(ValueError, match="not a ratio"):
        ratio_interval([800.0])


@pytest.mark.parametrize("values", [[], [math.nan] * 3, [math.inf, 0.0, 0.0]])
def test_ratio_interval_refuses(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"no values|finite"):
        ratio_interval(values)


def test_confidence_is_checked() -> None:
    with pytest.raises(ValueError, match="confidence"):
        ratio_interval([0.0] * 3, 95)
    with pytest.raises(ValueError, match="probability"):
        ratio_interval([0.0] * 3, 0.95, 1.0)


@settings(deadline=None)
@given(st.lists(logs, min_size=3, max_size=12))
def test_swapping_the_models_inverts_delta(values: list[float]) -> None:
    there, back = ratio_interval(values), ratio_interval([-v for v in values])
    assert there.low is not None
    assert there.high is not None
    assert there.value * back.value == pytest.approx(1, rel=1e-12)
    assert back.low == pytest.approx(1 / there.high, rel=1e-9)
    assert back.high == pytest.approx(1 / there.low, rel=1e-9)
    assert there.low <= there.value <= there.high


@pytest.mark.parametrize("epochs", [3, 6, 12])
def test_coverage_of_normal_epochs(epochs: int) -> None:
    draws = np.random.default_rng(epochs).normal(LN_2, 0.05, size=(8000, epochs))
    covered = coverage([ratio_interval(row) for row in draws.tolist()], 2.0)
    assert 0.94 <= covered <= 0.96


def test_processes_are_the_sampling_unit() -> None:
    # Epochs differ by 2 %, quads within one by 0.5 %. Over pooled quads the interval is a sham.
    rng = np.random.default_rng(8)
    effects = rng.normal(0, 0.02, size=(3000, 6, 1))
    quads = effects + rng.normal(0, 0.005, size=(3000, 6, 8))
    by_epoch = [ratio_interval([epoch_value(e) for e in run]) for run in quads.tolist()]
    pooled = [ratio_interval(run) for run in quads.reshape(3000, -1).tolist()]
    assert coverage(by_epoch, 1.0) >= 0.94
    assert coverage(pooled, 1.0) < 0.75


# ----------------------------------------------------------------------- effect and noise floor


def test_minimal_detectable_effect_by_hand() -> None:
    expected = math.exp((T_975_5 + T_800_5) * 0.01) - 1  # 3.55 %
    assert minimal_detectable_effect(0.01, 5) == pytest.approx(expected, rel=1e-8)
    assert expected == pytest.approx(0.0355, abs=5e-5)


def test_minimal_detectable_effect_is_found_four_times_in_five() -> None:
    # By its meaning: at that effect the interval excludes 1 in about 80 % of the runs.
    epochs, spread = 12, 0.02
    effect = minimal_detectable_effect(spread / math.sqrt(epochs), epochs - 1)
    assert effect is not None
    draws = np.random.default_rng(2).normal(math.log1p(effect), spread, size=(4000, epochs))
    found = np.mean([ratio_interval(row).low > 1 for row in draws.tolist()])  # type: ignore[operator]
    assert 0.77 <= found <= 0.83


def test_minimal_detectable_effect_at_the_edges() -> None:
    assert minimal_detectable_effect(0.0, 5) == 0
    assert minimal_detectable_effect(1e4, 5) is None
    with pytest.raises(ValueError, match="standard error"):
        minimal_detectable_effect(-1.0, 5)
    with pytest.raises(ValueError, match="standard error"):
        minimal_detectable_effect(math.nan, 5)
    with pytest.raises(ValueError, match="degrees of freedom"):
        minimal_detectable_effect(0.01, 0)


def test_noise_floor_by_hand() -> None:
    # the lower limit is further from 1: 1/0.96 − 1
    assert noise_floor(Interval(1.0, 0.96, 1.03)) == pytest.approx(1 / 0.96 - 1, rel=1e-12)
    assert noise_floor(Interval(1.0, 0.99, 1.03)) == pytest.approx(0.03, rel=1e-12)
    assert noise_floor(Interval(1.02, 1.01, 1.03)) == pytest.approx(0.03, rel=1e-12)
    assert noise_floor(Interval(1.0, 1.0, 1.0)) == 0
    assert noise_floor(Interval(1.0, None, None)) is None
    with pytest.raises(ValueError, match="positive"):
        noise_floor(Interval(1.0, 0.0, 1.1))
