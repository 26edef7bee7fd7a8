"""Quantised weights: logical shapes, codes, and which code stands for zero."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from compaudit.models.base import Role

node = helper.make_node
MICROSOFT = "com.microsoft"


def array(name, values, dtype=np.float32):
    return numpy_helper.from_array(np.array(values, dtype), name)


def scale(name="scale", *shape):
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def dequantized(*, axis=1, block_size=0, zero=True):
    names = ["w", "scale", "zero"] if zero else ["w", "scale"]
    extra = {"block_size": block_size} if block_size else {}
    return [
        node("DequantizeLinear", names, ["d"], axis=axis, **extra),
        node("MatMul", ["x", "d"], ["y"]),
    ]


def test_per_tensor(kit) -> None:
    found = kit.tensors(
        dequantized(), [array("w", [[3, 4], [3, 3]], np.int8), scale(), array("zero", 3, np.int8)]
    )
    assert [tensor.role for tensor in found.values()] == [
        *(Role.WEIGHT, Role.QUANTIZATION, Role.QUANTIZATION)
    ]
    assert found["w"].bytes == 4
    assert kit.nonzeros(found["w"]) == 1


def test_absent_zero_point_is_zero(kit) -> None:
    found = kit.tensors(dequantized(zero=False), [array("w", [[0, 4], [3, 3]], np.uint8), scale()])
    assert found["w"].quantization.zero_point is None
    assert kit.nonzeros(found["w"]) == 3


def test_per_channel(kit) -> None:
    found = kit.tensors(
        dequantized(axis=-1),
        [array("w", [[1, 2], [1, 1]], np.int8), scale("scale", 2), array("zero", [1, 2], np.int8)],
    )
    assert zeros(found["w"]).groups == (2, 1)
    assert kit.nonzeros(found["w"]) == 1


def test_blocked(kit) -> None:
    # blocks of two rows: zero point 1 for rows 0 and 1, 2 for row 2
    found = kit.tensors(
        dequantized(axis=0, block_size=2),
        [
            array("w", [[1], [2], [2]], np.int8),
            scale("scale", 2, 1),
            array("zero", [[1], [2]], np.int8),
        ],
    )
    point = zeros(found["w"])
    assert (point.groups, point.numbers.shape) == ((2, 1), (2, 1))
    assert kit.nonzeros(found["w"]) == 1


def test_per_channel_behind_a_transpose_is_matched_to_the_stored_axis(kit) -> None:
    found = kit.tensors(
        [node("Transpose", ["w"], ["t"], perm=[1, 0]), *_renamed("t", axis=1)],
        [array("w", [[1, 1, 1], [2, 2, 3]], np.int8), scale("scale", 2), _zero([1, 2])],
    )
    assert found["w"].role is Role.WEIGHT
    assert zeros(found["w"]).groups == (1, 3)
    assert kit.nonzeros(found["w"]) == 1


def test_per_channel_behind_a_reshape_is_said_to_be_unknown(kit) -> None:
    found = kit.tensors(
        [node("Reshape", ["w", "shape"], ["t"]), *_renamed("t", axis=1)],
        [
            *(array("w", [1, 1, 1, 2, 2, 3], np.int8), scale("scale", 2), _zero([1, 2])),
            array("shape", [3, 2], np.int64),
        ],
    )
    assert zeros(found["w"]) is None
    assert "cannot be matched" in found["w"].note


def test_computed_zero_point_is_said_to_be_unknown(kit) -> None:
    found = kit.tensors(
        [node("Cast", ["x"], ["zero"], to=TensorProto.INT8), *dequantized()],
        [array("w", [[3, 4]], np.int8), scale()],
    )
    assert zeros(found["w"]) is None
    assert "computed" in found["w"].note


def zeros(tensor):
    return tensor.quantization.zero_point


def _renamed(name, *, axis):
    return [
        node("DequantizeLinear", [name, "scale", "zero"], ["d"], axis=axis),
        node("MatMul", ["x", "d"], ["y"]),
    ]


def _zero(values, name="zero"):
    return array(name, values, np.int8)


def test_fake_quantisation_saves_nothing(kit) -> None:
    found = kit.tensors(
        [
            node("QuantizeLinear", ["w", "scale", "zero"], ["q"]),
            node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
            node("MatMul", ["x", "d"], ["y"]),
        ],
        [array("w", [[1, 0, 2]]), scale(), _zero(0)],
    )
    assert (found["w"].role, found["w"].dtype, found["w"].bytes) == (Role.WEIGHT, "float32", 12)
    assert kit.nonzeros(found["w"]) == 2


def test_integer_bias_through_a_dequantize(kit) -> None:
    found = kit.tensors(
        [
            node("DequantizeLinear", ["w", "scale"], ["wd"]),
            node("DequantizeLinear", ["b", "scale"], ["bd"]),
            node("Conv", ["x", "wd", "bd"], ["y"]),
        ],
        [
            array("w", np.ones((2, 3, 1, 1)), np.int8),
            array("b", [1, 2], np.int32),
            scale(),
        ],
    )
    assert (found["w"].role, found["b"].role) == (Role.WEIGHT, Role.BIAS)


def test_qlinear_conv(kit) -> None:
    names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"]
    found = kit.tensors(
        [node("QLinearConv", names, ["y"])],
        [
            array("w", [[[[7]], [[8]]], [[[9]], [[8]]]], np.uint8),  # two output channels
            array("wz", [7, 9], np.uint8),
            *(scale(name) for name in ("xs", "ws", "ys")),
            *(array(name, 0, np.uint8) for name in ("xz", "yz")),
            array("b", [1, 2], np.int32),
        ],
    )
    roles = {name: tensor.role for name, tensor in found.items()}
    assert (roles.pop("w"), roles.pop("b")) == (Role.WEIGHT, Role.BIAS)
    assert set(roles.values()) == {Role.QUANTIZATION}
    assert kit.nonzeros(found["w"]) == 2


def test_qgemm_transposed(kit) -> None:
    names = ["x", "xs", "xz", "w", "ws", "wz", "c"]
    found = kit.tensors(
        [node("QGemm", names, ["y"], domain=MICROSOFT, transB=1)],
        [
            array("w", [[1, 1], [2, 5]], np.int8),  # [N, K]: channels are rows
            array("wz", [1, 2], np.int8),
            *(scale("xs"), scale("ws", 2), array("xz", 0, np.uint8)),
            array("c", [0, 0], np.int32),
        ],
    )
    assert kit.nonzeros(found["w"]) == 1
    assert found["c"].role is Role.BIAS


def test_quantised_embedding(kit) -> None:
    found = kit.tensors(
        [
            node("Gather", ["w", "ids"], ["rows"]),
            node("DequantizeLinear", ["rows", "scale", "zero"], ["y"]),
            node("MatMul", ["y", "m"], ["z"]),
        ],
        [
            array("w", [[4, 5], [4, 4]], np.uint8),
            *(scale(), array("zero", 4, np.uint8), array("ids", [0], np.int64)),
            array("m", [[1], [1]]),
        ],
    )
    assert found["w"].role is Role.WEIGHT
    assert kit.nonzeros(found["w"]) == 1


def test_the_same_initializer_through_a_function(kit) -> None:
    function = helper.make_function(
        "local",
        "Q",
        ["a", "k", "s", "z"],
        ["o"],
        [node("DequantizeLinear", ["k", "s", "z"], ["d"]), node("MatMul", ["a", "d"], ["o"])],
        [helper.make_opsetid("", 21)],
    )
    found = kit.tensors(
        [node("Q", ["x", "w", "scale", "zero"], ["y"], domain="local")],
        [array("w", [[3, 4]], np.int8), scale(), _zero(3)],
        functions=[function],
    )
    assert (found["w"].role, found["zero"].role) == (Role.WEIGHT, Role.QUANTIZATION)
    assert kit.nonzeros(found["w"]) == 1


# ---------------------------------------------------------------- packed by ONNX Runtime


def packed_rows(n, blocks, block_bytes, *bytes_):
    data = np.zeros((n, blocks, block_bytes), np.uint8)
    data.reshape(-1)[: len(bytes_)] = bytes_
    return data


def n_bits(names, **attributes):
    return [node("MatMulNBits", names, ["y"], domain=MICROSOFT, block_size=16, **attributes)]


def test_matmul_n_bits_unpacks_low_half_first_and_drops_the_padding(kit) -> None:
    # K = 20 in blocks of 16: two blocks of 8 bytes a row, 12 of 32 codes are padding.
    data = np.full((2, 2, 8), 0x88, np.uint8)  # 8 is the middle: every code stands for zero
    data[0, 0, 0] = 0x18  # codes 8, 1
    data[1, 1, 7] = 0xFF  # in the padding
    found = kit.tensors(
        n_bits(["x", "w", "scale"], K=20, N=2, bits=4),
        [numpy_helper.from_array(data, "w"), scale("scale", 4)],
    )
    weight = found["w"]
    assert (weight.dtype, weight.shape, weight.bytes) == ("uint4", (2, 20), 32)
    assert kit.values(weight)[:3].tolist() == [8, 1, 8]
    assert kit.values(weight).size == 40
    assert zeros(weight).numbers.tolist() == [8]
    assert kit.nonzeros(weight) == 1
    assert found["scale"].role is Role.QUANTIZATION


@pytest.mark.parametrize(("bits", "middle"), [(2, 2), (4, 8), (8, 128)])
def test_matmul_n_bits_default_zero_point(kit, bits, middle) -> None:
    data = np.zeros((1, 1, 2 * bits), np.uint8)
    found = kit.tensors(
        n_bits(["x", "w", "scale"], K=16, N=1, bits=bits),
        [numpy_helper.from_array(data, "w"), scale("scale", 1)],
    )
    assert zeros(found["w"]).numbers.tolist() == [middle]
    assert found["w"].dtype == f"uint{bits}"


def test_matmul_n_bits_packed_zero_points(kit) -> None:
    # one row, K = 32, two blocks: zero points 1 and 2, packed as 0x21
    data = packed_rows(1, 2, 8, *[0x11] * 8, *[0x22] * 7, 0x32)
    found = kit.tensors(
        n_bits(["x", "w", "scale", "zero"], K=32, N=1, bits=4),
        [numpy_helper.from_array(data, "w"), scale("scale", 2), array("zero", [0x21], np.uint8)],
    )
    assert zeros(found["w"]).numbers.tolist() == [[1, 2]]
    assert kit.nonzeros(found["w"]) == 1


def test_matmul_n_bits_real_zero_points(kit) -> None:
    data = packed_rows(1, 2, 8, *[0x11] * 16)
    weights = [numpy_helper.from_array(data, "w"), scale("scale", 2)]
    nodes = n_bits(["x", "w", "scale", "zero"], K=32, N=1, bits=4)
    whole = kit.tensors(nodes, [*weights, array("zero", [[1.0, 2.0]])])["w"]
    assert kit.nonzeros(whole) == 16
    broken = kit.tensors(nodes, [*weights, array("zero", [[1.5, 2.0]])])["w"]
    assert zeros(broken) is None
    assert "not whole" in broken.note


def test_matmul_n_bits_that_does_not_fit_its_attributes_stays_bytes(kit) -> None:
    found = kit.tensors(
        n_bits(["x", "w", "scale"], K=999, N=2, bits=4),
        [array("w", np.zeros((2, 1, 8)), np.uint8), scale("scale", 2)],
    )
    assert (found["w"].dtype, found["w"].shape) == ("uint8", (2, 1, 8))


@pytest.mark.parametrize(
    ("kind", "codes", "nonzeros"),
    [
        (1, [0, 7, 8, 1], 3),  # NF4: code 7 is 0.0
        (0, [0, 7, 8, 1], 2),  # FP4: code 0 is 0.0 and 8 is -0.0
    ],
)
def test_matmul_bnb4(kit, kind, codes, nonzeros) -> None:
    found = kit.tensors(
        [node("MatMulBnb4", ["x", "w", "a"], ["y"], domain=MICROSOFT, K=4, N=1, quant_type=kind)],
        [array("w", [0x07, 0x81], np.uint8), scale("a", 1)],
    )
    assert (found["w"].dtype, found["w"].shape) == ("uint4", (1, 4))
    stored = kit.values(found["w"])
    assert stored.tolist() == codes  # the high half comes first
    assert np.count_nonzero(found["w"].quantization.nonzero(stored, (1, 4), 0)) == nonzeros


@pytest.mark.parametrize(
    ("data", "bits", "shape", "dtype", "nonzeros"),
    [
        (array("w", [[0x88, 0x98]], np.uint8), 4, (1, 4), "uint4", 1),  # zero at 8
        (array("w", [[128, 128, 0]], np.uint8), 8, (1, 3), "uint8", 1),  # zero at 128
        (
            TensorProto(
                name="w", data_type=TensorProto.INT4, dims=[1, 4], raw_data=bytes([0x80, 0x01])
            ),
            *(4, (1, 4), "int4", 2),  # zero at 0
        ),
    ],
)
def test_gather_block_quantized(kit, data, bits, shape, dtype, nonzeros) -> None:
    nodes = [
        node(
            "GatherBlockQuantized",
            ["w", "ids", "scale"],
            ["y"],
            domain=MICROSOFT,
            bits=bits,
            block_size=16,
        )
    ]
    found = kit.tensors(nodes, [data, array("ids", [0], np.int64), scale("scale", 1, 1)])
    weight = found["w"]
    assert (weight.shape, weight.dtype, weight.role) == (shape, dtype, Role.WEIGHT)
    assert kit.nonzeros(weight) == nonzeros


def test_gather_block_quantized_with_packed_zero_points(kit) -> None:
    data = array("w", [[0x11] * 8 + [0x22] * 8], np.uint8)  # 32 codes, two blocks of 16
    nodes = [
        node(
            "GatherBlockQuantized",
            ["w", "ids", "scale", "zero"],
            ["y"],
            domain=MICROSOFT,
            bits=4,
            block_size=16,
            quantize_axis=1,
        )
    ]
    found = kit.tensors(
        nodes,
        [
            *(data, array("ids", [0], np.int64), scale("scale", 1, 2)),
            array("zero", [[0x31]], np.uint8),  # 1 and 3
        ],
    )
    assert zeros(found["w"]).numbers.tolist() == [[1, 3]]
    assert kit.nonzeros(found["w"]) == 16
