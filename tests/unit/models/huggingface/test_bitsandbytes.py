"""bitsandbytes folders, as its QuantState and Linear8bitLt are saved."""

from __future__ import annotations

import json

import ml_dtypes
import numpy as np
import pytest

from compaudit.models.base import Role

# QLoRA (arXiv 2305.14314), appendix E.
NF4 = np.array(
    [
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
        *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
        *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
        *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ],
    np.float32,
)
# A sign and three bits of magnitude; the largest is 1.
FP4 = np.array([0, 0.0625, 8, 12, 4, 6, 2, 3, 0, -0.0625, -8, -12, -4, -6, -2, -3]) / 12
FP4 = FP4.astype(np.float32)


def halves(codes):
    """Two codes to a byte, the first in the high half; [bytes, 1]."""
    flat = [*codes.reshape(-1).tolist(), 0][: codes.size + codes.size % 2]
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return np.array([[first << 4 | second] for first, second in pairs], np.uint8)


def quant_state(shape, block, **more):
    state = {"quant_type": "nf4", "blocksize": block, "dtype": "bfloat16", "shape": list(shape)}
    return np.frombuffer(json.dumps({**state, **more}).encode(), np.uint8)


def four_bits(random, shape, block=64, table=NF4, kind="nf4"):
    """The tensors of one weight, and the numbers that it stands for."""
    codes = random.integers(0, 16, shape)
    absmax = random.uniform(0.5, 2, -(-codes.size // block)).astype(np.float32)
    tensors = {
        "q.weight": halves(codes),
        "q.weight.absmax": absmax,
        "q.weight.quant_map": table,
        f"q.weight.quant_state.bitsandbytes__{kind}": quant_state(shape, block),
    }
    real = table[codes.reshape(-1)].astype(np.float64)
    real *= np.repeat(absmax.astype(np.float64), block)[: codes.size]
    return tensors, codes, real.reshape(shape)


CONFIG = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize(("table", "kind"), [(NF4, "nf4"), (FP4, "fp4")])
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((8, 128), id="blocks within rows"),
        pytest.param((6, 40), id="blocks over the ends of rows"),
        pytest.param((5, 13), id="an odd number of weights"),
        pytest.param((3, 4, 64), id="three axes"),
    ],
)
def test_four_bits(kit, real, table, kind, shape):
    tensors, codes, expected = four_bits(kit.random, shape, table=table, kind=kind)
    kit.write(tensors, CONFIG)
    weight = kit.tensors()["q.weight"]
    assert (weight.dtype, weight.shape, weight.role) == ("uint4", shape, Role.WEIGHT)
    assert weight.bytes == -(-codes.size // 2)
    assert np.concatenate([*weight.values()]).tolist() == codes.reshape(-1).tolist()
    assert np.array_equal(real(weight), expected)
    assert weight.quantization.scheme(shape) == "blocked"
    assert weight.quantization.block_of(shape) == [*[1] * (len(shape) - 1), 64]


def test_all_that_serves_a_weight_is_quantization(kit):
    """Zeros are the codes of the table's zero: 7 in NF4."""
    tensors, codes, _ = four_bits(kit.random, (8, 128))
    kit.write({**tensors, "q.bias": np.ones(8, np.float16)}, CONFIG)
    ledger = kit.ledger()
    assert ledger.parameters == 8 * 128 + 8
    assert ledger.nonzero_parameters == np.count_nonzero(codes != 7) + 8
    roles = {row.name: row.role for row in ledger.tensors}
    assert roles.pop("q.weight") == "weight"
    assert roles.pop("q.bias") == "bias"
    assert set(roles.values()) == {"quantization"}
    state = tensors["q.weight.quant_state.bitsandbytes__nf4"]
    assert ledger.weight_bytes == 512 + 16 * 4 + 16 * 4 + state.size + 16


@pytest.mark.usefixtures("chunks")
def test_double_quantisation(kit, real):
    """The maxima are codes of a table, scaled by blocks of 256 and moved by an offset."""
    shape, block, nested = (20, 1280), 64, 256  # 400 maxima: one block of 256 and a rest of 144
    tensors, codes, _ = four_bits(kit.random, shape)
    maxima = kit.random.integers(0, 256, 400).astype(np.uint8)
    table = np.sort(kit.random.uniform(-1, 1, 256)).astype(np.float32)
    scales = np.array([0.25, 0.5], np.float32)
    tensors["q.weight.absmax"] = maxima
    tensors["q.weight.nested_absmax"] = scales
    tensors["q.weight.nested_quant_map"] = table
    tensors["q.weight.quant_state.bitsandbytes__nf4"] = quant_state(
        shape, block, nested_blocksize=nested, nested_dtype="float32", nested_offset=0.75
    )
    kit.write(tensors, {**CONFIG, "bnb_4bit_use_double_quant": True})
    # In float32, as bitsandbytes computes them; halves and quarters are exact in any order.
    absmax = [table[code] * scales[place // nested] for place, code in enumerate(maxima)]
    absmax = np.array([np.float32(value + np.float32(0.75)) for value in absmax], np.float64)
    expected = NF4[codes.reshape(-1)].astype(np.float64) * np.repeat(absmax, block)
    assert np.array_equal(real(kit.tensors()["q.weight"]), expected.reshape(shape))


def test_bytes_held_in_another_type(kit, real):
    """``bnb_4bit_quant_storage``: the same bytes called bfloat16."""
    tensors, _, expected = four_bits(kit.random, (8, 128))
    tensors["q.weight"] = tensors["q.weight"].reshape(-1).view(ml_dtypes.bfloat16).reshape(-1, 1)
    kit.write(tensors, CONFIG)
    weight = kit.tensors()["q.weight"]
    assert (weight.dtype, weight.shape, weight.bytes) == ("uint4", (8, 128), 512)
    assert np.array_equal(real(weight), expected)


def test_int8(kit, real):
    """The code 127 stands for a row's largest magnitude."""
    codes = kit.random.integers(-127, 128, (6, 10)).astype(np.int8)
    largest = kit.random.uniform(0.1, 3, 6).astype(np.float32)
    tensors = {
        "q.weight": codes,
        "q.SCB": largest,
        "q.weight_format": np.zeros((), np.uint8),
        "norm.weight": np.ones(10, np.float16),
    }
    kit.write(tensors, {"quant_method": "bitsandbytes", "load_in_8bit": True})
    weight = kit.tensors()["q.weight"]
    assert (weight.dtype, weight.shape) == ("int8", (6, 10))
    assert np.array_equal(real(weight), codes * (largest.astype(np.float64) / 127)[:, None])
    assert kit.ledger().parameters == 70
    kit.write({**tensors, "q.weight_format": np.ones((), np.uint8)}, CONFIG)
    assert "q.weight is stored in the order of a GPU kernel" in kit.uncounted()


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"no json",
        b"[]",
        b"[" * 60_000,
        b'{"blocksize": 64}',
        b'{"blocksize": 64, "shape": [8, "128"]}',
        b'{"blocksize": 64, "shape": [8, -128]}',
        b'{"blocksize": 64, "shape": [8, true]}',
        b'{"blocksize": 64, "shape": [8, 256]}',
        b'{"blocksize": 64, "shape": [1099511627776, 1099511627776]}',
        b'{"blocksize": 32, "shape": [8, 128]}',
        b'{"blocksize": 0, "shape": [8, 128]}',
        b'{"blocksize": "64", "shape": [8, 128]}',
        b'{"shape": [8, 128]}' + b" " * 70_000,
    ],
)
def test_a_broken_state(kit, state):
    tensors, _, _ = four_bits(kit.random, (8, 128))
    tensors["q.weight.quant_state.bitsandbytes__nf4"] = np.frombuffer(state, np.uint8)
    kit.write(tensors, CONFIG)
    assert "q.weight" in kit.uncounted()


def test_no_weights_at_all(kit):
    tensors, _, _ = four_bits(kit.random, (0, 64))
    state = quant_state((0, 1 << 60), 64)
    kit.write({**tensors, "q.weight.quant_state.bitsandbytes__nf4": state}, CONFIG)
    weight = kit.tensors()["q.weight"]
    assert (weight.shape, weight.bytes, weight.quantization) == ((0, 1 << 60), 0, None)
    assert kit.ledger().parameters == 0


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("q.weight.absmax", np.ones(15, np.float32)),
        ("q.weight.absmax", np.ones(16, np.uint8)),
        ("q.weight.quant_map", np.ones(15, np.float32)),
        ("q.weight.nested_absmax", np.ones(1, np.float32)),
        ("q.weight.quant_map", None),
        ("q.weight.absmax", None),
        ("q.weight.quant_state.bitsandbytes__nf4", None),
    ],
)
def test_parts_that_do_not_fit(kit, name, array):
    tensors, _, _ = four_bits(kit.random, (8, 128))
    tensors[name] = array
    kit.write({key: value for key, value in tensors.items() if value is not None}, CONFIG)
    assert "q.weight" in kit.uncounted()
