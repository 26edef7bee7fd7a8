from collections.abc import Collection
from typing import Any

import numpy as np
import pytest
from engine_fakes import Samples, X
from numpy.typing import NDArray

from compaudit.data.base import Feed
from compaudit.engines.inputs import feed_batch, first_batch
from compaudit.errors import RequestError


def test_inputs_are_renamed_cast_and_contiguous() -> None:
    feeds = (Feed("input", "x", "float32", None), Feed("i", "ids", "int32", None))
    inputs = feed_batch(Samples(), feeds, 2, 5)
    assert set(inputs) == {"input", "i"}
    assert inputs["input"].dtype == np.float32
    np.testing.assert_array_equal(inputs["input"], X[2:5])
    assert inputs["i"].dtype == np.int32
    assert inputs["i"].tolist() == [2, 3, 4]


def test_only_what_is_fed_is_read() -> None:
    data = Samples()
    feed_batch(data, (Feed("a", "x", "float32", None), Feed("b", "x", "float64", None)), 0, 2)
    first_batch(data, (Feed("a", "x", "float32", None),), 3)
    assert data.asked == [{"x"}, {"x"}]


def test_fortran_and_big_endian_arrays_become_plain() -> None:
    class Odd(Samples):
        def batch(
            self, start: int, stop: int, names: Collection[str] | None = None
        ) -> dict[str, NDArray[Any]]:
            return {"x": np.asfortranarray(X.astype(">f4"))[start:stop]}

    values = feed_batch(Odd(), (Feed("input", "x", "float32", None),), 3, 6)["input"]
    assert values.dtype == np.dtype("<f4")
    assert values.flags.c_contiguous
    np.testing.assert_array_equal(values, X[3:6])


def test_a_fixed_batch_is_filled_with_the_samples_over_again() -> None:
    feeds = (Feed("i", "ids", "int64", 8),)
    assert feed_batch(Samples(), feeds, 4, 7)["i"].tolist() == [4, 5, 6, 4, 5, 6, 4, 5]
    assert feed_batch(Samples(), feeds, 0, 8)["i"].tolist() == list(range(8))


def test_broken_samples_are_left_out_and_nothing_is_made_of_none() -> None:
    feeds = (Feed("i", "ids", "int64", 4),)
    data = Samples(bad=[4, 6, 8, 9])
    assert feed_batch(data, feeds, 4, 8)["i"].tolist() == [5, 7, 5, 7]
    assert feed_batch(data, feeds, 8, 10)["i"].tolist() == []
    assert data.broken == dict.fromkeys([4, 6, 8, 9], "it is torn")


# ------------------------------------------------------------------- numbers that are looked up


def test_a_number_that_the_model_does_not_have_is_named_with_its_sample() -> None:
    """Of ids 0 to 9, each sample's own, a table of 7 rows has none for the samples from 7 on."""
    feeds = (Feed("tokens", "ids", "int64", None, -7, 6),)
    assert feed_batch(Samples(), feeds, 0, 7)["tokens"].tolist() == list(range(7))
    with pytest.raises(RequestError, match=r"7 rows, 0 to 6.* in sample 7, is 7$") as caught:
        feed_batch(Samples(), feeds, 5, 10)
    assert caught.value.code == "data-out-of-range"
    assert "'ids'" in caught.value.message
    assert "'tokens'" in caught.value.message
    assert "vocabulary" in caught.value.hint


def test_samples_that_cannot_be_read_do_not_shift_its_name() -> None:
    feeds = (Feed("tokens", "ids", "int64", None, 0, 6),)
    with pytest.raises(RequestError, match=r"in sample 8, is 8$"):
        feed_batch(Samples(bad=[6, 7]), feeds, 5, 10)
    with pytest.raises(RequestError, match=r"in sample 8, is 8$"):
        first_batch(Samples(bad=[0, 7]), feeds, 10)


def test_a_number_too_large_for_its_type_is_named_with_its_sample() -> None:
    """The numbers of sample 3 are 6 and 7; scaled, only the second does not fit."""

    class Large(Samples):
        def batch(
            self, start: int, stop: int, names: Collection[str] | None = None
        ) -> dict[str, NDArray[Any]]:
            return {"x": super().batch(start, stop, names)["x"] * 1e4}

    with pytest.raises(RequestError, match=r"in sample 3, is 70000\.0$") as caught:
        feed_batch(Large(), (Feed("input", "x", "float16", None),), 2, 5)
    assert caught.value.code == "data-out-of-range"


# -------------------------------------------------------------------------------- first_batch

FIRST = (Feed("i", "ids", "int64", None),)


@pytest.mark.parametrize(
    ("bad", "size", "expected"),
    [
        ([], 3, [0, 1, 2]),
        ([], 12, [*range(10), 0, 1]),
        ([0, 1, 3], 3, [2, 4, 5]),
        ([0, 1, 2, 3, 4, 5, 6, 7, 8], 2, [9, 9]),
        ([1], 1, [0]),
    ],
)
def test_the_first_that_can_be_read(bad: list[int], size: int, expected: list[int]) -> None:
    assert first_batch(Samples(bad=bad), FIRST, size)["i"].tolist() == expected


def test_samples_of_another_shape_are_no_part_of_it() -> None:
    class Growing(Samples):
        def batch(
            self, start: int, stop: int, names: Collection[str] | None = None
        ) -> dict[str, NDArray[Any]]:
            rows = super().batch(start, stop, names)["ids"]
            return {"ids": np.repeat(rows[:, np.newaxis], 1 + (start >= 2), axis=1)}

    assert first_batch(Growing(edges=[2]), FIRST, 4)["i"].tolist() == [[0], [1], [0], [1]]
    assert first_batch(Growing(bad=[0, 1], edges=[2]), FIRST, 2)["i"].tolist() == [[2, 2], [3, 3]]


def test_none_of_the_first_thousand() -> None:
    with pytest.raises(RequestError, match=r"first 1000 samples.*0: it is torn") as caught:
        first_batch(Samples(1200, bad=range(1100)), FIRST, 1)
    assert caught.value.code == "no-readable-samples"
    assert first_batch(Samples(1200, bad=range(999)), FIRST, 2)["i"].tolist() == [999, 1000]


def test_a_model_without_inputs_is_fed_nothing() -> None:
    assert first_batch(Samples(), (), 4) == {}
    assert feed_batch(Samples(), (), 0, 4) == {}
