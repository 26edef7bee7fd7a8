import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compaudit.theory.rates import (
    compression_rate,
    space_saving,
    space_saving_rate,
    speedup_rate,
)

ALL = (compression_rate, space_saving_rate, space_saving, speedup_rate)
sizes = st.integers(min_value=1, max_value=10**15)


def test_four_times_smaller() -> None:
    # a = 100 MB, a* = 25 MB: α = 4, β = 75/25 = 3, saved 75/100
    assert compression_rate(100, 25) == 4
    assert space_saving_rate(100, 25) == 3
    assert space_saving(100, 25) == 0.75


def test_a_model_that_grew() -> None:
    assert compression_rate(50, 100) == 0.5
    assert space_saving_rate(50, 100) == -0.5
    assert space_saving(50, 100) == -1


def test_speedup_is_the_original_over_the_compressed() -> None:
    # 30 ms against 12 ms: swapping s and s* would say 0.4
    assert speedup_rate(0.030, 0.012) == pytest.approx(2.5, rel=1e-15)


def test_lenet_of_deep_compression() -> None:
    # Han et al. 2016, table 1: LeNet-300-100 from 1070 kB to 27 kB is "40×"
    alpha = compression_rate(1070e3, 27e3)
    assert alpha is not None
    assert round(alpha) == 40


@pytest.mark.parametrize("rate", [compression_rate, space_saving_rate, speedup_rate])
def test_no_denominator_no_rate(rate: object) -> None:
    assert callable(rate)
    assert rate(10, 0) is None
    assert rate(0, 0) is None
    assert rate(np.float64(10), np.float64(0)) is None


def test_space_saving_divides_by_the_original() -> None:
    assert space_saving(0, 10) is None
    assert space_saving(10, 0) == 1


@pytest.mark.parametrize("rate", ALL)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_not_finite_is_undefined(rate: object, bad: float) -> None:
    assert callable(rate)
    assert rate(bad, 1) is None
    assert rate(1, bad) is None


@pytest.mark.parametrize("rate", ALL)
def test_negative_is_refused(rate: object) -> None:
    assert callable(rate)
    with pytest.raises(ValueError, match="original must not be negative, got -1"):
        rate(-1, 1)
    with pytest.raises(ValueError, match="compressed must not be negative"):
        rate(1, -1)
    with pytest.raises(ValueError, match="must not be negative"):
        rate(1, -math.inf)


@pytest.mark.parametrize("rate", [compression_rate, space_saving_rate, speedup_rate])
def test_overflow_is_undefined(rate: object) -> None:
    assert callable(rate)
    assert rate(1e308, 1e-308) is None
    assert rate(10**400, 1) is None


@settings(deadline=None)
@given(sizes, sizes)
def test_beta_is_alpha_minus_one(original: int, compressed: int) -> None:
    alpha = compression_rate(original, compressed)
    beta = space_saving_rate(original, compressed)
    assert alpha is not None
    assert beta == pytest.approx(alpha - 1, rel=1e-12, abs=1e-12)


@settings(deadline=None)
@given(sizes, sizes)
def test_saving_is_one_minus_the_inverse_of_alpha(original: int, compressed: int) -> None:
    alpha = compression_rate(original, compressed)
    assert alpha is not None
    assert space_saving(original, compressed) == pytest.approx(1 - 1 / alpha, rel=1e-12, abs=1e-12)


@settings(deadline=None)
@given(sizes, sizes)
def test_swapping_the_models_inverts_alpha(original: int, compressed: int) -> None:
    there = compression_rate(original, compressed)
    back = compression_rate(compressed, original)
    assert there is not None
    assert back is not None
    assert there * back == pytest.approx(1, rel=1e-14)


def test_needs_neither_numpy_nor_scipy() -> None:
    code = "import sys, compaudit.theory.rates; print({'numpy', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
