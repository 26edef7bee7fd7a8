"""Numbers that are computed when they are needed."""

from __future__ import annotations

import numpy as np
import pytest

from compaudit.models.huggingface.deferred import Deferred, FlatBlocks
from compaudit.models.quantized import Shared


def unexpected():
    raise AssertionError("computed")


def test_the_scheme_needs_no_numbers():
    by_rows = Deferred(unexpected, (4, 1), (1, 6))
    assert by_rows.scheme((4, 6)) == "per_channel"
    assert by_rows.block_of((4, 6)) == [1, 6]
    blocked = Deferred(unexpected, (4, 2), (1, 3))
    assert blocked.scheme((4, 6)) == "blocked"
    assert FlatBlocks(unexpected, 8, 3).scheme((4, 6)) == "blocked"
    assert FlatBlocks(unexpected, 8, 3).block_of((4, 6)) == [1, 3]


def test_the_numbers_are_those_of_a_shared():
    numbers = np.arange(8.0).reshape(4, 2)
    deferred = Deferred(lambda: numbers, (4, 2), (1, 3))
    assert np.array_equal(deferred.numbers, numbers)
    for start, length in ((0, 24), (5, 9), (23, 1), (7, 0)):
        expected = Shared(numbers, (1, 3)).at((4, 6), start, length)
        assert np.array_equal(deferred.at((4, 6), start, length), expected)
    assert deferred.only is None
    assert Deferred(lambda: np.ones((2, 2)), (2, 2), (1, 1)).only == 1


def test_they_are_computed_once_for_a_reader_and_forgotten_later():
    computed = []

    def one(place):
        def compute():
            computed.append(place)
            return np.full((1, 1), place)

        return Deferred(compute, (1, 1), (1, 1))

    first = one(0)
    for _ in range(3):
        assert first.numbers[0, 0] == 0
    assert computed == [0]
    others = [one(place) for place in range(1, 9)]
    assert [int(other.numbers[0, 0]) for other in others] == [*range(1, 9)]
    assert first.numbers[0, 0] == 0
    assert computed == [*range(9), 0]


@pytest.mark.parametrize("size", [1, 4, 5, 7, 64])
def test_blocks_over_the_ends_of_rows(size):
    """The element at the flat position i has the number of the block i // size."""
    shape, elements = (5, 7), 35
    numbers = np.arange(-(-elements // size), dtype=np.float32)
    blocks = FlatBlocks(lambda: numbers, len(numbers), size)
    for start in range(elements):
        for length in (0, 1, 8, elements - start):
            stop = min(start + length, elements)
            expected = [position // size for position in range(start, stop)]
            assert blocks.at(shape, start, stop - start).tolist() == expected
