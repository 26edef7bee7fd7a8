from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compaudit.models.torch.ownership import place
from compaudit.models.torch.strided import Strided


def view(array, shape, strides, offset=0, dtype="float32", block="b"):
    raw = array.view(np.uint8).reshape(-1)
    return Strided(block, raw.nbytes, lambda: raw, dtype, shape, strides, offset)


NUMBERS = np.arange(24, dtype=np.float32)


def test_disjoint_views_keep_their_bytes():
    places = place({"a": view(NUMBERS, (8,), (1,)), "b": view(NUMBERS, (16,), (1,), 8)})
    assert [(p.bytes, p.tied_to) for p in places.values()] == [(32, None), (64, None)]


def test_the_same_view_twice_is_tied_to_the_first():
    places = place({"a": view(NUMBERS, (24,), (1,)), "b": view(NUMBERS, (24,), (1,))})
    assert places["a"].bytes == 96
    assert (places["b"].bytes, places["b"].tied_to) == (0, "a")


def test_a_part_is_tied_to_the_whole_whatever_the_order():
    places = place({"part": view(NUMBERS, (8,), (1,), 4), "whole": view(NUMBERS, (4, 6), (6, 1))})
    assert (places["part"].bytes, places["part"].tied_to) == (0, "whole")
    assert places["whole"].bytes == 96


def test_a_transpose_is_tied_too():
    places = place({"a": view(NUMBERS, (4, 6), (6, 1)), "t": view(NUMBERS, (6, 4), (1, 6))})
    assert places["t"].tied_to == "a"


def test_interleaved_columns_are_two_tensors():
    left, right = view(NUMBERS, (4, 3), (6, 1)), view(NUMBERS, (4, 3), (6, 1), 3)
    places = place({"left": left, "right": right})
    assert [(p.bytes, p.tied_to) for p in places.values()] == [(48, None), (48, None)]


def test_partly_shared_bytes_are_counted_once_and_said():
    places = place({"a": view(NUMBERS, (16,), (1,)), "b": view(NUMBERS, (16,), (1,), 8)})
    assert sum(p.bytes for p in places.values()) == 96
    assert places["b"].shared == 32
    assert places["b"].tied_to is None


def test_views_of_different_types_share_bytes():
    codes = view(NUMBERS, (96,), (1,), dtype="uint8")
    places = place({"floats": view(NUMBERS, (24,), (1,)), "codes": codes})
    assert places["codes"].tied_to == "floats"


def test_other_blocks_are_other_tensors():
    first, second = view(NUMBERS, (24,), (1,)), view(NUMBERS, (24,), (1,), block="other")
    assert all(p.tied_to is None for p in place({"a": first, "b": second}).values())


@given(st.data())
def test_bytes_add_up_to_the_union(data):
    views, taken = {}, np.zeros(24, bool)
    for name in "abcd":
        shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
        strides = data.draw(st.tuples(st.integers(0, 5), st.integers(0, 3)))
        held = view(NUMBERS, shape, strides, data.draw(st.integers(0, 4)))
        if held.fits:
            views[name] = held
            for row in range(shape[0]):
                for column in range(shape[1]):
                    taken[held.offset + row * strides[0] + column * strides[1]] = True
    places = place(views)
    assert sum(p.bytes for p in places.values()) == 4 * taken.sum()
    assert all(p.bytes == 0 for p in places.values() if p.tied_to)
