import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from compaudit.theory.statistics import holm


def test_by_hand() -> None:
    # 0.01·4, 0.02·3, then 0.03·2 = 0.06 as before, then 0.04·1, which may not be smaller.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_against_statsmodels(count: int) -> None:
    p_values = np.random.default_rng(count).random(count) ** 6  # some are small
    p_values[::3] = p_values[0]  # some are equal
    expected = multipletests(p_values, method="holm")[1]
    assert holm(p_values.tolist()) == pytest.approx(expected.tolist(), rel=1e-12)


@given(st.lists(st.floats(0, 1), max_size=40))
def test_correction_never_helps_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    pairs = sorted(zip(p_values, corrected, strict=True))
    assert all(p <= q <= min(1, p * len(p_values)) for p, q in pairs if p == min(p_values))
    assert all(p <= q <= 1 for p, q in pairs)
    assert [q for _, q in pairs] == sorted(corrected)


def test_a_thousand_classes_of_nothing() -> None:
    assert holm([1.0] * 1000) == [1.0] * 1000
    assert holm([]) == []


@pytest.mark.parametrize("bad", [-0.1, 1.1, np.nan])
def test_what_is_no_p_value_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, bad])
