"""Where zeros lie: matrices made by hand, and every figure recomputed element by element."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compaudit.measure.contents import contents_of
from compaudit.measure.patterns import Layout, Patterns, slabs
from compaudit.measure.sparsity import sparsity_of
from compaudit.models.base import Role, Tensor, Use
from compaudit.models.quantized import Quantization, Shared
from compaudit.results import Sparsity


def tensor(array: NDArray[Any], op: str = "", chunk: int = 1000, **details: Any) -> Tensor:
    flat = np.ascontiguousarray(array).reshape(-1)

    def read() -> Iterator[NDArray[Any]]:
        for start in range(0, len(flat), chunk):
            yield flat[start : start + chunk]

    facts: dict[str, Any] = {
        "role": Role.WEIGHT,
        "dtype": array.dtype.name,
        "shape": array.shape,
        "stored_elements": array.size,
        "bytes": array.nbytes,
        "values": read,
        "use": Use("node", op) if op else None,
        **details,
    }
    return Tensor("w", **facts)


def found(array: NDArray[Any], op: str = "", **details: Any) -> Sparsity | None:
    one = tensor(array, op, **details)
    (result,) = sparsity_of([one], contents_of([one]))
    return result


def sparsity(array: NDArray[Any], op: str = "", **details: Any) -> Sparsity:
    result = found(array, op, **details)
    assert result is not None
    return result


def normal(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def keep_largest(weights: NDArray[np.float32], n: int, m: int) -> NDArray[np.float32]:
    """Magnitude pruning to N of every M along the last axis, as one does it."""
    groups = weights.reshape(-1, m).copy()
    order = np.argsort(-np.abs(groups), axis=1)
    np.put_along_axis(groups, order[:, n:], 0, axis=1)
    return groups.reshape(weights.shape)


# ------------------------------------------------------------------------------------- n of m


@pytest.mark.parametrize(
    ("n", "m"), [(2, 4), (1, 4), (4, 8), (2, 8), (1, 8), (1, 16), (2, 16), (8, 16), (4, 16)]
)
def test_n_of_m_along_the_inputs(n: int, m: int) -> None:
    result = sparsity(keep_largest(normal(96, 128), n, m), "Gemm")
    assert (result.structure, result.n, result.m) == ("n_m", n, m)
    assert result.zeros == 96 * 128 * (m - n) // m


def test_the_inputs_of_a_matmul_are_its_rows() -> None:
    weights = np.ascontiguousarray(keep_largest(normal(96, 128), 2, 4).T)
    result = sparsity(weights, "MatMul")
    assert (result.structure, result.n, result.m) == ("n_m", 2, 4)


def test_the_inputs_of_a_convolution_are_its_channels() -> None:
    """Pruned along the channels, as NVIDIA's ASP does; along the kernels it is no pattern."""
    pruned = keep_largest(normal(32, 3, 3, 64), 2, 4)  # [out, height, width, in]
    result = sparsity(np.ascontiguousarray(pruned.transpose(0, 3, 1, 2)), "Conv")
    assert (result.structure, result.n, result.m) == ("n_m", 2, 4)


def test_a_convolution_pruned_along_its_rows() -> None:
    result = sparsity(keep_largest(normal(32, 64, 3, 3).reshape(32, -1), 1, 4))
    assert (result.n, result.m) == (1, 4)
    shaped = keep_largest(normal(32, 64, 3, 3).reshape(32, -1), 1, 4).reshape(32, 64, 3, 3)
    assert sparsity(shaped).structure == "n_m"


def test_one_group_too_full_is_no_pattern() -> None:
    weights = keep_largest(normal(96, 128), 2, 4)
    weights[50, 64:68] = 1
    result = sparsity(weights)
    assert (result.structure, result.n, result.m) == ("unstructured", None, None)


def test_what_only_two_of_four_can_use() -> None:
    two_of_four = sparsity(keep_largest(normal(96, 128), 2, 4)).usable
    assert "Ampere" in two_of_four
    assert sparsity(keep_largest(normal(96, 128), 1, 4)).usable == two_of_four
    # Four of eight may be four neighbours: the tensor cores cannot take it.
    weights = normal(96, 128)
    weights.reshape(-1, 8)[:, :4] = 0
    weights.reshape(-1, 8)[::2] = np.roll(weights.reshape(-1, 8)[::2], 1, axis=1)
    weights.reshape(-1, 8)[1::3] = np.roll(weights.reshape(-1, 8)[1::3], 3, axis=1)
    result = sparsity(weights)
    assert (result.structure, result.n, result.m) == ("n_m", 4, 8)
    assert "no common hardware" in result.usable


def test_an_axis_shorter_than_a_group_has_no_groups() -> None:
    """The first layer of a network for grey images: one input channel, kernels of 3×3."""
    weights = normal(32, 1, 3, 3)
    weights[:6, 0, 0, 0] = 0
    result = sparsity(weights, "Conv")
    assert (result.structure, result.n, result.m) == ("unstructured", None, None)


def test_very_sparse_fits_two_of_four_by_chance() -> None:
    """64 of 4,096 kept anywhere: 1,024 groups with C(4,3)·p³ ≈ 0.016 of them too full."""
    weights = np.zeros(4096, np.float32)
    weights[np.random.default_rng(3).permutation(4096)[:64]] = 1
    result = sparsity(weights.reshape(64, 64))
    assert result.structure == "unstructured"
    assert result.n is not None
    assert result.m is not None
    assert result.n / result.m <= 1 / 2
    assert "also fits 2:4" in result.usable


def test_half_of_all_anywhere_is_unstructured() -> None:
    weights = normal(200, 300)
    weights[np.random.default_rng(1).random((200, 300)) < 0.5] = 0
    result = sparsity(weights)
    assert (result.structure, result.n, result.block) == ("unstructured", None, None)
    assert result.zeros == np.count_nonzero(weights == 0)
    assert "no common runtime" in result.usable


# ----------------------------------------------------------------------------------- channels


def test_whole_channels() -> None:
    weights = normal(40, 24, 3, 3)
    weights[[1, 5, 39]] = 0
    weights[:, [0, 7]] = 0
    result = sparsity(weights, "Conv")
    assert result.structure == "channel"
    assert (result.zero_output_channels, result.zero_input_channels) == (3, 2)
    assert result.zeros == 3 * 24 * 9 + 37 * 2 * 9
    assert "removed" in result.usable


@pytest.mark.parametrize(
    ("op", "outputs", "inputs"), [("MatMul", 1, 2), ("ConvTranspose", 1, 2), ("Gemm", 2, 1)]
)
def test_which_axis_holds_the_outputs(op: str, outputs: int, inputs: int) -> None:
    weights = normal(30, 20)
    weights[[3, 4]] = 0
    weights[:, 11] = 0
    result = sparsity(weights, op)
    assert (result.zero_output_channels, result.zero_input_channels) == (outputs, inputs)


def test_one_dead_channel_of_many_is_seen() -> None:
    weights = normal(500, 64)
    weights[123] = 0  # 0.2 % of all
    result = sparsity(weights)
    assert (result.structure, result.zero_output_channels) == ("channel", 1)


def test_stacked_matrices_are_one() -> None:
    """An LSTM's weight, [directions, 4 x hidden, inputs]: each gate of each cell is a row."""
    weights = normal(2, 40, 12)
    weights[1, 5:9] = 0
    assert sparsity(weights, "LSTM").zero_output_channels == 4


def test_a_stack_of_matrices_is_no_convolution() -> None:
    """[2, 3, 16, 64] of a batched MatMul: 96 rows of 64, not 2 of 3 kernels of 16 by 64."""
    weights = normal(2, 3, 16, 64)
    weights[..., 7] = 0
    assert sparsity(weights, "MatMul").zero_output_channels == 1
    assert sparsity(normal(2, 3, 16, 64) * 0, "MatMul").zero_input_channels == 96


def test_rows_too_long_to_hold_are_not_looked_at() -> None:
    weights = np.ones((2, (1 << 18) + 1), np.float32)
    weights[0] = 0
    assert sparsity(weights, chunk=1 << 16).structure == "unstructured"


def test_zeros_everywhere() -> None:
    result = sparsity(np.zeros((30, 20), np.float32))
    assert (result.structure, result.zeros) == ("channel", 600)
    assert (result.zero_output_channels, result.zero_input_channels) == (30, 20)
    fill = tensor(np.zeros(1, np.float32), shape=(30, 20), fill=True)
    assert sparsity_of([fill], contents_of([fill])) == [result]


# ------------------------------------------------------------------------------------- blocks


@pytest.mark.parametrize(
    "block", [(4, 4), (8, 8), (16, 16), (32, 32), (64, 64), (1, 16), (1, 32), (32, 1), (8, 1)]
)
@pytest.mark.parametrize("shape", [(256, 320), (250, 310)])
def test_whole_blocks(block: tuple[int, int], shape: tuple[int, int]) -> None:
    grid = np.random.default_rng(2).random([-(-256 // block[0]), -(-320 // block[1])]) < 0.5
    zero = np.kron(grid, np.ones(block, np.bool_))[: shape[0], : shape[1]]
    weights = np.where(zero, np.float32(0), normal(*shape))
    result = sparsity(weights)
    assert (result.structure, result.block) == ("block", list(block))
    assert "block-sparse" in result.usable


def test_blocks_with_a_few_zeros_elsewhere() -> None:
    grid = np.random.default_rng(2).random((16, 20)) < 0.5
    weights = np.where(np.kron(grid, np.ones((16, 16))), 0, normal(256, 320))
    kept = np.random.default_rng(5).permutation(np.flatnonzero(weights))
    # 3 % of the zeros lie elsewhere: accidents. With 10 % they are no blocks any more.
    for share, structure in ((0.03, "block"), (0.1, "unstructured")):
        some = weights.copy()
        some.reshape(-1)[kept[: int(share * np.count_nonzero(weights == 0))]] = 0
        assert sparsity(some).structure == structure


def test_whole_kernels() -> None:
    weights = normal(32, 48, 3, 3)
    weights[np.random.default_rng(4).random((32, 48)) < 0.4] = 0
    result = sparsity(weights, "Conv")
    assert (result.structure, result.block) == ("block", [1, 9])


# ----------------------------------------------------------------------------- zeros as codes


def test_zero_points_are_zeros() -> None:
    codes = np.full((64, 64), 9, np.uint8)
    codes[keep_largest(normal(64, 64), 2, 4) == 0] = 7
    points = Quantization(None, Shared.one(np.uint8(7)))
    result = sparsity(codes, quantization=points)
    assert (result.structure, result.n, result.m) == ("n_m", 2, 4)
    assert sparsity(codes).structure == "dense"


def test_zero_points_of_the_rows() -> None:
    codes = np.tile(np.uint8([[1, 2], [2, 1]]), (32, 32))
    points = np.tile(np.uint8([1, 2]), 32)  # every row has its own 1, 2, 1, 2 …
    channels = Quantization(None, Shared.per_channel(points, 0, codes.shape))
    expected = codes == points[:, None]
    result = sparsity(codes, quantization=channels)
    assert result.zeros == expected.sum() == 2048
    assert result.zero_input_channels == np.count_nonzero(expected.all(axis=0)) == 32


# ----------------------------------------------------------------------------- what has none


def test_what_has_no_structure_to_tell() -> None:
    assert found(normal(10, 10), role=Role.BIAS) is None
    assert found(normal(10, 10), tied_to="v") is None
    assert found(normal(10, 10), values=None) is None
    dense = sparsity(normal(10, 10))
    assert (dense.structure, dense.zeros, dense.block) == ("dense", 0, None)
    vector = sparsity(np.float32([1, 0, 2, 0]))
    assert (vector.structure, vector.zeros) == ("unstructured", 2)


def test_a_tensor_stored_sparse() -> None:
    """100 x 100 with five stored values and their places: the rest is zero, and stored as that."""
    result = sparsity(np.ones(5, np.float32), shape=(100, 100), stored_elements=10, bytes=60)
    assert (result.structure, result.zeros) == ("unstructured", 9995)
    assert "values and places" in result.usable
    # As many values and places together as there are elements: still stored sparse.
    half = sparsity(np.ones(16, np.float32), shape=(4, 8), stored_elements=32, bytes=192)
    assert (half.structure, half.zeros, half.usable) == ("unstructured", 16, result.usable)


def test_dense_tensors_are_not_read_again() -> None:
    reads = []
    weights = normal(100, 100)
    weights[0, :3] = 0

    def read() -> Iterator[NDArray[Any]]:
        reads.append(1)
        yield weights.reshape(-1)

    one = tensor(weights, values=read)
    contents = contents_of([one])
    reads.clear()
    sparsity_of([one], contents)
    assert not reads


# ------------------------------------------------------------------- recomputed one by one


def brute_force(nonzero: NDArray[np.bool_], block: tuple[int, int]) -> int:
    rows, columns = nonzero.shape
    inside = 0
    for top, left in itertools.product(range(0, rows, block[0]), range(0, columns, block[1])):
        part = nonzero[top : top + block[0], left : left + block[1]]
        inside += 0 if part.any() else part.size
    return inside


def most_in_groups(nonzero: NDArray[np.bool_], group: int, axis: int) -> int:
    lines = np.moveaxis(nonzero, axis, -1)
    if lines.shape[-1] < group:
        return group
    return max(
        int(np.count_nonzero(lines[..., start : start + group], axis=-1).max())
        for start in range(0, lines.shape[-1], group)
    )


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 150),
    channels=st.integers(1, 40),
    kernel=st.sampled_from([1, 1, 1, 3, 9]),
    density=st.sampled_from([0.02, 0.3, 0.9]),
    seed=st.integers(0, 1000),
    slab=st.sampled_from([64, 128]),
    cut=st.integers(1, 2000),
)
def test_patterns_element_by_element(
    rows: int, channels: int, kernel: int, density: float, seed: int, slab: int, cut: int
) -> None:
    random = np.random.default_rng(seed)
    columns = channels * kernel
    nonzero = random.random((rows, columns)) < density
    nonzero[random.random(rows) < 0.2] = False
    nonzero.reshape(rows, channels, kernel)[:, random.random(channels) < 0.2] = False
    layout = Layout(rows, channels, kernel)
    seen = Patterns(layout)
    flat = nonzero.reshape(-1)
    pieces = (flat[start : start + cut] for start in range(0, len(flat), cut))
    for part in slabs(pieces, layout, slab):
        seen.add(part)
    assert seen.zero_rows == np.count_nonzero(~nonzero.any(axis=1))
    kernels = nonzero.reshape(rows, channels, kernel)
    assert seen.zero_channels == np.count_nonzero(~kernels.any(axis=(0, 2)))
    for block, inside in seen.in_blocks.items():
        assert inside == brute_force(nonzero, block), block
    for group in (4, 8, 16):
        other = most_in_groups(kernels, group, 1 if kernel > 1 else 0)
        assert seen.most_nonzeros(group) == min(most_in_groups(nonzero, group, 1), other)
