"""Runs of one model on the same inputs, held against one another."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from compaudit.measure.repetition import changed_outputs, largest_change
from compaudit.results.behaviour import OutputChange

NAN, INF = np.nan, np.inf


def only(first: Any, again: Any) -> OutputChange:
    (change,) = changed_outputs({"out": np.asarray(first)}, {"out": np.asarray(again)})
    assert change.output == "out"
    return change


@pytest.mark.parametrize(
    "values",
    [
        np.arange(100_000, dtype=np.float32),
        np.array([NAN, INF, -INF, 0.0]),
        np.array(3.0),
        np.zeros((0, 4), np.float32),
        np.array([1 + 2j, NAN * 1j]),
        np.array([True, False]),
        np.array(["a", "b"]),
        np.array(["a", b"b"], object),
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
        np.array([1.5, NAN], ml_dtypes.bfloat16),
        np.array([1, -3], ml_dtypes.int4),
    ],
    ids=lambda values: f"{values.dtype}{values.shape}",
)
def test_the_same_is_no_change(values: Any) -> None:
    assert changed_outputs({"out": values}, {"out": values.copy()}) == []


def test_other_bits_of_the_same_number_are_no_change() -> None:
    assert changed_outputs({"out": np.array([0.0, NAN])}, {"out": np.array([-0.0, -NAN])}) == []


def test_the_largest_difference_and_what_it_is_measured_against() -> None:
    change = only([1.0, -4.0, 2.0], [1.5, -4.0, 1.75])
    assert change.largest_difference == 0.5
    assert change.largest_value == 4.0
    assert change.real


def test_infinities_and_nan_in_the_same_places_leave_the_numbers_to_compare() -> None:
    change = only([NAN, INF, 1.0], [NAN, INF, 2.0])
    assert change.largest_difference == 1.0
    assert change.largest_value == 1.0


@pytest.mark.parametrize(
    ("first", "again"),
    [([1.0, 2.0], [1.0, NAN]), ([NAN, 2.0], [1.0, 2.0]), ([INF], [-INF]), ([NAN], [INF])],
)
def test_a_number_in_one_run_only(first: Any, again: Any) -> None:
    change = only(first, again)
    assert change.largest_difference is None
    assert "NaN or infinite" in change.what


def test_a_difference_far_into_a_large_output() -> None:
    first = np.ones(1_000_003, np.float32)
    again = first.copy()
    again[-1] = 3
    assert only(first, again).largest_difference == 2.0


def test_narrow_types_are_compared_as_numbers() -> None:
    again = np.array([1.5], ml_dtypes.bfloat16)
    assert only(np.array([1.0], ml_dtypes.bfloat16), again).largest_difference == 0.5
    integers = only(np.array([250], np.uint8), np.array([3], np.uint8))
    assert integers.largest_difference == 247.0
    assert not integers.real


def test_complex_numbers() -> None:
    assert only([1 + 1j], [1 + 3j]).largest_difference == 2.0


def test_what_no_number_can_tell() -> None:
    assert "shape (2,) in one run and (3,)" in only([1.0, 2.0], [1.0, 2.0, 3.0]).what
    assert "float64 in one run and int64" in only([1.0], [1]).what
    assert only(["a"], ["b"]).what == "held another text"
    (gone,) = changed_outputs({"out": np.array([1.0])}, {})
    assert gone.what == "was missing in one run"


def test_the_gravest_change_stands_for_all() -> None:
    """Relative to its own size: 1 of 1000 is less than 0.5 of 1; what has no number is most."""
    large = only([1000.0], [1001.0])
    small = only([1.0], [1.5])
    again = only([1.0], [1.25])
    changes = [
        OutputChange(**{**_fields(large), "output": "a"}),
        OutputChange(**{**_fields(small), "output": "b"}),
        OutputChange(**{**_fields(again), "output": "b"}),
    ]
    worst = largest_change(changes)
    assert worst is not None
    assert (worst.output, worst.largest_difference, worst.others) == ("b", 0.5, 1)
    worst = largest_change([*changes, only(["a"], ["b"])])
    assert worst is not None
    assert (worst.output, worst.others) == ("out", 2)
    assert largest_change([]) is None


def _fields(change: OutputChange) -> dict[str, Any]:
    return {name: getattr(change, name) for name in change.__struct_fields__}
