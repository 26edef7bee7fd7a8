from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compaudit.models.torch import strided
from compaudit.models.torch.strided import Strided, contiguous_strides, masked, unpacked


def view(array, shape, strides, offset=0, dtype="float32", block="b"):
    raw = array.view(np.uint8).reshape(-1)
    return Strided(block, raw.nbytes, lambda: raw, dtype, shape, strides, offset)


def values(held):
    return np.concatenate([np.empty(0), *held.values()]).tolist()


NUMBERS = np.arange(24, dtype=np.float32)


def test_a_transposed_view_is_read_in_its_own_order():
    held = view(NUMBERS, (6, 4), (1, 6))
    assert values(held) == NUMBERS.reshape(4, 6).T.reshape(-1).tolist()


def test_a_column_slice_skips_what_is_not_its_own():
    assert values(view(NUMBERS, (2, 3), (12, 1), 1)) == [1, 2, 3, 13, 14, 15]


def test_a_fill_yields_its_one_value():
    held = view(NUMBERS, (1000, 1000), (0, 0), 5)
    assert held.is_fill
    assert values(held) == [5]


def test_booleans_are_read_as_bytes_since_they_may_hold_more_than_one():
    held = view(np.array([0, 1, 2, 255], np.uint8), (4,), (1,), dtype="bool")
    assert values(held) == [0, 1, 2, 255]


def test_an_unaligned_block_is_read():
    raw = np.frombuffer(b"x" + NUMBERS.tobytes(), np.uint8)[1:]
    held = Strided("b", raw.nbytes, lambda: raw, "float32", (24,), (1,))
    assert values(held) == NUMBERS.tolist()


def test_an_empty_tensor_yields_nothing():
    assert values(view(NUMBERS, (0, 3), (3, 1))) == []


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((25,), (1,), 0),
        ((24,), (1,), 1),
        ((2, 2), (24, 1), 0),
        ((2,), (-1,), 5),
        ((2,), (1,), -1),
        ((2,), (1, 1), 0),
        ((-1,), (1,), 0),
        ((2**40, 2**40), (2**40, 1), 0),
    ],
)
def test_what_reaches_outside_its_block_does_not_fit(shape, strides, offset):
    assert not view(NUMBERS, shape, strides, offset).fits


def test_many_elements_over_few_bytes_are_absurd():
    assert view(NUMBERS, (17 * 2**30,), (0,)).is_absurd
    assert not view(NUMBERS, (1000,), (0,)).is_absurd


@given(st.permutations(range(3)), st.integers(1, 40))
def test_chunks_join_to_the_whole_whatever_the_chunk(order, chunk):
    array = np.arange(2 * 3 * 5, dtype=np.int16).reshape(2, 3, 5)
    turned = array.transpose(order)
    strides = tuple(stride // 2 for stride in turned.strides)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strided, "CHUNK", chunk)
        held = view(array, turned.shape, strides, dtype="int16")
        chunks = [*held.values()]
    assert max(len(part) for part in chunks) <= chunk
    assert np.concatenate(chunks).tolist() == turned.reshape(-1).tolist()


def test_contiguous_strides():
    assert contiguous_strides((2, 3, 4)) == (12, 4, 1)
    assert contiguous_strides(()) == ()


def test_a_mask_multiplies_whatever_its_chunks():
    weights = [np.arange(1.0, 6.0), np.arange(6.0, 9.0)]
    masks = [np.array([True, False]), np.array([1, 1, 0, 1, 1, 0], np.uint8)]
    read = masked(lambda: iter(weights), lambda: iter(masks))
    assert np.concatenate([*read()]).tolist() == [1, 0, 3, 4, 0, 6, 7, 0]


def test_four_bit_elements_come_low_nibble_first():
    read = unpacked(lambda: np.array([0x21, 0x43], np.uint8), 4, 3)
    assert np.concatenate([*read()]).tolist() == [1, 2, 3]


def test_six_bit_elements_take_three_bytes_for_four():
    # 1, 2, 3, 63 in 6 bits each, lowest first: 0b111111_000011_000010_000001
    raw = np.frombuffer(0b111111000011000010000001.to_bytes(3, "little"), np.uint8)
    assert np.concatenate([*unpacked(lambda: raw, 6, 4)()]).tolist() == [1, 2, 3, 63]
