"""AWQ folders, packed as AutoAWQ's WQLinear_GEMM and WQLinear_GEMV describe it."""

from __future__ import annotations

import numpy as np
import pytest

from compaudit.models.base import Role

OUT, IN, GROUP = 24, 64, 16
ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # which column the first, second … four bits of an integer are


def words_of(matrix, order):
    """[n, m] codes → [n, m / 8] integers, one by one."""
    packed = np.zeros((matrix.shape[0], matrix.shape[1] // 8), np.uint32)
    for row in range(packed.shape[0]):
        for word in range(packed.shape[1]):
            value = 0
            for place, column in enumerate(order):
                value |= int(matrix[row, 8 * word + column]) << (4 * place)
            packed[row, word] = value
    return packed.view(np.int32)


def quantised(random):
    """Codes [out, in], zero points and scales [out, groups]."""
    codes = random.integers(0, 16, (OUT, IN))
    zeros = random.integers(0, 16, (OUT, IN // GROUP))
    return codes, zeros, random.uniform(0.01, 0.1, zeros.shape).astype(np.float16)


def gemm(codes, zeros, scales):
    return {
        "q.qweight": words_of(codes.T, ORDER),
        "q.qzeros": words_of(zeros.T, ORDER),
        "q.scales": np.ascontiguousarray(scales.T),
    }


def config(**more):
    return {
        "quant_method": "awq",
        "bits": 4,
        "group_size": GROUP,
        "zero_point": True,
        "version": "gemm",
        "modules_to_not_convert": ["lm_head"],
        **more,
    }


def expected(codes, zeros, scales):
    steps = codes - np.repeat(zeros, GROUP, axis=1)
    return steps * np.repeat(scales.astype(np.float64), GROUP, axis=1)


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"version": "GEMM"},
        {"version": "exllama"},
        {"bits": 4, "version": None, "checkpoint_format": "gemm"},
    ],
)
def test_gemm(kit, real, stated):
    layer = quantised(kit.random)
    kit.write({**gemm(*layer), "lm_head.weight": np.ones((9, 5), np.float16)}, config(**stated))
    found = kit.tensors()
    weight = found["q.qweight"]
    assert (weight.dtype, weight.shape, weight.role) == ("uint4", (OUT, IN), Role.WEIGHT)
    assert weight.bytes == OUT * IN // 2
    assert np.concatenate([*weight.values()]).tolist() == layer[0].reshape(-1).tolist()
    assert np.array_equal(real(weight), expected(*layer))
    assert {found["q.qzeros"].role, found["q.scales"].role} == {Role.QUANTIZATION}
    assert found["lm_head.weight"].dtype == "float16"


def test_the_order_within_an_integer(kit):
    """One integer of the bytes 0x75316420, lowest four bits first: columns 0, 2, 4, 6, 1, 3 …

    The four bits at place 0, 1, 2 … hold 0, 2, 4, 6, 1, 3, 5, 7, so the columns read 0, 1, 2 … 7.
    """
    tensors = {
        "q.qweight": np.array([[0x75316420]], np.int32),
        "q.qzeros": np.array([[0]], np.int32),
        "q.scales": np.ones((1, 8), np.float16),
    }
    kit.write(tensors, config(group_size=-1))
    weight = kit.tensors()["q.qweight"]
    assert weight.shape == (8, 1)
    assert np.concatenate([*weight.values()]).tolist() == list(range(8))


@pytest.mark.usefixtures("chunks")
def test_gemv_pads_after_the_last_group(kit, real):
    """Scales and zero points have room for eight groups where there are four."""
    codes, zeros, scales = quantised(kit.random)
    room = np.zeros((OUT, 8), int)
    room[:, :4] = zeros
    padded = np.zeros((OUT, 8), np.float16)
    padded[:, :4] = scales
    tensors = {
        "q.qweight": words_of(codes, range(8)),
        "q.qzeros": words_of(room, range(8)),
        "q.scales": padded,
    }
    kit.write(tensors, config(version="gemv"))
    weight = kit.tensors()["q.qweight"]
    assert weight.shape == (OUT, IN)
    assert np.array_equal(real(weight), expected(codes, zeros, scales))


def test_nonzeros_are_the_codes_off_the_zero_point(kit):
    codes, zeros, scales = quantised(kit.random)
    kit.write(gemm(codes, zeros, scales), config())
    ledger = kit.ledger()
    assert ledger.parameters == OUT * IN
    assert ledger.nonzero_parameters == np.count_nonzero(codes != np.repeat(zeros, GROUP, axis=1))


def test_the_names_of_the_first_tool(kit):
    """quant_config.json of llm-awq, with ``w_bit`` and ``q_group_size``."""
    kit.write(gemm(*quantised(kit.random)))
    kit.config({"zero_point": True, "q_group_size": GROUP, "w_bit": 4}, "quant_config.json")
    assert kit.tensors()["q.qweight"].shape == (OUT, IN)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "gemv_fast"}, "gemv_fast"),
        ({"version": "marlin"}, "marlin"),
        ({"bits": 8}, "8 bits"),
        ({"group_size": 32}, "groups of 32"),
        ({"group_size": 0}, "groups of 0"),
        ({"version": "gemv"}, "does not fit"),
    ],
)
def test_what_does_not_fit_is_not_counted(kit, change, said):
    kit.write(gemm(*quantised(kit.random)), config(**change))
    reason = kit.uncounted()
    assert "q.qweight" in reason
    assert said in reason


@pytest.mark.parametrize("name", ["q.qzeros", "q.scales"])
def test_a_missing_part(kit, name):
    tensors = gemm(*quantised(kit.random))
    del tensors[name]
    kit.write(tensors, config())
    assert name in kit.uncounted()


def test_other_types_and_ranks(kit):
    kit.write({**gemm(*quantised(kit.random)), "q.qweight": np.zeros((4, 4), np.int16)}, config())
    assert "int32" in kit.uncounted()
    kit.write({**gemm(*quantised(kit.random)), "q.scales": np.ones(4, np.float16)}, config())
    assert "matrices" in kit.uncounted()
