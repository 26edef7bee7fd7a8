"""The ends of outputs, against numpy over all samples at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from compaudit.measure.extremes import ExtremeCount


def counted(*batches: NDArray[np.generic]) -> ExtremeCount:
    count = ExtremeCount()
    for batch in batches:
        count.update(batch)
    return count


def test_what_is_clipped_is_counted() -> None:
    """By hand: three of the eight are 2, one is −1."""
    found = counted(np.float32([2, 0, -1, 2]), np.float32([1, 0.5, 2, 1])).result()
    assert found is not None
    assert (found.lowest, found.at_lowest) == (-1, 1)
    assert (found.highest, found.at_highest) == (2, 3)
    assert found.elements == 8


@given(
    arrays.arrays(np.int8, st.integers(1, 60), elements=st.integers(-3, 3)),
    st.lists(st.integers(0, 60), max_size=4),
    st.integers(0, 5),
)
def test_batches_and_parts_give_the_whole(
    values: NDArray[np.int8], cuts: list[int], part: int
) -> None:
    batches = np.split(values, sorted(min(cut, len(values)) for cut in cuts))
    first, second = counted(*batches[:part]), counted(*batches[part:])
    first.merge(second)
    for found in (first.result(), counted(*batches).result()):
        assert found is not None
        assert found.elements == len(values)
        assert (found.lowest, found.highest) == (values.min(), values.max())
        assert found.at_lowest == np.count_nonzero(values == values.min())
        assert found.at_highest == np.count_nonzero(values == values.max())


@pytest.mark.parametrize(
    "values",
    [
        np.array([], dtype=np.float32),
        np.array(["a", "b"], dtype=object),
        np.array([1j, 2]),
        np.array([True, False]),
        np.array([1.0, -np.inf]),  # a masked class is no end
        np.array([np.nan, np.nan]),
    ],
)
def test_what_has_no_ends(values: NDArray[np.generic]) -> None:
    assert counted(values).result() is None


def test_nan_in_one_batch_leaves_the_others() -> None:
    found = counted(np.array([np.nan, 7.0]), np.array([1.0, 2.0])).result()
    assert found is not None
    assert (found.lowest, found.highest) == (1, 2)
