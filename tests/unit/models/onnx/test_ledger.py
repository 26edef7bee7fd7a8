"""What is counted, and as what: the traps of counting stored tensors, numbers derived by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compaudit.errors import RequestError
from compaudit.models.base import Role

node = helper.make_node
info = helper.make_tensor_value_info


def f32(name, *shape, value=1.0):
    return numpy_helper.from_array(np.full(shape, value, np.float32), name)


def i64(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def roles(tensors):
    return {name: tensor.role for name, tensor in tensors.items()}


# ----------------------------------------------------------------------- where tensors stand


def test_initializers_of_a_linear_layer(kit) -> None:
    found = kit.tensors([node("Gemm", ["x", "w", "b"], ["y"])], [f32("w", 3, 4), f32("b", 4)])
    assert roles(found) == {"w": Role.WEIGHT, "b": Role.BIAS}
    assert (found["w"].bytes, found["b"].bytes) == (48, 16)
    assert found["w"].shape == (3, 4)


def test_graph_bytes_are_what_is_not_a_tensor(kit) -> None:
    path = kit.write([node("MatMul", ["x", "w"], ["y"])], [f32("w", 3, 4)])
    bare = onnx.load(path)
    bare.graph.initializer[0].ClearField("raw_data")
    model = kit.read(path)
    # the tag and the length of raw_data, two bytes, belong to the graph
    assert path.stat().st_size - model.tensors[0].bytes == bare.ByteSize() + 2


def test_initializers_listed_as_inputs_are_not_inputs(kit) -> None:
    path = kit.write(
        [node("MatMul", ["x", "w"], ["y"])],
        [f32("w", 3, 4)],
        inputs=[info("x", 1, ["n", 3]), info("w", 1, [3, 4])],
    )
    model = kit.read(path)
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert model.graph.inputs[0].shape == ("n", 3)
    assert model.tensors[0].role is Role.WEIGHT


@pytest.mark.parametrize(
    ("fields", "dtype", "shape", "size"),
    [
        ({"value": f32("", 3, 2)}, "float32", (3, 2), 24),
        ({"value_float": 2.0}, "float32", (), 4),
        ({"value_floats": [1.0, 2.0, 3.0]}, "float32", (3,), 12),
        ({"value_int": 300}, "int64", (), 2),  # a varint holds seven bits a byte
        ({"value_int": -1}, "int64", (), 10),
        ({"value_ints": [1, 127, 128]}, "int64", (3,), 4),
        ({"value_string": "four"}, "string", (), 4),
        ({"value_strings": ["a", "bc"]}, "string", (2,), 3),
    ],
)
def test_constant_nodes(kit, fields, dtype, shape, size) -> None:
    found = kit.tensors([node("Constant", [], ["c"], **fields), node("MatMul", ["x", "c"], ["y"])])
    tensor = found["c"]
    assert (tensor.dtype, tensor.shape, tensor.bytes) == (dtype, shape, size)
    assert tensor.role is Role.WEIGHT


def test_constant_of_shape_weight_costs_its_one_value(kit) -> None:
    fill = helper.make_tensor("v", TensorProto.FLOAT, [1], [0.5])
    found = kit.tensors(
        [node("ConstantOfShape", ["s"], ["w"], value=fill), node("MatMul", ["x", "w"], ["y"])],
        [i64("s", 3, 1000)],
    )
    tensor = found["w"]
    assert (tensor.logical_elements, tensor.stored_elements, tensor.bytes) == (3000, 1, 4)
    assert tensor.fill
    assert tensor.role is Role.WEIGHT
    assert kit.values(tensor).tolist() == [0.5]
    assert found["s"].role is Role.CONSTANT


def test_constant_of_shape_without_a_value_stores_nothing(kit) -> None:
    found = kit.tensors(
        [node("ConstantOfShape", ["s"], ["h"]), node("GRU", ["x", "w", "r", "", "", "h"], ["y"])],
        [i64("s", 1, 1, 2), f32("w", 1, 6, 3), f32("r", 1, 6, 2)],
    )
    assert (found["h"].role, found["h"].bytes, found["h"].shape) == (Role.BUFFER, 0, (1, 1, 2))


def test_constant_of_shape_whose_shape_is_computed_is_a_constant(kit) -> None:
    fill = helper.make_tensor("v", TensorProto.FLOAT, [1], [0.5])
    found = kit.tensors(
        [
            node("Shape", ["x"], ["s"]),
            node("ConstantOfShape", ["s"], ["w"], value=fill),
            node("Mul", ["x", "w"], ["y"]),
        ]
    )
    assert (found["w"].role, found["w"].bytes) == (Role.CONSTANT, 0)


def test_subgraphs_of_an_if(kit) -> None:
    def branch(value):
        return helper.make_graph(
            [node("MatMul", ["x", "w"], ["z"])],
            "branch",
            [],
            [info("z", 1, None)],
            [f32("w", 3, 2, value=value)],
        )

    path = kit.write(
        [
            node("If", ["c"], ["h"], "choose", then_branch=branch(1), else_branch=branch(2)),
            node("Gemm", ["h", "v"], ["y"]),
        ],
        [numpy_helper.from_array(np.array(True), "c"), f32("v", 2, 2)],
    )
    model = kit.read(path)
    found = {tensor.name: tensor for tensor in model.tensors}
    then, other = "choose.then_branch/w", "choose.else_branch/w"
    assert found[then].role is found[other].role is found["v"].role is Role.WEIGHT
    assert found["c"].role is Role.CONSTANT
    inner = [n for n in model.graph.nodes if n.scope == "choose.then_branch"]
    assert inner[0].inputs == ("x", then)
    assert kit.values(found[other]).tolist() == [2.0] * 6


def test_outer_value_carried_into_a_loop_body(kit) -> None:
    body = helper.make_graph(
        [node("Identity", ["on"], ["on_out"]), node("MatMul", ["h", "inner"], ["h_out"])],
        "body",
        [info("i", 7, []), info("on", 9, []), info("h", 1, None), info("inner", 1, None)],
        [info("on_out", 9, []), info("h_out", 1, None), info("inner", 1, None)],
    )
    found = kit.tensors(
        [node("Loop", ["m", "", "x", "w"], ["y", "w_out"], body=body)],
        [i64("m", 3), f32("w", 3, 3)],
    )
    assert roles(found) == {"m": Role.CONSTANT, "w": Role.WEIGHT}


def test_scan_inputs_reach_the_body(kit) -> None:
    body = helper.make_graph(
        [node("Add", ["state", "row"], ["sum"]), node("Identity", ["sum"], ["out"])],
        "body",
        [info("state", 1, [3]), info("row", 1, [3])],
        [info("sum", 1, [3]), info("out", 1, [3])],
    )
    found = kit.tensors(
        [node("Scan", ["start", "x"], ["last", "y"], body=body, num_scan_inputs=1)],
        [f32("start", 3)],
    )
    assert found["start"].role is Role.BIAS


def test_weights_in_a_function_body_and_passed_to_one(kit) -> None:
    function = helper.make_function(
        "local",
        "Layer",
        ["a", "k"],
        ["o"],
        [
            node("Constant", [], ["inner"], value=f32("", 4, 2)),
            node("MatMul", ["a", "k"], ["h"]),
            node("MatMul", ["h", "inner"], ["o"]),
        ],
        [helper.make_opsetid("", 21)],
    )
    path = kit.write(
        [node("Layer", ["x", "w"], ["y"], domain="local")], [f32("w", 3, 4)], functions=[function]
    )
    model = kit.read(path)
    found = {tensor.name: tensor for tensor in model.tensors}
    assert roles(found) == {"w": Role.WEIGHT, "local::Layer/inner": Role.WEIGHT}
    assert [n.op for n in model.graph.nodes] == ["Layer", "Constant", "MatMul", "MatMul"]
    assert model.graph.nodes[1].scope == "local::Layer"


def test_functions_that_call_one_another_are_refused(kit) -> None:
    def function(name, other):
        call = node(other, ["a"], ["o"], domain="local")
        return helper.make_function(
            "local", name, ["a"], ["o"], [call], [helper.make_opsetid("local", 1)]
        )

    path = kit.write(
        [node("F", ["x"], ["y"], domain="local")],
        functions=[function("F", "G"), function("G", "F")],
    )
    with pytest.raises(RequestError, match="calls itself") as caught:
        kit.read(path)
    assert caught.value.code == "broken-model"
    assert caught.value.model == str(path)


def test_a_thousand_functions_in_a_row_are_no_problem(kit) -> None:
    functions = [
        helper.make_function(
            "local",
            f"F{number}",
            ["a"],
            ["o"],
            [node(f"F{number + 1}", ["a"], ["o"], domain="local")],
            [helper.make_opsetid("local", 1)],
        )
        for number in range(1000)
    ]
    last = helper.make_function(
        "local", "F1000", ["a"], ["o"], [node("Relu", ["a"], ["o"])], [helper.make_opsetid("", 21)]
    )
    path = kit.write([node("F0", ["x"], ["y"], domain="local")], functions=[*functions, last])
    assert len(kit.read(path).graph.nodes) == 1002


@pytest.mark.parametrize("depth", [30, 1000])
def test_deeply_nested_subgraphs_end_in_an_answer(kit, depth) -> None:
    # Written by hand: onnx cannot build a thousand levels without exhausting the stack itself.
    def field(number, body):
        size, length = len(body), b""
        while size >= 0x80:
            length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + body

    graph = b""
    for _ in range(depth):
        attribute = field(1, b"then_branch") + field(6, graph) + bytes([0xA0, 0x01, 5])
        graph = field(1, field(4, b"If") + field(5, attribute))
    path = kit.folder / "deep.onnx"
    path.write_bytes(b"\x08\x0a" + field(7, graph))
    if depth == 30:
        assert len(kit.read(path).graph.nodes) == depth
    else:
        with pytest.raises(RequestError) as caught:
            kit.read(path)
        assert caught.value.code == "broken-model"


def test_sparse_initializer_costs_values_and_indices(kit) -> None:
    values = numpy_helper.from_array(np.array([1.0, 2.0], np.float32), "w")
    sparse = helper.make_sparse_tensor(values, i64("", 0, 7), [3, 4])
    tensor = kit.tensors([node("MatMul", ["x", "w"], ["y"])], sparse=[sparse])["w"]
    assert tensor.logical_elements == 12
    assert tensor.stored_elements == 2 + 2
    assert tensor.bytes == 2 * 4 + 2 * 8
    assert tensor.role is Role.WEIGHT
    assert kit.values(tensor).tolist() == [1.0, 2.0]


def test_sparse_constant_node(kit) -> None:
    values = numpy_helper.from_array(np.array([5.0], np.float32), "")
    sparse = helper.make_sparse_tensor(values, i64("", 3), [3, 3])
    constant = node("Constant", [], ["w"], sparse_value=sparse)
    tensor = kit.tensors([constant, node("MatMul", ["x", "w"], ["y"])])["w"]
    assert (tensor.shape, tensor.stored_elements, tensor.bytes) == ((3, 3), 2, 4 + 8)


def test_training_state_is_unused(kit) -> None:
    path = kit.write([node("MatMul", ["x", "w"], ["y"])], [f32("w", 3, 4)])
    model = onnx.load(path)
    state = model.training_info.add()
    state.algorithm.CopyFrom(
        helper.make_graph([node("Neg", ["m"], ["n"])], "a", [], [], [f32("m", 3, 4)])
    )
    path.write_bytes(model.SerializeToString())
    read = kit.read(path)
    assert {t.name: t.role for t in read.tensors} == {
        "w": Role.WEIGHT,
        "training_0.algorithm/m": Role.UNUSED,
    }
    assert len(read.graph.nodes) == 1


def test_classical_model_keeps_its_weights_in_attributes(kit) -> None:
    classifier = node(
        "LinearClassifier",
        ["x"],
        ["label", "y"],
        "linear",
        domain="ai.onnx.ml",
        coefficients=[0.1] * 6,
        intercepts=[0.0, 1.0],
        classlabels_ints=[0, 1],
    )
    found = kit.tensors([classifier])
    assert roles(found) == {"linear.coefficients": Role.WEIGHT, "linear.intercepts": Role.BIAS}
    assert found["linear.coefficients"].bytes == 24


# ------------------------------------------------------------------------------ what they are for


def test_unused_and_several_uses(kit) -> None:
    found = kit.tensors(
        [node("Add", ["x", "t"], ["h"]), node("MatMul", ["h", "t"], ["y"])],
        [f32("t", 3, 3), f32("nobody", 2)],
    )
    assert roles(found) == {"t": Role.WEIGHT, "nobody": Role.UNUSED}  # weight beats bias


def test_a_tensor_that_only_feeds_a_dead_cast_is_unused(kit) -> None:
    found = kit.tensors(
        [node("Relu", ["x"], ["y"]), node("Cast", ["t"], ["dead"], to=TensorProto.FLOAT16)],
        [f32("t", 3)],
    )
    assert found["t"].role is Role.UNUSED


def test_a_stored_output_is_not_guessed(kit) -> None:
    found = kit.tensors(
        [node("Relu", ["x"], ["y"])],
        [f32("table", 2, 2), i64("classes", 1, 2)],
        outputs=[info("y", 1, None), info("table", 1, [2, 2]), info("classes", 7, [2])],
    )
    assert roles(found) == {"table": Role.UNCLASSIFIED, "classes": Role.CONSTANT}


def test_batch_normalization(kit) -> None:
    names = ["scale", "shift", "mean", "var"]
    found = kit.tensors(
        [node("BatchNormalization", ["x", *names], ["y"])], [f32(name, 3) for name in names]
    )
    assert list(roles(found).values()) == [Role.WEIGHT, Role.BIAS, Role.BUFFER, Role.BUFFER]


def test_lstm(kit) -> None:
    # 4 gates x hidden 2: W 8x3, R 8x2, B both biases 16, P 3 peepholes x 2
    names = {"w": (1, 8, 3), "r": (1, 8, 2), "b": (1, 16), "h": (1, 1, 2), "p": (1, 6)}
    found = kit.tensors(
        [node("LSTM", ["x", "w", "r", "b", "", "h", "", "p"], ["y"], hidden_size=2)],
        [f32(name, *shape) for name, shape in names.items()],
    )
    assert roles(found) == {
        "w": Role.WEIGHT,
        "r": Role.WEIGHT,
        "p": Role.WEIGHT,
        "b": Role.BIAS,
        "h": Role.BUFFER,
    }
    parameters = sum(t.logical_elements for t in found.values() if t.role is not Role.BUFFER)
    assert parameters == 24 + 16 + 16 + 6


def test_embedding_and_integer_table(kit) -> None:
    found = kit.tensors(
        [
            node("Gather", ["table", "ids"], ["h"]),
            node("Gather", ["sizes", "ids"], ["s"]),
            node("Reshape", ["h", "s"], ["y"]),
        ],
        [f32("table", 10, 3), i64("sizes", 1, 2, 3), i64("ids", 0)],
    )
    assert roles(found) == {"table": Role.WEIGHT, "sizes": Role.CONSTANT, "ids": Role.CONSTANT}


def test_element_wise_operands(kit) -> None:
    found = kit.tensors(
        [
            node("Mul", ["x", "scale"], ["a"]),
            node("Add", ["a", "shift"], ["b"]),
            node("Mul", ["b", "half"], ["y"]),
        ],
        [f32("scale", 3), f32("shift", 3), f32("half", value=0.5)],
    )
    assert list(roles(found).values()) == [Role.WEIGHT, Role.BIAS, Role.CONSTANT]


def test_half_precision_storage_with_a_cast(kit) -> None:
    half = numpy_helper.from_array(np.ones((3, 4), np.float16), "w")
    cast = node("Cast", ["w"], ["w32"], to=TensorProto.FLOAT)
    tensor = kit.tensors([cast, node("MatMul", ["x", "w32"], ["y"])], [half])["w"]
    assert (tensor.role, tensor.dtype, tensor.bytes) == (Role.WEIGHT, "float16", 24)


def test_weight_seen_through_transpose_and_reshape(kit) -> None:
    found = kit.tensors(
        [
            node("Transpose", ["w"], ["t"]),
            node("Reshape", ["t", "shape"], ["r"]),
            node("MatMul", ["x", "r"], ["y"]),
        ],
        [f32("w", 4, 3), i64("shape", 3, 4)],
    )
    assert roles(found) == {"w": Role.WEIGHT, "shape": Role.CONSTANT}


def test_integer_weight_with_its_scale_written_out(kit) -> None:
    weight = numpy_helper.from_array(np.ones((3, 4), np.int8), "w")
    zero = numpy_helper.from_array(np.zeros(4, np.int8), "zero")
    found = kit.tensors(
        [
            node("Cast", ["w"], ["wf"], to=1),
            node("Cast", ["zero"], ["zf"], to=1),
            node("Sub", ["wf", "zf"], ["shifted"]),
            node("Mul", ["shifted", "scale"], ["real"]),
            node("MatMul", ["x", "real"], ["y"]),
        ],
        [weight, zero, f32("scale", 4)],
    )
    assert roles(found) == {"w": Role.WEIGHT, "zero": Role.QUANTIZATION, "scale": Role.QUANTIZATION}


def test_pruning_mask_written_out_as_where(kit) -> None:
    mask = numpy_helper.from_array(np.ones((3, 4), np.bool_), "mask")
    found = kit.tensors(
        [node("Where", ["mask", "w", "zero"], ["p"]), node("MatMul", ["x", "p"], ["y"])],
        [mask, f32("w", 3, 4), f32("zero", value=0)],
    )
    assert list(roles(found).values()) == [Role.CONSTANT, Role.WEIGHT, Role.CONSTANT]


def test_unknown_operator_leaves_its_operand_unclassified(kit) -> None:
    found = kit.tensors([node("Magic", ["x", "w"], ["y"], domain="local")], [f32("w", 3)])
    assert found["w"].role is Role.UNCLASSIFIED


# --------------------------------------------------------------------------- broken on purpose


def test_names_used_twice_stay_apart(kit) -> None:
    found = kit.tensors([node("MatMul", ["x", "w"], ["y"])], [f32("w", 3, 4), f32("w", 3, 4)])
    assert list(found) == ["w", "w#2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.dims.__setitem__(0, 2**40), "needs"),
        (lambda t: t.dims.__setitem__(0, -3), "has the shape"),
        (lambda t: setattr(t, "raw_data", t.raw_data[:-1]), "has 47"),
        (lambda t: setattr(t, "data_type", 99), "element type 99"),
        (lambda t: setattr(t, "data_type", 0), "element type 0"),
        (lambda t: t.ClearField("raw_data"), "has 0 numbers"),
    ],
)
def test_tensors_that_lie(kit, change, message) -> None:
    weight = f32("w", 3, 4)
    change(weight)
    with pytest.raises(RequestError, match=message) as caught:
        kit.read(kit.write([node("MatMul", ["x", "w"], ["y"])], [weight]))
    assert caught.value.code == "broken-model"


def test_constant_of_shape_too_large_for_a_report(kit) -> None:
    path = kit.write(
        [node("ConstantOfShape", ["s"], ["w"]), node("MatMul", ["x", "w"], ["y"])],
        [i64("s", 2**62, 2**62)],
    )
    with pytest.raises(RequestError, match="impossible shape"):
        kit.read(path)


def test_dynamic_quantisation_per_channel(kit) -> None:
    weight = numpy_helper.from_array(np.full((3, 2), 5, np.uint8), "w")
    zero = numpy_helper.from_array(np.array([5, 0], np.uint8), "zero")
    found = kit.tensors(
        [
            node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"]),
            node("MatMulInteger", ["q", "w", "qz", "zero"], ["i"]),
            node("Cast", ["i"], ["f"], to=1),
            node("Mul", ["qs", "scale"], ["both"]),
            node("Mul", ["f", "both"], ["m"]),
            node("Add", ["m", "bias"], ["y"]),
        ],
        [weight, zero, f32("scale", 2), f32("bias", 2)],
    )
    assert roles(found) == {
        "w": Role.WEIGHT,
        "zero": Role.QUANTIZATION,
        "scale": Role.QUANTIZATION,
        "bias": Role.BIAS,
    }
    assert kit.nonzeros(found["w"]) == 3  # the first column is all zero point
