"""Scales and zero points against what NumPy and ONNX's own reference give for the whole array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from onnx.reference import ReferenceEvaluator

from compaudit.models.quantized import Quantization, Shared

SHAPE = (3, 5, 4)


def whole(shared: Shared, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.broadcast_to(shared.at(shape, 0, int(np.prod(shape))), int(np.prod(shape)))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_one_number_a_channel(axis: int) -> None:
    numbers = np.arange(SHAPE[axis]) + 10
    expected = np.broadcast_to(
        np.moveaxis(np.broadcast_to(numbers, (1, 1, SHAPE[axis])), 2, axis), SHAPE
    )
    shared = Shared.per_channel(numbers, axis, SHAPE)
    assert np.array_equal(whole(shared), expected.reshape(-1))
    assert shared.scheme(SHAPE) == "per_channel"


@pytest.mark.parametrize(("axis", "block"), [(0, 2), (1, 2), (2, 3), (-1, 4)])
def test_one_number_a_block(axis: int, block: int) -> None:
    counts = list(SHAPE)
    counts[axis] = -(-SHAPE[axis] // block)
    numbers = np.arange(np.prod(counts)).reshape(counts)
    expected = numbers.repeat(block, axis).take(range(SHAPE[axis]), axis)
    shared = Shared.blocked(numbers, axis, block)
    assert np.array_equal(whole(shared), expected.reshape(-1))
    assert shared.scheme(SHAPE) == "blocked"
    assert shared.block_of(SHAPE)[axis] == block


def test_square_blocks() -> None:
    """DeepSeek's float8 weights have one scale for each square."""
    numbers = np.array([[1, 2], [3, 4]])
    shared = Shared(numbers, (2, 3))
    assert whole(shared, (3, 4)).reshape(3, 4).tolist() == [
        [1, 1, 1, 2],
        [1, 1, 1, 2],
        [3, 3, 3, 4],
    ]
    assert shared.block_of((3, 4)) == [2, 3]


def test_groups_in_any_order() -> None:
    """GPTQ's ``g_idx``: rows 0, 2 and 3 are in group 1, row 1 is in group 0."""
    shared = Shared(np.array([[10, 20], [30, 40]]), (np.array([1, 0, 1, 1]), 1))
    assert whole(shared, (4, 2)).reshape(4, 2).tolist() == [[30, 40], [10, 20], [30, 40], [30, 40]]
    assert shared.scheme((4, 2)) == "blocked"


def test_one_number_for_all() -> None:
    shared = Shared.one(7)
    assert (shared.only, shared.scheme(SHAPE), shared.block_of(SHAPE)) == (
        7,
        "per_tensor",
        [3, 5, 4],
    )
    assert Shared.per_channel(np.array([2, 2, 2]), 0, SHAPE).only == 2
    assert Shared.per_channel(np.array([2, 2, 3]), 0, SHAPE).only is None


@given(
    start=st.integers(0, 59),
    length=st.integers(0, 60),
    axis=st.integers(0, 2),
    block=st.integers(1, 5),
)
def test_any_part_is_that_part_of_the_whole(start: int, length: int, axis: int, block: int) -> None:
    length = min(length, 60 - start)
    counts = list(SHAPE)
    counts[axis] = -(-SHAPE[axis] // block)
    shared = Shared.blocked(np.random.default_rng(0).integers(0, 99, counts), axis, block)
    part = np.broadcast_to(shared.at(SHAPE, start, length), length)
    assert np.array_equal(part, whole(shared)[start : start + length])


def test_a_row_too_long_to_expand(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.arange(30).reshape(3, 5, 2)
    shared = Shared.blocked(numbers, 2, 2)
    expected = whole(shared)
    monkeypatch.setattr("compaudit.models.quantized._LONGEST_ROW", 3)
    assert np.array_equal(whole(shared), expected)
    assert np.array_equal(shared.at(SHAPE, 7, 20), expected[7:27])


@pytest.mark.parametrize(
    ("scale", "zero", "settings"),
    [
        (np.float32(0.5), np.int8(3), {}),
        (np.float32([0.5, 2, 4]), np.int8([1, -2, 0]), {"axis": 0}),
        (np.float32([0.5, 2, 4, 1]), np.int8([1, -2, 0, 7]), {"axis": -1}),
        (
            np.arange(1, 7, dtype=np.float32).reshape(3, 2),
            np.int8([[1, 2], [3, 4], [5, 6]]),
            {"axis": 1, "block_size": 2},
        ),
    ],
)
def test_values_are_those_of_dequantize_linear(scale, zero, settings) -> None:
    codes = np.random.default_rng(1).integers(-128, 128, (3, 4)).astype(np.int8)
    node = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], **settings)
    (expected,) = ReferenceEvaluator(node).run(None, {"q": codes, "s": scale, "z": zero})

    def shared(numbers: np.ndarray) -> Shared:
        if "block_size" in settings:
            return Shared.blocked(numbers, settings["axis"], settings["block_size"])
        if "axis" in settings:
            return Shared.per_channel(numbers, settings["axis"], codes.shape)
        return Shared.one(numbers)

    quantization = Quantization(shared(scale), shared(zero))
    flat = codes.reshape(-1)
    assert np.array_equal(quantization.values(flat, codes.shape, 0), expected.reshape(-1))
    assert np.array_equal(quantization.nonzero(flat, codes.shape, 0), expected.reshape(-1) != 0)
    later = quantization.values(flat[5:11], codes.shape, 5)
    assert np.array_equal(later, expected.reshape(-1)[5:11])


def test_a_codebook_gives_the_numbers() -> None:
    book = np.array([-1.0, 0.0, 0.25, 1.0])
    quantization = Quantization(Shared.one(2.0), codebook=book)
    codes = np.uint8([0, 1, 2, 3, 1])
    assert quantization.values(codes, (5,), 0).tolist() == [-2.0, 0.0, 0.5, 2.0, 0.0]
    assert np.count_nonzero(quantization.nonzero(codes, (5,), 0)) == 3
    assert quantization.is_symmetric("uint2", 2)


def test_without_a_scale_there_are_no_values() -> None:
    assert Quantization(zero_point=Shared.one(3)).values(np.int8([1]), (1,), 0) is None


@pytest.mark.parametrize(
    ("dtype", "bits", "zero", "symmetric"),
    [
        ("int8", 8, None, True),
        ("int8", 8, np.int8([0]), True),
        ("int8", 8, np.int8([1]), False),
        ("uint8", 8, None, False),
        ("uint8", 8, np.uint8([128]), True),
        ("uint4", 4, np.uint8([8]), True),
        ("uint4", 4, np.uint8([7]), False),
    ],
)
def test_symmetric_means_zero_in_the_middle_of_the_codes(dtype, bits, zero, symmetric) -> None:
    shared = None if zero is None else Shared.one(zero)
    assert Quantization(zero_point=shared).is_symmetric(dtype, bits) is symmetric
