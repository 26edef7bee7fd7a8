import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from compaudit.theory.coding import kt_code_length, plug_in_entropy


def sequential_kt(symbols: list[int], alphabet: int) -> float:
    """The same code, symbol by symbol: P(next = i) = (nᵢ + ½)/(n + K/2)."""
    seen = [0.0] * alphabet
    bits = 0.0
    for position, symbol in enumerate(symbols):
        bits -= math.log2((seen[symbol] + 0.5) / (position + alphabet / 2))
        seen[symbol] += 1
    return bits


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(5, 9))
def test_kt_is_the_sequential_code(symbols: list[int], alphabet: int) -> None:
    counts = np.bincount(symbols, minlength=5)
    expected = sequential_kt(symbols, alphabet)
    assert kt_code_length(counts, alphabet) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_kt_by_hand() -> None:
    # Two symbols, one of each, K = 2: ½ · (½ / 2) = 1/8, so 3 bits.
    assert kt_code_length([1, 1], 2) == pytest.approx(3.0, rel=1e-12)
    # 0 0: ½ · (1½ / 2) = 3/8.
    assert kt_code_length([2], 2) == pytest.approx(math.log2(8 / 3), rel=1e-12)


@given(st.lists(st.integers(1, 2**34), min_size=1, max_size=20), st.integers(20, 70_000))
def test_kt_in_closed_form(counts: list[int], alphabet: int) -> None:
    """Γ(K/2)/Γ(N + K/2) · ∏ Γ(nᵢ + ½)/Γ(½) by SciPy, for counts on both sides of the table."""
    total = sum(counts)
    nats = special.gammaln(total + alphabet / 2) - special.gammaln(alphabet / 2)
    nats -= np.sum(special.gammaln(np.array(counts) + 0.5) - special.gammaln(0.5))
    # The terms are large and cancel: as much of them is lost to rounding as there is of them.
    lost = 1e-14 * total * math.log(total + alphabet)
    assert kt_code_length(counts, alphabet) == pytest.approx(
        nats / math.log(2), rel=1e-11, abs=lost
    )


@pytest.mark.parametrize("count", [1, 2, 510, 511, 512, 513, 100_000])
def test_kt_of_one_symbol(count: int) -> None:
    """∏ (k − ½)/(k + K/2 − 1) over k, with K = 2: by adding logarithms."""
    by_hand = math.fsum(math.log2(k / (k - 0.5)) for k in range(1, count + 1))
    assert kt_code_length([count], 2) == pytest.approx(by_hand, rel=1e-9)


def test_kt_approaches_the_entropy_from_above() -> None:
    counts = np.array([900_000, 60_000, 40_000])
    entropy = stats.entropy(counts, base=2) * counts.sum()
    length = kt_code_length(counts, 3)
    # (K − 1)/2 · log₂ N is the price of not knowing the frequencies (Rissanen): 20 bits here.
    assert entropy < length < entropy + 25


@pytest.mark.parametrize(
    ("counts", "bits"), [([1, 1], 1.0), ([1] * 64, 6.0), ([3, 1], 0.8112781244591328), ([5], 0.0)]
)
def test_plug_in_entropy(counts: list[int], bits: float) -> None:
    assert plug_in_entropy(counts) == pytest.approx(bits, abs=1e-12)


def test_nothing_costs_nothing() -> None:
    assert kt_code_length([], 4) == 0
    assert kt_code_length([7], 1) == pytest.approx(0, abs=1e-9)
    assert plug_in_entropy([0, 0]) == 0


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        kt_code_length([-1, 2], 4)
    with pytest.raises(ValueError, match="alphabet"):
        kt_code_length([1, 1, 1], 2)
