"""float8 with block scales, and gpt-oss' MXFP4."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from compaudit.models.base import Role

E4M3 = ml_dtypes.float8_e4m3fn
# OCP Microscaling Formats 1.0, table 5: E2M1, by its four bits.
E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
E2M1 = np.array([*E2M1, *(-value for value in E2M1)])


def test_blocks_of_deepseek(kit, real):
    """A scale for each 128 × 128; the last ones are cut off by the edges."""
    shape = (200, 300)
    codes = kit.random.normal(size=shape).astype(np.float32).astype(E4M3)
    scales = kit.random.uniform(0.1, 1, (2, 3)).astype(np.float32)
    tensors = {
        "q.weight": codes,
        "q.weight_scale_inv": scales,
        "norm.weight": np.ones(300, np.float32),
    }
    kit.write(tensors, {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]})
    found = kit.tensors()
    weight = found["q.weight"]
    assert (weight.dtype, weight.shape, weight.bytes) == ("float8e4m3fn", shape, 60_000)
    spread = np.repeat(np.repeat(scales.astype(np.float64), 128, 0), 128, 1)[:200, :300]
    assert np.array_equal(real(weight), codes.astype(np.float64) * spread)
    assert found["q.weight_scale_inv"].role is Role.QUANTIZATION
    assert kit.ledger().parameters == 60_300
    assert weight.quantization.block_of(shape) == [128, 128]


@pytest.mark.parametrize("shape", [(), (1,), (6,), (6, 1)])
def test_scales_of_a_tensor_and_of_rows(kit, real, shape):
    codes = kit.random.normal(size=(6, 4)).astype(np.float32).astype(E4M3)
    scales = kit.random.uniform(0.1, 1, shape).astype(np.float32)
    kit.write({"q.weight": codes, "q.weight_scale": scales}, {"quant_method": "fbgemm_fp8"})
    spread = np.reshape(scales, -1).astype(np.float64)[:, None]
    assert np.array_equal(real(kit.tensors()["q.weight"]), codes.astype(np.float64) * spread)


@pytest.mark.parametrize(
    ("scales", "block"),
    [
        (np.ones((2, 2)), [128, 128]),
        (np.ones((4, 3)), [128, 128]),
        (np.ones((2, 3, 1)), [128, 128]),
        (np.ones((2, 3)), [0, -1]),
        (np.ones((0, 3)), [128, 128]),
        (np.ones((3, 3)), "128"),
    ],
)
def test_scales_that_do_not_fit(kit, scales, block):
    codes = np.ones((200, 300), np.float32).astype(E4M3)
    tensors = {"q.weight": codes, "q.weight_scale_inv": scales.astype(np.float32)}
    kit.write(tensors, {"quant_method": "fp8", "weight_block_size": block})
    assert "q.weight" in kit.uncounted()


def test_minus_zero_is_zero(kit):
    codes = np.array([[0x00, 0x80, 0x38, 0xB8]], np.uint8).view(E4M3)  # 0, −0, 1, −1
    kit.write(
        {"q.weight": codes, "q.weight_scale": np.ones(1, np.float32)}, {"quant_method": "fp8"}
    )
    assert kit.ledger().nonzero_parameters == 2


@pytest.mark.usefixtures("chunks")
def test_mxfp4_of_gpt_oss(kit, real):
    """Two experts of 3 × 64: bytes of two codes, low half first, and a power of two for 32."""
    codes = kit.random.integers(0, 16, (2, 3, 64))
    exponents = kit.random.integers(120, 135, (2, 3, 2))
    pairs = codes.reshape(2, 3, 2, 16, 2)
    tensors = {
        "mlp.experts.down_proj_blocks": (pairs[..., 0] + 16 * pairs[..., 1]).astype(np.uint8),
        "mlp.experts.down_proj_scales": exponents.astype(np.uint8),
        "mlp.experts.down_proj_bias": np.ones((2, 3), np.float32),
    }
    kit.write(tensors, {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]})
    weight = kit.tensors()["mlp.experts.down_proj_blocks"]
    assert (weight.dtype, weight.shape, weight.bytes) == ("float4e2m1", (2, 3, 64), 192)
    expected = E2M1[codes] * np.repeat(2.0 ** (exponents - 127), 32, axis=2)
    assert np.array_equal(real(weight), expected)
    ledger = kit.ledger()
    assert ledger.parameters == 2 * 3 * 64 + 6
    assert ledger.nonzero_parameters == np.count_nonzero(E2M1[codes]) + 6
    assert ledger.weight_bytes == 192 + 12 + 24


def test_mxfp4_that_does_not_fit(kit):
    blocks, scales = np.ones((2, 3, 2, 8), np.uint8), np.ones((2, 3, 2), np.uint8)
    kit.write({"a_blocks": blocks, "a_scales": scales}, {"quant_method": "mxfp4"})
    assert "a_blocks" in kit.uncounted()
    kit.write({"a_blocks": blocks, "a_scales": scales})
    assert "a_blocks holds several weights per element" in kit.uncounted()
