"""In which type the graph computes with a weight, for which node a scale is, and which scale it is.

The values are checked against ONNX's own reference evaluator.
"""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from compaudit.models.base import Role

MICROSOFT = "com.microsoft"
node = helper.make_node


def array(name, values, dtype=np.float32):
    return numpy_helper.from_array(np.array(values, dtype), name)


def quantized(value: str, name: str, axis: int | None = None):
    """Codes, or what is quantised here, through a DequantizeLinear."""
    extra = {} if axis is None else {"axis": axis}
    return node("DequantizeLinear", [value, "s", "z"], [name], **extra)


SCALE = [array("s", 0.5), array("z", 0, np.int8)]
MATRIX = array("w", [[1, 2], [3, 4], [5, 6]], np.int8)


def test_a_float16_weight_behind_a_cast_is_computed_in_float32(kit) -> None:
    found = kit.tensors(
        [node("Cast", ["w"], ["f"], to=TensorProto.FLOAT), node("MatMul", ["x", "f"], ["y"], "mm")],
        [array("w", [[1, 2], [3, 4], [5, 6]], np.float16)],
    )
    assert (found["w"].dtype, found["w"].use.computed) == ("float16", "float32")
    assert (found["w"].use.node, found["w"].use.op) == ("mm", "MatMul")


def test_a_weight_is_computed_as_it_is_stored(kit) -> None:
    found = kit.tensors([node("MatMul", ["x", "w"], ["y"])], [array("w", [[1, 2]] * 3)])
    assert found["w"].use.computed == "float32"


def test_codes_beside_float_data_are_computed_in_float32(kit) -> None:
    """Weight-only quantisation: the runtime multiplies what is dequantised."""
    found = kit.tensors([quantized("w", "d"), node("MatMul", ["x", "d"], ["y"])], [MATRIX, *SCALE])
    assert (found["w"].dtype, found["w"].use.computed) == ("int8", "float32")


def test_codes_beside_codes_are_computed_as_codes(kit) -> None:
    found = kit.tensors(
        [
            node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            quantized("q", "xd"),
            quantized("w", "d"),
            node("MatMul", ["xd", "d"], ["y"], "mm"),
        ],
        [MATRIX, *SCALE],
    )
    assert found["w"].use.computed == "int8"
    assert found["s"].use.node == "mm"


@pytest.mark.parametrize(("behind", "computed"), [(True, "int8"), (False, "float32")])
def test_a_convolution_needs_its_output_quantised_as_well(kit, behind, computed) -> None:
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        quantized("q", "xd"),
        quantized("w", "d"),
        node("Conv", ["xd", "d"], ["c"]),
        node("Relu", ["c"], ["r" if behind else "y"]),
    ]
    if behind:
        nodes += [node("QuantizeLinear", ["r", "s", "z"], ["y"])]
    weight = array("w", np.ones((2, 3, 1, 1)), np.int8)
    shape = helper.make_tensor_value_info("x", 1, ["n", 3, 4, 4])
    found = kit.tensors(nodes, [weight, *SCALE], inputs=[shape])
    assert found["w"].use.computed == computed


def test_fake_quantisation_stores_float32(kit) -> None:
    """Q/DQ around a float weight; beside quantised data it is computed as codes all the same."""
    found = kit.tensors(
        [
            node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            quantized("q", "xd"),
            node("QuantizeLinear", ["w", "s", "z"], ["wq"]),
            quantized("wq", "d"),
            node("MatMul", ["xd", "d"], ["y"]),
        ],
        [array("w", [[1, 2], [3, 4], [5, 6]]), *SCALE],
    )
    assert (found["w"].dtype, found["w"].use.computed) == ("float32", "int8")


@pytest.mark.parametrize(("level", "computed"), [(0, "float32"), (4, "int8")])
def test_matmul_n_bits_computes_in_the_type_of_its_scales(kit, level, computed) -> None:
    found = kit.tensors(
        [
            node(
                "MatMulNBits",
                ["x", "w", "s"],
                ["y"],
                domain=MICROSOFT,
                K=16,
                N=1,
                bits=4,
                block_size=16,
                accuracy_level=level,
            )
        ],
        [array("w", np.zeros((1, 1, 8)), np.uint8), array("s", [1.0])],
    )
    assert (found["w"].dtype, found["w"].use.computed) == ("uint4", computed)


def test_qlinear_operators_compute_on_codes(kit) -> None:
    found = kit.tensors(
        [
            node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            node("QLinearMatMul", ["q", "s", "z", "w", "s", "z", "s", "z"], ["y"]),
        ],
        [MATRIX, *SCALE],
    )
    assert found["w"].use.computed == "int8"


def test_a_bias_that_an_addition_adds_belongs_to_the_product(kit) -> None:
    found = kit.tensors(
        [node("MatMul", ["x", "w"], ["m"], "mm"), node("Add", ["m", "b"], ["y"], "add")],
        [array("w", [[1, 2]] * 3), array("b", [1, 2])],
    )
    assert (found["b"].role, found["b"].use.node) == (Role.BIAS, "mm")


def test_a_written_out_normalisation_is_not_the_product_before_it(kit) -> None:
    found = kit.tensors(
        [
            node("MatMul", ["x", "w"], ["m"], "mm"),
            node("Mul", ["m", "gain"], ["g"], "scale"),
            node("Add", ["g", "b"], ["y"], "add"),
        ],
        [array("w", [[1, 2]] * 3), array("gain", [1, 2]), array("b", [1, 2])],
    )
    assert found["gain"].use.node == "scale"


def test_what_nothing_reads_has_no_use(kit) -> None:
    found = kit.tensors([node("Relu", ["x"], ["y"])], [array("w", [1, 2])])
    assert (found["w"].role, found["w"].use) == (Role.UNUSED, None)


@pytest.mark.parametrize(
    ("values", "role"),
    [
        ([[0, -np.inf], [0, 0]], Role.CONSTANT),  # a causal mask
        ([[0, -65504], [0, 0]], Role.CONSTANT),
        ([[0, -1], [0, 0]], Role.BIAS),
        ([[0, 0], [0, 0]], Role.BIAS),  # a bias that has not learned yet
        ([0, -np.inf], Role.BIAS),  # no table
    ],
)
def test_a_mask_that_is_added_to_scores_is_no_bias(kit, values, role) -> None:
    found = kit.tensors([node("Add", ["x", "m"], ["y"])], [array("m", values)])
    assert found["m"].role is role


# ------------------------------------------------------------------------------- the scales


def values(kit, tensor) -> np.ndarray:
    codes = kit.values(tensor)
    return tensor.quantization.values(codes, tensor.shape, 0).reshape(tensor.shape)


def test_the_scale_of_dynamic_quantisation_is_multiplied_in_behind_the_product(kit) -> None:
    """As ONNX Runtime's quantize_dynamic writes it: Cast, and Mul with both scales."""
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "xs", "xz"]),
        node("MatMulInteger", ["q", "w", "xz", "z"], ["i"], "product"),
        node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["xs", "s"], ["both"]),
        node("Mul", ["f", "both"], ["y"]),
    ]
    path = kit.write(nodes, [MATRIX, array("s", 0.25), array("z", 1, np.int8)])
    found = {tensor.name: tensor for tensor in kit.read(path).tensors}
    assert found["s"].use.node == "product"
    assert found["w"].use.computed == "int8"
    assert found["w"].quantization.scheme((3, 2)) == "per_tensor"
    eye = np.eye(3, dtype=np.float32) * 255  # quantised without error: the steps are exactly one
    (computed,) = ReferenceEvaluator(str(path)).run(None, {"x": eye})
    assert np.allclose(values(kit, found["w"]) * 255, computed)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_values_of_a_channel_wise_weight(kit, axis) -> None:
    shape = [3, 2]
    scale = array("s", np.arange(1, shape[axis] + 1) / 4)
    zero = array("z", np.arange(shape[axis]), np.int8)
    path = kit.write(
        [quantized("w", "d", axis), node("MatMul", ["x", "d"], ["y"])], [MATRIX, scale, zero]
    )
    found = {tensor.name: tensor for tensor in kit.read(path).tensors}
    (computed,) = ReferenceEvaluator(str(path)).run(None, {"x": np.eye(3, dtype=np.float32)})
    assert np.allclose(values(kit, found["w"]), computed)
    assert found["w"].quantization.scheme((3, 2)) == "per_channel"


def test_the_values_of_a_weight_that_is_transposed_on_its_way(kit) -> None:
    path = kit.write(
        [
            node("Transpose", ["w"], ["t"], perm=[1, 0]),
            quantized("t", "d", 1),
            node("MatMul", ["x", "d"], ["y"]),
        ],
        [
            array("w", [[1, 2, 3], [4, 5, 6]], np.int8),
            array("s", [0.5, 2]),
            array("z", [1, 0], np.int8),
        ],
    )
    found = {tensor.name: tensor for tensor in kit.read(path).tensors}
    (computed,) = ReferenceEvaluator(str(path)).run(None, {"x": np.eye(3, dtype=np.float32)})
    assert np.allclose(values(kit, found["w"]), computed.T)
