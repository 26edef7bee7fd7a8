"""SQNR against the plain formula over whole arrays; products against PyTorch's and NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compaudit.measure.layers.weights import (
    Difference,
    Weights,
    composed,
    difference,
    scaled,
    weights_of,
)
from compaudit.models.base import Role, Tensor
from compaudit.models.quantized import Quantization, Shared


def decibels(original: np.ndarray, compressed: np.ndarray) -> float:
    a, b = original.astype(np.float64), compressed.astype(np.float64)
    return float(10 * np.log10((a**2).sum() / ((a - b) ** 2).sum()))


def test_one_bit_less_costs_six_decibels(kit, random) -> None:
    """A uniform quantiser of b bits over [−1, 1] has 6.02 b dB on uniform values."""
    values = random.uniform(-1, 1, 100_000)
    sqnr = {}
    for bits in (4, 8):
        step = 2.0 ** (1 - bits)
        coarse = (np.floor(values / step) + 0.5) * step
        found = difference(kit.weights(values, 999), kit.weights(coarse, 1000))
        sqnr[bits] = found.sqnr_db
    assert sqnr[4] == pytest.approx(6.02 * 4, abs=0.1)
    assert sqnr[8] == pytest.approx(6.02 * 8, abs=0.1)


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 200))
def test_chunks_of_any_size_give_the_same(left: int, right: int, size: int) -> None:
    random = np.random.default_rng(size)
    a, b = random.normal(size=size), random.normal(size=size)

    def weights(array: np.ndarray, chunk: int) -> Weights:
        return Weights((size,), lambda: iter(np.array_split(array, -(-max(size, 1) // chunk))))

    found = difference(weights(a, left), weights(b, right))
    assert found is not None
    assert found.signal == pytest.approx((a**2).sum())
    assert found.noise == pytest.approx(((a - b) ** 2).sum())


def test_equal_weights_have_no_noise_and_no_decibels(kit) -> None:
    found = difference(kit.weights(np.ones((2, 3))), kit.weights(np.ones((2, 3))))
    assert found == Difference(6.0, 0.0)
    assert found.is_none
    assert found.sqnr_db is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_has_no_decibels(kit, bad: float) -> None:
    found = difference(kit.weights(np.ones(3)), kit.weights(np.array([1.0, 1.0, bad])))
    assert found.sqnr_db is None
    assert not found.is_none


def test_a_matrix_stored_the_other_way_is_turned(kit, random) -> None:
    matrix = random.normal(size=(4, 7))
    noisy = matrix + 0.01 * random.normal(size=(4, 7))
    expected = decibels(matrix, noisy)
    assert difference(kit.weights(matrix), kit.weights(noisy)).sqnr_db == pytest.approx(expected)
    assert difference(kit.weights(matrix), kit.weights(noisy.T)).sqnr_db == pytest.approx(expected)


def test_a_square_matrix_is_turned_where_that_brings_it_near(kit, random) -> None:
    matrix = random.normal(size=(6, 6))
    noisy = matrix + 0.01 * random.normal(size=(6, 6))
    expected = decibels(matrix, noisy)
    assert difference(kit.weights(matrix), kit.weights(noisy.T)).sqnr_db == pytest.approx(expected)
    assert difference(kit.weights(matrix), kit.weights(noisy)).sqnr_db == pytest.approx(expected)


def test_other_shapes_are_not_compared(kit) -> None:
    assert difference(kit.weights(np.ones((2, 3))), kit.weights(np.ones((2, 4)))) is None
    assert difference(kit.weights(np.ones((2, 3, 4))), kit.weights(np.ones((4, 3, 2)))) is None


def test_onnx_writes_a_direction_before_recurrent_weights(kit, random) -> None:
    matrix = random.normal(size=(4, 7))
    assert difference(kit.weights(matrix), kit.weights(matrix[None])).is_none


def test_a_normalisation_folds_into_the_output_channels(kit, random) -> None:
    weight, factors = random.normal(size=(4, 3, 2)), random.uniform(0.5, 2, 4)
    folded = scaled(kit.weights(weight), factors, 0).array()
    assert np.allclose(folded, weight * factors[:, None, None])


@pytest.mark.parametrize("turns", [(False, False), (True, False), (False, True), (True, True)])
def test_two_matrices_make_a_whole_however_they_are_stored(kit, random, turns) -> None:
    first, second = random.normal(size=(2, 7)), random.normal(size=(5, 2))  # [r, in], [out, r]
    stored = [
        kit.weights(matrix.T if turn else matrix)
        for matrix, turn in zip((first, second), turns, strict=True)
    ]
    for whole in (second @ first, (second @ first).T):
        products = composed(stored, whole.shape)
        assert any(np.allclose(product.array(), whole) for product in products)


@pytest.mark.torch
@pytest.mark.parametrize("kernels", [((3, 1), (1, 3)), ((1, 1), (3, 3)), ((2, 3), (3, 2))])
def test_two_kernels_make_the_one_that_pytorch_computes(kit, kernels) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    first = torch.randn(4, 3, *kernels[0], dtype=torch.float64)
    second = torch.randn(5, 4, *kernels[1], dtype=torch.float64)
    image = torch.randn(1, 3, 9, 9, dtype=torch.float64)
    sizes = [a + b - 1 for a, b in zip(*kernels, strict=True)]
    (product,) = composed([kit.weights(first.numpy()), kit.weights(second.numpy())], (5, 3, *sizes))
    in_two = torch.conv2d(torch.conv2d(image, first), second)
    in_one = torch.conv2d(image, torch.from_numpy(product.array()))
    assert torch.allclose(in_two, in_one)


def test_factors_that_do_not_fit_make_nothing(kit) -> None:
    assert composed([kit.weights(np.ones((2, 7))), kit.weights(np.ones((5, 3)))], (5, 7)) == []


# -------------------------------------------------------------------- from stored tensors


def stored(array: np.ndarray, **changes) -> Tensor:
    dtype = array.dtype.name
    values = changes.pop("values", lambda: iter([array.reshape(-1)]))
    shape = changes.pop("shape", array.shape)
    return Tensor("w", Role.WEIGHT, dtype, shape, array.size, array.nbytes, values, **changes)


def test_codes_are_dequantised() -> None:
    quantization = Quantization(
        Shared.per_channel(np.float32([0.5, 2]), 0, (2, 2)), Shared.one(np.int8(1))
    )
    weights = weights_of(stored(np.int8([[1, 3], [0, 2]]), quantization=quantization))
    assert weights.array().tolist() == [[0.0, 1.0], [-2.0, 2.0]]


def test_a_fill_is_repeated() -> None:
    tensor = stored(np.float32([0.5]), fill=True, shape=(3, 2))
    assert weights_of(tensor).array().tolist() == [[0.5, 0.5]] * 3


@pytest.mark.parametrize(
    "tensor",
    [
        stored(np.int8([1, 2])),  # codes of nobody knows what
        stored(np.int8([1, 2]), quantization=Quantization()),  # their scale is not stored
        stored(np.float32([1]), values=None),
        stored(np.float32([1, 2]), shape=(4,)),  # sparse: values without their places
    ],
)
def test_weights_that_are_not_known(tensor: Tensor) -> None:
    assert weights_of(tensor) is None
