"""Layouts with one thing wrong: a ledger whose bytes are right, or one clear error; no surprise."""

from __future__ import annotations

import json
import math

import ml_dtypes
import numpy as np
import pytest

HALF, INT, BYTE = np.float16, np.int32, np.uint8
TYPES = [HALF, INT, BYTE, np.int8, np.int16, np.int64, np.float32, ml_dtypes.float8_e4m3fn]
SIZES = [0, 1, 2, 3, 4, 8, 16, 31, 32, 64]
JUNK = [None, True, -1, 0, 1, 3, 4, 8, 1 << 70, 0.5, math.inf, "", "four", [], [128], {}, {"a": {}}]
CASES = 40


def state(**values):
    return np.frombuffer(json.dumps(values).encode(), BYTE)


def groups(bits, kind):
    weights = {"num_bits": bits, "type": "int", "group_size": 16, "block_structure": None}
    return {
        "quant_method": "compressed-tensors",
        "format": kind,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
    }


LAYOUTS = {
    "gptq": (
        {
            "q.qweight": np.ones((8, 32), INT),
            "q.scales": np.ones((4, 32), HALF),
            "q.qzeros": np.ones((4, 4), INT),
            "q.g_idx": np.arange(64, dtype=INT) // 16,
        },
        {"quant_method": "gptq", "bits": 4, "group_size": 16, "dynamic": {"a": {"bits": 8}}},
    ),
    "awq": (
        {
            "q.qweight": np.ones((64, 4), INT),
            "q.scales": np.ones((4, 32), HALF),
            "q.qzeros": np.ones((4, 4), INT),
        },
        {"quant_method": "awq", "bits": 4, "group_size": 16, "version": "gemm"},
    ),
    "gemv": (
        {
            "q.qweight": np.ones((32, 8), INT),
            "q.scales": np.ones((32, 8), HALF),
            "q.qzeros": np.ones((32, 1), INT),
        },
        {"quant_method": "awq", "bits": 4, "group_size": 16, "version": "gemv"},
    ),
    "packed": (
        {
            "q.weight_packed": np.ones((32, 8), INT),
            "q.weight_scale": np.ones((32, 4), HALF),
            "q.weight_shape": np.array([32, 64]),
            "q.weight_zero_point": np.ones((4, 4), INT),
            "q.weight_g_idx": np.arange(64, dtype=INT) // 16,
        },
        groups(4, "pack-quantized"),
    ),
    "bytes": (
        {
            "q.weight": np.ones((32, 64), np.int8),
            "q.weight_scale": np.ones((32, 1), HALF),
            "q.weight_zero_point": np.ones((32, 1), np.int8),
            "q.weight_g_idx": np.zeros(64, INT),
        },
        groups(8, "int-quantized"),
    ),
    "nvfp4": (
        {
            "q.weight_packed": np.ones((32, 32), BYTE),
            "q.weight_scale": np.ones((32, 4), ml_dtypes.float8_e4m3fn),
            "q.weight_global_scale": np.ones(1, np.float32),
        },
        groups(4, "nvfp4-pack-quantized"),
    ),
    "pruned": (
        {
            "q.compressed": np.ones((32, 32), HALF),
            "q.bitmask": np.full((32, 8), 0x55, BYTE),
            "q.shape": np.array([[32], [64]]),
            "q.weight_scale": np.ones((1, 1), HALF),
        },
        groups(4, "dense"),
    ),
    "nf4": (
        {
            "q.weight": np.ones((1024, 1), BYTE),
            "q.weight.absmax": np.ones(32, BYTE),
            "q.weight.quant_map": np.ones(16, np.float32),
            "q.weight.nested_absmax": np.ones(2, np.float32),
            "q.weight.nested_quant_map": np.ones(256, np.float32),
            "q.weight.quant_state.bitsandbytes__nf4": state(
                shape=[32, 64], blocksize=64, nested_blocksize=16, nested_offset=0.5
            ),
        },
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
    ),
    "int8": (
        {
            "q.weight": np.ones((32, 64), np.int8),
            "q.SCB": np.ones(32, np.float32),
            "q.weight_format": np.zeros((), BYTE),
        },
        {"quant_method": "bitsandbytes", "load_in_8bit": True},
    ),
    "fp8": (
        {
            "q.weight": np.ones((32, 64), ml_dtypes.float8_e4m3fn),
            "q.weight_scale_inv": np.ones((2, 4), np.float32),
        },
        {"quant_method": "fp8", "weight_block_size": [16, 16]},
    ),
    "mxfp4": (
        {"e.up_blocks": np.ones((2, 8, 2, 16), BYTE), "e.up_scales": np.ones((2, 8, 2), BYTE)},
        {"quant_method": "mxfp4"},
    ),
}
WEIGHTS = {"mxfp4": 1024}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_in_order_before_anything_is_done_to_it(kit, name):
    tensors, config = LAYOUTS[name]
    kit.write(tensors, config)
    assert sum(t.logical_elements for t in kit.tensors().values() if t.role == "weight") == (
        WEIGHTS.get(name, 2048)
    )


@pytest.mark.parametrize("name", LAYOUTS)
def test_one_thing_wrong(kit, name):
    random = np.random.default_rng([*name.encode()])
    for _ in range(CASES):
        tensors, config = changed(random, *LAYOUTS[name])
        kit.write(tensors, config)
        ledger = kit.ledger()
        assert sum(row.bytes for row in ledger.tensors) == kit.data_bytes()
        assert ledger.parameters is not None or ledger.uncounted is not None
        for tensor in kit.read().tensors:
            dequantise(tensor)


def changed(random, tensors, config):
    """The layout with a tensor or a setting replaced by something else, or left out."""
    tensors, config = dict(tensors), json.loads(json.dumps(config))
    if random.random() < 0.3:
        place = config
        while True:
            key = str(random.choice(sorted(place)))
            if not isinstance(place[key], dict) or not place[key] or random.random() < 0.3:
                break
            place = place[key]
        place[key] = JUNK[random.integers(len(JUNK))]
        return tensors, config
    for _ in range(random.integers(1, 3)):
        name = str(random.choice(sorted(tensors)))
        array = tensors[name]
        match random.integers(5):
            case 0:
                tensors.pop(name)
                if not tensors:
                    tensors["a.weight"] = np.ones(3, HALF)
            case 1:
                with np.errstate(all="ignore"):
                    tensors[name] = array.astype(TYPES[random.integers(len(TYPES))])
            case 2:
                noise = random.integers(0, 256, array.nbytes, dtype=BYTE)
                tensors[name] = noise.view(array.dtype).reshape(array.shape)
            case _:
                shape = tuple(random.choice(SIZES, random.integers(0, 4)).tolist())
                tensors[name] = np.ones(shape, TYPES[random.integers(len(TYPES))])
    return tensors, config


def dequantise(tensor):
    """Everything that is asked of a tensor's quantisation."""
    if tensor.quantization is None or tensor.values is None:
        return
    tensor.quantization.scheme(tensor.shape)
    tensor.quantization.block_of(tensor.shape)
    tensor.quantization.is_symmetric(tensor.dtype, tensor.bits)
    start = 0
    with np.errstate(all="ignore"):  # scales of noise are infinite here and there
        for chunk in tensor.values():
            tensor.quantization.values(chunk, tensor.shape, start)
            start += len(chunk)
    assert start == tensor.stored_elements
