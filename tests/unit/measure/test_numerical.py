import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compaudit.measure import numerical
from compaudit.measure.numerical import NotNumbers, NumericalError
from compaudit.results import OutputError


def measured(original: Any, compressed: Any) -> tuple[OutputError, dict[str, str]]:
    error = NumericalError()
    error.update(np.asarray(original), np.asarray(compressed))
    return error.result()


def test_by_hand() -> None:
    # errors 1, 0, 2, 1: powers 1 + 4 + 9 + 16 = 30 and 6, product 0·… = 2·1 + 2·2 + 1·3 + 5·4 = 29
    error, reasons = measured([[1.0, 2.0], [3.0, 4.0]], [[2.0, 2.0], [1.0, 5.0]])
    assert error.max_abs_error == 2
    assert error.mean_abs_error == 1
    assert error.sqnr_db == pytest.approx(10 * math.log10(30 / 6), rel=1e-15)
    assert error.cosine == pytest.approx(29 / math.sqrt(30 * 34), rel=1e-15)
    assert (error.nonfinite_original, error.nonfinite_compressed) == (0, 0)
    assert reasons == {}


def test_rounding_to_eight_bits_costs_what_the_textbook_says() -> None:
    # A full-scale uniform signal has 6.02 dB for each bit.
    signal = np.random.default_rng(0).uniform(-1, 1, 200_000)
    error, _ = measured(signal, np.round(signal * 128) / 128)
    assert error.sqnr_db == pytest.approx(20 * math.log10(2) * 8, abs=0.05)


@pytest.mark.parametrize("size", [1, 3, 10, 64])
def test_batches_do_not_matter(size: int) -> None:
    a = np.random.default_rng(1).normal(size=(64, 3, 2)).astype(np.float32)
    b = a + np.random.default_rng(2).normal(size=a.shape).astype(np.float32) / 10
    whole, _ = measured(a, b)
    parts = NumericalError()
    for start in range(0, 64, size):
        parts.update(a[start : start + size], b[start : start + size])
    got, _ = parts.result()
    for name in ("max_abs_error", "mean_abs_error", "sqnr_db", "cosine"):
        assert getattr(got, name) == pytest.approx(getattr(whole, name), rel=1e-12)


@given(st.permutations(range(6)), st.integers(0, 2**32 - 1))
def test_parts_merge_to_the_whole(order: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    # Sums that cancel, and numbers of very different sizes.
    a = random.normal(size=(30, 7)) * 10.0 ** random.integers(-6, 6, (30, 1))
    b = -a + random.normal(size=a.shape) * 1e-3
    whole, _ = measured(a, b)
    merged = NumericalError()
    for place in order:
        part = NumericalError()
        part.update(a[place * 5 : place * 5 + 5], b[place * 5 : place * 5 + 5])
        merged.merge(part)
    got, reasons = merged.result()
    assert reasons == {}
    for name in ("max_abs_error", "mean_abs_error", "sqnr_db", "cosine"):
        assert getattr(got, name) == pytest.approx(getattr(whole, name), rel=1e-12)


def test_sums_do_not_gather_rounding_errors() -> None:
    error, total = NumericalError(), NumericalError()
    error.update(np.array([1e16]), np.array([0.0]))
    for _ in range(1000):
        error.update(np.array([0.5]), np.array([0.0]))  # lost, one by one
    total.merge(error)
    for sums in (error, total):
        assert sums.result()[0].mean_abs_error == (1e16 + 500) / 1001


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_the_first_broken_samples_are_listed(order: tuple[int, ...]) -> None:
    a = np.zeros((30, 4))
    a[[3, 8, 9, 15, 27], 1] = np.nan
    merged = NumericalError()
    for place in order:
        here = np.arange(place * 10, place * 10 + 10)
        part = NumericalError()
        part.update(a[here], np.zeros((10, 4)), here + 100)
        merged.merge(part)
    assert merged.broken_samples == [103, 108, 109]
    assert "5 of 120" in merged.result()[1]["cosine"]
    assert "first in sample 103" in merged.result()[1]["cosine"]


@pytest.mark.parametrize("elements", [1, 5, 64])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, elements: int) -> None:
    a = np.random.default_rng(0).normal(size=(9, 3, 2))
    a[4, 2, 1] = np.inf
    monkeypatch.setattr(numerical, "_BLOCK_ELEMENTS", elements)
    error = NumericalError()
    error.update(a, np.zeros(a.shape))
    assert error.broken_samples == [4]
    assert error.nonfinite == [1, 0]
    monkeypatch.undo()
    whole, _ = measured(a[:4], np.ones((4, 3, 2)))
    monkeypatch.setattr(numerical, "_BLOCK_ELEMENTS", elements)
    parts, _ = measured(a[:4], np.ones((4, 3, 2)))
    assert parts.mean_abs_error == pytest.approx(whole.mean_abs_error, rel=1e-15)
    assert parts.sqnr_db == pytest.approx(whole.sqnr_db, rel=1e-14)


def test_identical_outputs() -> None:
    error, reasons = measured([1.0, -2.0], [1.0, -2.0])
    assert (error.max_abs_error, error.mean_abs_error, error.sqnr_db) == (0, 0, None)
    assert error.cosine == pytest.approx(1, rel=1e-15)
    assert set(reasons) == {"sqnr_db"}
    assert "identical" in reasons["sqnr_db"]


def test_silent_outputs() -> None:
    error, reasons = measured([0.0, 0.0], [1.0, 0.0])
    assert (error.max_abs_error, error.sqnr_db, error.cosine) == (1, None, None)
    assert set(reasons) == {"sqnr_db", "cosine"}
    error, reasons = measured([1.0, 0.0], [0.0, 0.0])
    assert error.sqnr_db == 0  # the error is the signal
    assert set(reasons) == {"cosine"}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["original", "compressed", "both"])
def test_what_is_not_a_number_is_never_averaged_away(bad: float, which: str) -> None:
    a, b = np.ones(1000), np.ones(1000)
    if which != "compressed":
        a[7] = bad
    if which != "original":
        b[7] = -bad
    error, reasons = measured(a, b)
    assert error.nonfinite_original == (which != "compressed")
    assert error.nonfinite_compressed == (which != "original")
    for name in ("max_abs_error", "mean_abs_error", "sqnr_db", "cosine"):
        assert getattr(error, name) is None
        assert "1 of 1000" in reasons[name]


def test_infinities_that_both_agree_on_are_no_error() -> None:
    a, b = np.array([1.0, -np.inf, np.inf]), np.array([2.0, -np.inf, np.inf])
    error, reasons = measured(a, b)
    assert (error.max_abs_error, error.sqnr_db) == (1, 0)
    assert (error.nonfinite_original, error.nonfinite_compressed) == (2, 2)
    assert reasons == {}


def test_infinities_alone_are_no_evidence() -> None:
    """An error of zero would pass any gate, and no number was compared."""
    error, reasons = measured(np.array([np.inf, -np.inf]), np.array([np.inf, -np.inf]))
    assert (error.max_abs_error, error.mean_abs_error, error.cosine) == (None, None, None)
    assert set(reasons.values()) == {"both models give infinities and no number"}


def test_float16_does_not_overflow() -> None:
    error, _ = measured(np.full(9, 60000, np.float16), np.full(9, -60000, np.float16))
    assert error.max_abs_error == 120_000  # beyond the 65504 of float16
    assert error.cosine == pytest.approx(-1, rel=1e-12)


def test_whole_numbers_and_bools() -> None:
    assert measured(np.uint8([0, 255]), np.uint8([255, 0]))[0].max_abs_error == 255
    assert measured([True, False], [True, True])[0].mean_abs_error == 0.5


def test_the_imaginary_part_counts() -> None:
    error, _ = measured(np.array([1 + 2j]), np.array([1 - 1j]))
    assert (error.max_abs_error, error.mean_abs_error) == (3, 1.5)
    assert error.sqnr_db == pytest.approx(10 * math.log10(5 / 9))


def test_nothing_to_compare() -> None:
    error, reasons = measured(np.zeros((4, 0)), np.zeros((4, 0)))
    assert error.max_abs_error is None
    assert len(reasons) == 4


def test_numbers_too_large_to_square() -> None:
    error, reasons = measured([1e200], [2e200])
    assert error.sqnr_db is None
    assert len(reasons) == 4


@pytest.mark.parametrize(
    ("bad", "which", "count"),
    [((0, 3), "compressed", 3), ((4, 3), "original", 4), ((2, 2), "original", 2)],
)
def test_which_model_gives_no_numbers(bad: tuple[int, int], which: str, count: int) -> None:
    a, b = np.zeros((10, 2)), np.zeros((10, 2))
    a[5 : 5 + bad[0], 0] = np.nan
    b[5 : 5 + bad[1], 1] = np.inf
    error = NumericalError()
    error.update(a, b, np.arange(100, 110))
    found = NotNumbers.of("y", error.result()[0], error.broken_samples)
    assert (found.which, found.count, found.sample) == (which, count, 105)
    assert found.worse == (which == "compressed")
