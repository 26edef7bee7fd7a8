"""compressed-tensors folders, as its compressors describe them."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from compaudit.models.base import Role

OUT, IN, GROUP = 12, 64, 16
E4M3 = ml_dtypes.float8_e4m3fn
# OCP Microscaling Formats 1.0, table 5: E2M1, by its four bits.
E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
E2M1 = np.array([*E2M1, *(-value for value in E2M1)])


def config(bits=4, kind="pack-quantized", **weights):
    weights = {"num_bits": bits, "type": "int", "symmetric": True, "group_size": GROUP, **weights}
    return {
        "quant_method": "compressed-tensors",
        "format": kind,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
        "ignore": ["lm_head"],
        "quantization_status": "compressed",
    }


def signed(random, bits, shape=(OUT, IN)):
    half = 1 << (bits - 1)
    return random.integers(-half, half, shape)


def scales_of(random, groups=IN // GROUP):
    return random.uniform(0.01, 0.1, (OUT, groups)).astype(ml_dtypes.bfloat16)


def packed(pack, codes, bits):
    """Codes plus half their range, from the lowest bits of the first integer on."""
    return pack(codes + (1 << (bits - 1)), bits)


def layer(pack, codes, bits, scales, shape_type=np.int64):
    return {
        "q.weight_packed": packed(pack, codes, bits),
        "q.weight_scale": scales,
        "q.weight_shape": np.array(codes.shape, shape_type),
    }


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8])
def test_packed_symmetric(kit, pack, real, bits):
    codes, scales = signed(kit.random, bits), scales_of(kit.random)
    tensors = layer(pack, codes, bits, scales, np.int32)
    kit.write({**tensors, "lm_head.weight": np.ones((7, 5), np.float16)}, config(bits))
    found = kit.tensors()
    weight = found["q.weight_packed"]
    assert (weight.dtype, weight.shape, weight.role) == (f"int{bits}", (OUT, IN), Role.WEIGHT)
    assert weight.bytes == OUT * IN * bits // 8
    assert np.concatenate([*weight.values()]).tolist() == codes.reshape(-1).tolist()
    assert np.array_equal(real(weight), codes * np.repeat(scales.astype(float), GROUP, axis=1))
    assert weight.quantization.is_symmetric(weight.dtype, bits)
    assert found["q.weight_scale"].role is Role.QUANTIZATION
    assert found["q.weight_shape"].role is Role.CONSTANT
    assert found["lm_head.weight"].quantization is None


@pytest.mark.usefixtures("chunks")
def test_packed_by_releases_whose_codes_did_not_cross(kit, real):
    """Ten codes of three bits to an integer, two bits of it empty; 64 columns need seven."""
    codes, scales = signed(kit.random, 3), scales_of(kit.random)
    words = np.zeros((OUT, 7), np.uint32)
    for row, column in np.ndindex(OUT, IN):
        words[row, column // 10] |= np.uint32(int(codes[row, column] + 4) << 3 * (column % 10))
    tensors = {
        "q.weight_packed": words.view(np.int32),
        "q.weight_scale": scales,
        "q.weight_shape": np.array([OUT, IN]),
    }
    kit.write(tensors, config(3))
    weight = kit.tensors()["q.weight_packed"]
    assert np.array_equal(real(weight), codes * np.repeat(scales.astype(float), GROUP, axis=1))


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("as_int8", [False, True])
def test_packed_asymmetric(kit, pack, real, as_int8):
    """Zero points are packed down the columns: [out × bits / 32, groups]."""
    codes, scales = signed(kit.random, 4), scales_of(kit.random)
    zeros = signed(kit.random, 4, scales.shape)
    stored = zeros.astype(np.int8) if as_int8 else np.ascontiguousarray(packed(pack, zeros.T, 4).T)
    tensors = {**layer(pack, codes, 4, scales), "q.weight_zero_point": stored}
    kit.write(tensors, config(symmetric=False))
    weight = kit.tensors()["q.weight_packed"]
    steps = codes - np.repeat(zeros, GROUP, axis=1)
    assert np.array_equal(real(weight), steps * np.repeat(scales.astype(float), GROUP, axis=1))
    ledger = kit.ledger()
    assert ledger.nonzero_parameters == np.count_nonzero(steps)
    assert ledger.parameters == OUT * IN
    # packed 12 × 8 words, 12 × 4 bf16 scales, zero points 2 × 4 words or 48 bytes; no shape
    assert ledger.weight_bytes == 384 + 96 + (48 if as_int8 else 32)


def test_activation_order_and_a_reserved_one(kit, pack, real):
    codes, scales = signed(kit.random, 4), scales_of(kit.random)
    order = kit.random.permutation(np.arange(IN) // GROUP)
    tensors = layer(pack, codes, 4, scales)
    kit.write({**tensors, "q.weight_g_idx": order.astype(np.int32)}, config(actorder="group"))
    found = real(kit.tensors()["q.weight_packed"])
    assert np.array_equal(found, codes * scales.astype(float)[:, order])
    kit.write({**tensors, "q.weight_g_idx": np.full(IN, -1, np.int32)}, config())
    found = real(kit.tensors()["q.weight_packed"])
    assert np.array_equal(found, codes * np.repeat(scales.astype(float), GROUP, axis=1))


@pytest.mark.parametrize("shape", [(), (1,), (OUT, 1)])
def test_scales_of_a_tensor_and_of_channels(kit, pack, real, shape):
    codes = signed(kit.random, 4)
    scales = kit.random.uniform(0.1, 1, shape).astype(np.float32)
    kit.write(layer(pack, codes, 4, scales), config(group_size=None, strategy="channel"))
    weight = kit.tensors()["q.weight_packed"]
    assert np.array_equal(real(weight), codes * np.reshape(scales, -1).astype(float)[:, None])
    assert weight.quantization.scheme(weight.shape) == (
        "per_channel" if len(shape) == 2 else "per_tensor"
    )


def test_groups_of_modules_with_different_bits(kit, pack):
    """The sizes tell which of the groups a module belongs to."""
    four = layer(pack, signed(kit.random, 4), 4, scales_of(kit.random))
    eight = layer(pack, signed(kit.random, 8), 8, scales_of(kit.random, IN // 32))
    stated = config(4)
    stated["config_groups"]["group_1"] = {
        "targets": ["re:.*down_proj"],
        "weights": {"num_bits": 8, "type": "int", "group_size": 32},
    }
    kit.write({**four, **{f"down_proj.{key}": value for key, value in eight.items()}}, stated)
    found = kit.tensors()
    assert found["q.weight_packed"].dtype == "int4"
    assert found["down_proj.q.weight_packed"].dtype == "int8"


def test_a_row_that_fits_two_groups_is_not_guessed(kit, pack):
    """Eight columns of two bits and of four fill one integer."""
    codes, scales = signed(kit.random, 4, (OUT, 8)), scales_of(kit.random, 1)
    stated = config(4)
    stated["config_groups"]["group_1"] = {"targets": ["Linear"], "weights": {"num_bits": 2}}
    kit.write(layer(pack, codes, 4, scales), stated)
    assert "in more than one way" in kit.uncounted()


def test_a_rest_of_a_row(kit, pack, real):
    """Thirteen columns of four bits: the second integer is not full."""
    codes, scales = signed(kit.random, 4, (OUT, 13)), scales_of(kit.random, 1)
    kit.write(layer(pack, codes, 4, scales), config(group_size=None))
    weight = kit.tensors()["q.weight_packed"]
    assert (weight.shape, weight.bytes) == ((OUT, 13), OUT * 2 * 4)
    assert np.array_equal(real(weight), codes * scales.astype(float))


@pytest.mark.parametrize("kind", ["int-quantized", "naive-quantized"])
def test_one_code_a_byte(kit, real, kind):
    codes = kit.random.integers(-128, 128, (OUT, IN)).astype(np.int8)
    scales = kit.random.uniform(0.1, 1, (OUT, 1)).astype(np.float32)
    zeros = kit.random.integers(-5, 5, (OUT, 1)).astype(np.int8)
    tensors = {"q.weight": codes, "q.weight_scale": scales, "q.weight_zero_point": zeros}
    kit.write(tensors, config(8, kind, symmetric=False, group_size=None))
    weight = kit.tensors()["q.weight"]
    assert (weight.dtype, weight.bytes) == ("int8", OUT * IN)
    assert np.array_equal(real(weight), (codes.astype(int) - zeros) * scales.astype(float))


def test_float8_by_rows_by_blocks_and_with_powers_of_two(kit, real):
    codes = kit.random.normal(size=(OUT, IN)).astype(np.float32).astype(E4M3)
    rows = kit.random.uniform(0.1, 1, (OUT, 1)).astype(np.float32)
    blocks = kit.random.uniform(0.1, 1, (2, 3)).astype(np.float32)  # of 8 × 24, cut off
    powers = kit.random.integers(120, 130, (OUT, 2)).astype(np.uint8)  # MXFP8: one for 32
    exact = codes.astype(float)
    for kind, scales, spread in (
        ("float-quantized", rows, rows.astype(float)),
        (
            "float-quantized",
            blocks,
            np.repeat(np.repeat(blocks.astype(float), 8, 0), 24, 1)[:OUT, :IN],
        ),
        ("mxfp8-quantized", powers, np.repeat(2.0 ** (powers.astype(int) - 127), 32, axis=1)),
    ):
        stated = config(8, kind, type="float", group_size=None, block_structure=[8, 24])
        kit.write({"q.weight": codes, "q.weight_scale": scales}, stated)
        weight = kit.tensors()["q.weight"]
        assert weight.dtype == "float8e4m3fn"
        assert np.array_equal(real(weight), exact * spread)


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("kind", ["nvfp4-pack-quantized", "mxfp4-pack-quantized"])
def test_four_bit_floats(kit, real, kind):
    """Two to a byte, the first in the low half; NVFP4 divides its scales by a global one."""
    codes = kit.random.integers(0, 16, (OUT, IN))
    tensors = {"q.weight_packed": (codes[:, ::2] + 16 * codes[:, 1::2]).astype(np.uint8)}
    if kind.startswith("nv"):
        scales = kit.random.uniform(1, 400, (OUT, IN // 16)).astype(np.float32).astype(E4M3)
        tensors["q.weight_scale"] = scales
        tensors["q.weight_global_scale"] = np.array([320.0], np.float32)
        tensors["q.input_global_scale"] = np.array([7.0], np.float32)
        spread = np.repeat(scales.astype(float) / 320, 16, axis=1)
    else:
        powers = kit.random.integers(120, 135, (OUT, IN // 32))
        tensors["q.weight_scale"] = powers.astype(np.uint8)
        spread = np.repeat(2.0 ** (powers - 127), 32, axis=1)
    kit.write(tensors, config(4, kind, type="float"))
    weight = kit.tensors()["q.weight_packed"]
    assert (weight.dtype, weight.shape, weight.bytes) == ("float4e2m1", (OUT, IN), OUT * IN // 2)
    assert np.array_equal(real(weight), E2M1[codes] * spread)
    assert kit.ledger().nonzero_parameters == np.count_nonzero(E2M1[codes])


@pytest.mark.parametrize("two_to_four", [True, False])
@pytest.mark.parametrize("dtype", [np.float16, E4M3])
def test_pruned(kit, two_to_four, dtype):
    """A bit for every weight, lowest first, and the values that are left in their order."""
    dense = np.zeros((4, 12), np.float32)
    for row, start in np.ndindex(4, 3):
        dense[row, 4 * start + row % 3], dense[row, 4 * start + 3] = row + 1, -1.5
    mask = np.zeros((4, 2), np.uint8)
    for row, column in zip(*np.nonzero(dense), strict=True):
        mask[row, column // 8] |= 1 << column % 8
    left = dense[dense != 0].astype(dtype)
    stem = "q." if two_to_four else "q.weight."
    tensors = {
        f"{stem}compressed": left.reshape(4, 6) if two_to_four else left,
        f"{stem}bitmask": mask,
        f"{stem}shape": np.array([[4], [12]] if two_to_four else [4, 12]),
    }
    if not two_to_four:
        tensors[f"{stem}row_offsets"] = np.arange(4) * 6
    quantised = dtype is E4M3
    if quantised:
        tensors["q.weight_scale"] = np.ones((4, 1), np.float32)
    kind = "sparse-24-bitmask" if two_to_four else "sparse-bitmask"
    kit.write(tensors, {**config(8, "dense"), "sparsity_config": {"format": kind}})
    weight = kit.tensors()[f"{stem}compressed"]
    assert (weight.shape, weight.stored_elements) == ((4, 12), 24)
    assert weight.bytes == 24 * np.dtype(dtype).itemsize
    ledger = kit.ledger()
    assert (ledger.parameters, ledger.nonzero_parameters) == (48, 24)
    offsets = 0 if two_to_four else 32
    scales = 16 if quantised else 0
    assert ledger.weight_bytes == weight.bytes + 8 + offsets + scales
    assert {row.name: row.role for row in ledger.tensors}[f"{stem}shape"] == "constant"


@pytest.mark.parametrize(
    "change",
    [
        {"q.weight_shape": np.array([OUT, IN + 8])},
        {"q.weight_shape": np.array([OUT + 1, IN])},
        {"q.weight_shape": np.array([OUT, -1])},
        {"q.weight_shape": np.array([OUT * IN])},
        {"q.weight_shape": np.array([1 << 40, 1 << 40])},
        {"q.weight_shape": np.zeros(0, np.int64)},
        {"q.weight_shape": np.ones(2, np.float32)},
        {"q.weight_shape": None},
        {"q.weight_scale": None},
        {"q.weight_scale": np.ones((OUT, 5), np.float32)},
        {"q.weight_scale": np.ones((0, 5), np.float32)},
        {"q.weight_zero_point": np.ones((3, 4), np.int32)},
        {"q.weight_zero_point": np.ones((3, 4), np.int8)},
        {"q.weight_g_idx": np.ones(IN - 1, np.int32)},
        {"q.weight_g_idx": np.full(IN, 9, np.int32)},
        {"q.weight_packed": np.ones((OUT, 8), np.int16)},
        {"q.weight_packed": np.ones(8, np.int32)},
    ],
    ids=lambda change: "-".join(change),
)
def test_sizes_that_contradict_one_another(kit, pack, change):
    tensors = layer(pack, signed(kit.random, 4), 4, scales_of(kit.random))
    tensors.update(change)
    kit.write({key: value for key, value in tensors.items() if value is not None}, config())
    assert "q.weight_packed" in kit.uncounted()


@pytest.mark.parametrize(
    "stated",
    [
        {**config(), "format": "marlin-24"},
        {**config(), "config_groups": None},
        {**config(), "config_groups": {"W4A16": ["Linear"]}},
        {**config(), "config_groups": {"group_0": {"weights": {"num_bits": "four"}}}},
        config(9),
        config(0),
        config(3),
    ],
)
def test_configurations_that_do_not_tell(kit, pack, stated):
    kit.write(layer(pack, signed(kit.random, 4), 4, scales_of(kit.random)), stated)
    assert "q.weight_packed" in kit.uncounted()


def test_a_mask_of_another_shape(kit):
    tensors = {
        "q.compressed": np.ones((4, 6), np.float16),
        "q.bitmask": np.ones((4, 1), np.uint8),
        "q.shape": np.array([4, 12]),
    }
    kit.write(tensors, config())
    assert "q.compressed has a bitmask" in kit.uncounted()
    kit.write({**tensors, "q.shape": np.array([4, 5])}, config())
    assert "more than its shape" in kit.uncounted()
