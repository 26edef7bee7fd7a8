"""GPTQ folders, packed as AutoGPTQ's QuantLinear.pack describes it."""

from __future__ import annotations

import numpy as np
import pytest

from compaudit.models.base import Role

OUT, IN, GROUP = 32, 64, 16


def quantised(random, bits, *, order=None, inputs=IN):
    """Codes [out, in], scales and zero points [out, groups], and the group of each input."""
    groups = -(-inputs // GROUP)
    index = np.arange(inputs) // GROUP if order is None else order
    codes = random.integers(0, 1 << bits, (OUT, inputs))
    zeros = random.integers(1, 1 << bits, (OUT, groups))
    scales = random.uniform(0.01, 0.1, (OUT, groups)).astype(np.float16)
    return codes, scales, zeros, index


def stored(pack, bits, codes, scales, zeros, index, *, taken=1, name="layers.0.q_proj"):
    """The four tensors of a layer."""
    return {
        f"{name}.qweight": np.ascontiguousarray(pack(codes.T.T, bits).T),
        f"{name}.qzeros": pack((zeros - taken).T, bits),
        f"{name}.scales": np.ascontiguousarray(scales.T),
        f"{name}.g_idx": index.astype(np.int32),
        f"{name}.bias": np.zeros(OUT, np.float16),
    }


def config(bits, **more):
    return {"quant_method": "gptq", "bits": bits, "group_size": GROUP, "desc_act": False, **more}


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize(("name", "taken"), [("gptq", 1), ("gptq_v2", 0)])
def test_codes_are_what_was_packed(kit, pack, real, bits, name, taken):
    codes, scales, zeros, index = quantised(kit.random, bits)
    tensors = stored(pack, bits, codes, scales, zeros, index, taken=taken)
    kit.write(tensors, config(bits, checkpoint_format=name))
    weight = kit.tensors()["layers.0.q_proj.qweight"]
    assert (weight.dtype, weight.shape, weight.role) == (f"uint{bits}", (OUT, IN), Role.WEIGHT)
    assert weight.bytes == OUT * IN * bits // 8
    assert np.concatenate([*weight.values()]).tolist() == codes.reshape(-1).tolist()
    steps = codes - np.repeat(zeros, GROUP, axis=1)
    expected = steps * np.repeat(scales.astype(np.float64), GROUP, axis=1)
    assert np.array_equal(real(weight), expected)
    assert weight.quantization.scheme(weight.shape) == "blocked"
    assert weight.quantization.block_of(weight.shape) == [1, GROUP]


def test_three_bits_cross_from_one_integer_into_the_next(kit):
    """Codes 0, 1, … 7 over and over: code 10 has two bits in word 0 and one in word 1."""
    column = [place % 8 for place in range(32)]
    # 2 = 0b010 at bits 30 and 31, its third bit first in the next word; worked out by hand.
    words = [0x88FAC688, 0xC688FAC6, 0xFAC688FA]
    tensors = {
        "q.qweight": np.array([words], np.uint32).view(np.int32).T,
        "q.scales": np.ones((1, 1), np.float16),
        "q.qzeros": np.zeros((1, 1), np.int32),
    }
    kit.write(tensors, {**config(3), "group_size": -1})
    weight = kit.tensors()["q.qweight"]
    assert weight.shape == (1, 32)
    assert np.concatenate([*weight.values()]).tolist() == column


def test_parameters_bytes_and_nonzeros_add_up(kit, pack):
    """32 × 64 weights of 4 bits and 32 biases; zeros are the codes at the zero point."""
    codes, scales, zeros, index = quantised(kit.random, 4)
    kit.write(stored(pack, 4, codes, scales, zeros, index), config(4))
    ledger = kit.ledger()
    assert ledger.parameters == 32 * 64 + 32
    assert ledger.nonzero_parameters == np.count_nonzero(codes != np.repeat(zeros, GROUP, axis=1))
    # qweight 1024, qzeros 4 groups × 4 words, scales 4 × 32 halves, g_idx 64 words, bias 32 halves
    assert ledger.weight_bytes == 1024 + 4 * 4 * 4 + 4 * 32 * 2 + 64 * 4 + 64
    assert ledger.file_bytes == (kit.folder / "model.safetensors").stat().st_size
    assert ledger.precision == {"uint4": 2048, "float16": 32}
    assert {row.name: row.role for row in ledger.tensors} == {
        "layers.0.q_proj.qweight": "weight",
        "layers.0.q_proj.qzeros": "quantization",
        "layers.0.q_proj.scales": "quantization",
        "layers.0.q_proj.g_idx": "quantization",
        "layers.0.q_proj.bias": "bias",
    }


@pytest.mark.usefixtures("chunks")
def test_activation_order(kit, pack, real):
    """desc_act: g_idx gives each input feature its group, in any order."""
    order = kit.random.permutation(np.arange(IN) // GROUP)
    codes, scales, zeros, _ = quantised(kit.random, 4, order=order)
    kit.write(stored(pack, 4, codes, scales, zeros, order), config(4, desc_act=True))
    expected = (codes - zeros[:, order]) * scales.astype(np.float64)[:, order]
    assert np.array_equal(real(kit.tensors()["layers.0.q_proj.qweight"]), expected)


def test_a_zero_point_of_sixteen_does_not_wrap_round(kit, pack, real):
    """Stored fifteen, minus one: the kernels add one and get sixteen."""
    codes = np.full((OUT, IN), 3)
    zeros, scales = np.full((OUT, 4), 16), np.ones((OUT, 4), np.float16)
    kit.write(stored(pack, 4, codes, scales, zeros, np.arange(IN) // GROUP), config(4))
    assert set(real(kit.tensors()["layers.0.q_proj.qweight"]).reshape(-1)) == {-13.0}


def test_one_group_for_all_inputs(kit, pack, real):
    codes = kit.random.integers(0, 16, (OUT, IN))
    zeros, scales = np.full((OUT, 1), 8), kit.random.uniform(0.1, 1, (OUT, 1)).astype(np.float16)
    tensors = stored(pack, 4, codes, scales, zeros, np.zeros(IN))
    del tensors["layers.0.q_proj.g_idx"]
    kit.write(tensors, {**config(4), "group_size": -1})
    weight = kit.tensors()["layers.0.q_proj.qweight"]
    assert np.array_equal(real(weight), (codes - 8) * scales.astype(np.float64))
    assert weight.quantization.scheme(weight.shape) == "per_channel"
    assert weight.quantization.is_symmetric("uint4", 4)


def test_tensors_at_odd_places(kit, pack, real):
    """Nothing of the format says that tensors begin where their type likes it."""
    layer = quantised(kit.random, 4)
    kit.write({}, config(4))
    kit.shard("model.safetensors", stored(pack, 4, *layer), shift=1)
    codes, scales, zeros, _ = layer
    expected = (codes - np.repeat(zeros, GROUP, 1)) * np.repeat(scales.astype(float), GROUP, 1)
    assert np.array_equal(real(kit.tensors()["layers.0.q_proj.qweight"]), expected)


def test_rules_for_single_modules_and_modules_left_alone(kit, pack, real):
    """GPTQModel's ``dynamic``: one layer of 8 bits, one not quantised, the rest of 4."""
    four, eight = quantised(kit.random, 4), quantised(kit.random, 8)
    tensors = {
        **stored(pack, 4, *four, name="layers.0.up"),
        **stored(pack, 8, *eight, name="layers.1.up"),
        "lm_head.weight": np.ones((5, 7), np.float16),
    }
    rules = {r"+:layers\.1\..*": {"bits": 8}, r"-:lm_head": {}}
    kit.write(tensors, config(4, dynamic=rules))
    found = kit.tensors()
    assert found["layers.0.up.qweight"].dtype == "uint4"
    assert found["layers.1.up.qweight"].dtype == "uint8"
    assert (found["lm_head.weight"].dtype, found["lm_head.weight"].shape) == ("float16", (5, 7))
    codes, scales, zeros, _ = eight
    expected = (codes - np.repeat(zeros, GROUP, 1)) * np.repeat(scales.astype(float), GROUP, 1)
    assert np.array_equal(real(found["layers.1.up.qweight"]), expected)


def test_the_file_that_stood_beside_config_json(kit, pack):
    """AutoGPTQ's own quantize_config.json, from before config.json had a place for it."""
    tensors = stored(pack, 4, *quantised(kit.random, 4))
    kit.write(tensors)
    assert "qweight" in kit.uncounted()
    kit.config({"bits": 4, "group_size": GROUP, "desc_act": False}, "quantize_config.json")
    assert kit.tensors()["layers.0.q_proj.qweight"].shape == (OUT, IN)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bits": 5}, "5 bits"),
        ({"bits": "four"}, "unstated bits"),
        ({"bits": True}, "unstated bits"),
        ({"checkpoint_format": "marlin"}, "marlin"),
        ({"is_marlin_format": True}, "marlin"),
        ({"quant_method": "hqq"}, "'hqq'"),
        ({"quant_method": None}, "None"),
    ],
)
def test_what_does_not_fit_is_not_counted(kit, pack, change, said):
    kit.write(stored(pack, 4, *quantised(kit.random, 4)), {**config(4), **change})
    reason = kit.uncounted()
    assert "layers.0.q_proj.qweight" in reason
    assert said in reason


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("g_idx", np.full(IN, 4, np.int32)),
        ("g_idx", np.full(IN, -1, np.int32)),
        ("g_idx", np.zeros(IN - 32, np.int32)),
        ("g_idx", np.zeros(0, np.int32)),
        ("scales", np.ones((4, OUT - 1), np.float16)),
        ("scales", np.ones(OUT, np.float16)),
        ("qzeros", np.zeros((3, 4), np.int32)),
        ("qweight", np.zeros((7, OUT), np.int32)),
        ("qweight", np.zeros((0, 0), np.int32)),
        ("qweight", np.zeros(8, np.int32)),
        ("scales", None),
        ("qzeros", None),
    ],
)
def test_sizes_that_contradict_one_another(kit, pack, name, array):
    tensors = stored(pack, 4, *quantised(kit.random, 4))
    tensors[f"layers.0.q_proj.{name}"] = array
    kit.write({key: value for key, value in tensors.items() if value is not None}, config(4))
    assert "layers.0.q_proj.qweight" in kit.uncounted()
