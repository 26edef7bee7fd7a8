"""Sizes by inference: open batches, functions, subgraphs, computed sizes, operators of others."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compaudit.models.base import Source
from compaudit.models.onnx.shapes import infer_shapes
from compaudit.models.shapes import Shapes

node, info, array = helper.make_node, helper.make_tensor_value_info, numpy_helper.from_array
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
MS = "com.microsoft"


def infer(path: Path, **inputs: tuple[int, ...]) -> Shapes:
    return infer_shapes(Source(str(path), "onnx", path=str(path)), inputs)


def weight(name: str, *shape: int) -> TensorProto:
    return array(np.zeros(shape, np.float32), name)


def test_open_sizes_come_from_the_inputs(kit) -> None:
    path = kit.write(
        [node("MatMul", ["x", "w"], ["h"]), node("Relu", ["h"], ["y"])],
        [weight("w", 3, 4)],
        inputs=[info("x", FLOAT, ["batch", "length", 3])],
    )
    assert infer(path, x=(1, 7, 3)).values == {
        "x": (1, 7, 3),
        "w": (3, 4),
        "h": (1, 7, 4),
        "y": (1, 7, 4),
    }
    assert "h" not in infer(path).values


def test_a_symbol_is_settled_for_all_inputs(kit) -> None:
    path = kit.write(
        [node("Concat", ["x", "z"], ["y"], axis=1)],
        inputs=[info("x", FLOAT, ["batch", "length"]), info("z", FLOAT, ["batch", "length"])],
    )
    assert infer(path, x=(1, 7)).values["y"] == (1, 14)


def test_what_the_file_says_of_the_batch_does_not_stand_in_the_way(kit) -> None:
    path = kit.write([node("Relu", ["x"], ["y"])], outputs=[info("y", FLOAT, [8, 3])])
    assert infer(path).values["y"] == (1, 3)


def test_weights_are_not_needed(kit, tmp_path) -> None:
    path = kit.write([node("MatMul", ["x", "w"], ["y"])], [weight("w", 3, 40000)])
    assert infer(path).values["y"] == (1, 40000)
    external = tmp_path / "external.onnx"
    onnx.save(onnx.load(path), external, save_as_external_data=True, location="gone")
    (tmp_path / "gone").unlink()
    assert infer(external).values["y"] == (1, 40000)


def test_sizes_that_are_computed(kit) -> None:
    """What exporters write for ``x.view(x.shape[0], -1)`` and an upsampling by two."""
    path = kit.write(
        [
            node("Shape", ["x"], ["s"]),
            node("Gather", ["s", "zero"], ["b"]),
            node("Unsqueeze", ["b", "axis"], ["b1"]),
            node("Concat", ["b1", "rest"], ["to"], axis=0),
            node("Equal", ["to", "minus"], ["same"]),
            node("Where", ["same", "to", "to"], ["to2"]),
            node("Reshape", ["x", "to2"], ["flat"]),
            node("Concat", ["one", "one", "two", "two"], ["scales"], axis=0),
            node("Resize", ["x", "", "scales"], ["y"]),
        ],
        [
            array(np.array(0), "zero"),
            array(np.array([0]), "axis"),
            array(np.array([-1]), "rest"),
            array(np.array([-1]), "minus"),
            array(np.array([1], np.float32), "one"),
            array(np.array([2], np.float32), "two"),
        ],
        inputs=[info("x", FLOAT, ["n", 3, 4, 5])],
    )
    found = infer(path).values
    assert (found["flat"], found["y"]) == ((1, 60), (1, 3, 8, 10))


def test_sizes_that_would_be_huge_are_not_computed(kit) -> None:
    path = kit.write(
        [
            node("ConstantOfShape", ["n"], ["a"]),
            node("Range", ["zero", "many", "step"], ["b"]),
            node("Expand", ["zero", "n"], ["c"]),
            node("Relu", ["x"], ["y"]),
        ],
        [
            array(np.array([2**40]), "n"),
            array(np.array(0), "zero"),
            array(np.array(2**40), "many"),
            array(np.array(1), "step"),
        ],
    )
    assert infer(path).values["a"] == (2**40,)


# ---------------------------------------------------------------- subgraphs and functions


def test_branches(kit) -> None:
    def branch(out: str, columns: int) -> onnx.GraphProto:
        nodes = [node("MatMul", ["x", "w"], ["p"]), node("Relu", ["p"], [out])]
        return helper.make_graph(
            nodes, "b", [], [info(out, FLOAT, None)], [weight("w", 3, columns)]
        )

    nodes = [node("If", ["c"], ["y"], "i", then_branch=branch("t", 4), else_branch=branch("e", 5))]
    path = kit.write(nodes, [array(np.array(True), "c")])
    found = infer(path).values
    assert found["i.then_branch/p"] == (1, 4)
    assert found["i.else_branch/p"] == (1, 5)
    assert found["i.else_branch/w"] == (3, 5)


def loop(condition: str = "going") -> onnx.GraphProto:
    return helper.make_graph(
        [
            node("MatMul", ["state", "w"], ["next"]),
            node("Identity", ["going"], ["same"]),
            node("Not", ["going"], ["other"]),
            node("Identity", [condition], ["go_on"]),
        ],
        "body",
        [info("i", INT64, []), info("going", BOOL, []), info("state", FLOAT, None)],
        [info("go_on", BOOL, []), info("next", FLOAT, None)],
    )


@pytest.mark.parametrize(
    ("first", "condition", "trips"),
    [("", "going", 5), ("yes", "same", 5), ("no", "same", None), ("", "other", None)],
)
def test_trips_of_a_loop(kit, first: str, condition: str, trips: int | None) -> None:
    stored = [array(np.array(5), "n"), array(np.array(True), "yes"), array(np.array(False), "no")]
    path = kit.write(
        [node("Loop", ["n", first, "x"], ["y"], "l", body=loop(condition))],
        [*stored, weight("w", 3, 3)],
    )
    found = infer(path)
    assert found.trips.get("l.body") == trips
    assert found.values["l.body/state"] == found.values["l.body/next"] == (1, 3)


def test_a_trip_count_that_is_an_input_is_not_known(kit) -> None:
    inputs = [info("x", FLOAT, [1, 3]), info("n", INT64, [])]
    nodes = [node("Loop", ["n", "", "x"], ["y"], "l", body=loop())]
    assert infer(kit.write(nodes, [weight("w", 3, 3)], inputs=inputs)).trips == {}


def test_trips_of_a_scan(kit) -> None:
    body = helper.make_graph(
        [node("Add", ["s", "x1"], ["s1"]), node("Identity", ["s1"], ["o"])],
        "body",
        [info("s", FLOAT, [4]), info("x1", FLOAT, [4])],
        [info("s1", FLOAT, [4]), info("o", FLOAT, [4])],
    )
    nodes = [node("Scan", ["s0", "x"], ["s9", "y"], "scan", body=body, num_scan_inputs=1)]
    path = kit.write(nodes, [weight("s0", 4)], inputs=[info("x", FLOAT, [6, 4])])
    assert infer(path).trips == {"scan.body": 6}


def test_functions_are_written_out_for_each_call(kit) -> None:
    opsets = [helper.make_opsetid("", 21)]
    inner = helper.make_function(
        *("local", "Inner", ["p"], ["q"], [node("Relu", ["p"], ["q"])], opsets)
    )
    transposed = node("Transpose", ["b"], ["t"])
    reference = onnx.AttributeProto(name="perm", type=onnx.AttributeProto.INTS)
    reference.ref_attr_name = "order"
    transposed.attribute.append(reference)
    outer = helper.make_function(
        "local",
        "Outer",
        ["a", "b"],
        ["c", "a"],
        [
            transposed,
            node("MatMul", ["a", "t"], ["m"]),
            node("Inner", ["m"], ["c"], domain="local"),
        ],
        [*opsets, helper.make_opsetid("local", 1)],
        attributes=["order"],
    )
    path = kit.write(
        [
            node("Outer", ["x", "w"], ["h", "x2"], domain="local", order=[1, 0]),
            node("Outer", ["h", "v"], ["y", ""], domain="local", order=[0, 1]),
        ],
        [weight("w", 4, 3), weight("v", 4, 5)],
        functions=[inner, outer],
    )
    found = infer(path)
    assert found.values["h"] == (1, 4)
    assert found.values["y"] == (1, 5)
    assert found.values["x2"] == (1, 3)
    assert found.values["h>local::Outer/t"] == (3, 4)
    assert found.values["y>local::Outer/m"] == (1, 5)
    assert found.aliases["h>local::Outer/b"] == "w"
    assert found.aliases["y>local::Outer/c"] == "y"
    assert found.aliases["h>local::Outer/c>local::Inner/p"] == "h>local::Outer/m"


@pytest.mark.slow
def test_functions_that_multiply_do_not_hang(kit) -> None:
    """Forty functions, each calling the next one twice."""
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("local", 1)]
    functions = [
        helper.make_function(
            "local",
            f"F{n}",
            ["a"],
            ["c"],
            [
                node(f"F{n + 1}", ["a"], ["b"], domain="local"),
                node(f"F{n + 1}", ["b"], ["c"], domain="local"),
            ],
            opsets,
        )
        for n in range(40)
    ]
    last = helper.make_function("local", "F40", ["a"], ["c"], [node("Relu", ["a"], ["c"])], opsets)
    path = kit.write([node("F0", ["x"], ["y"], domain="local")], functions=[*functions, last])
    assert infer(path).values["x"] == (1, 3)


# ------------------------------------------------------------------- operators of others


def contrib(kit, op: str, inputs: list[str], *stored: TensorProto, **attributes: object) -> Shapes:
    """The operator between two standard ones, so that its sizes have to get through."""
    path = kit.write(
        [
            node("Relu", ["x"], ["h"]),
            node(op, inputs, ["z"], domain=MS, **attributes),
            node("Relu", ["z"], ["y"]),
        ],
        list(stored),
        inputs=[info("x", FLOAT, ["n", 6, 8])],
    )
    return infer(path)


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "expected"),
    [
        ("FusedMatMul", ["h", "w"], {"alpha": 0.5}, (1, 6, 4)),
        ("FusedMatMul", ["h", "v"], {"transB": 1}, (1, 6, 5)),
        ("FusedMatMul", ["h", "h"], {"transA": 1}, (1, 8, 8)),
        ("MatMulNBits", ["h", "packed", "s"], {"K": 8, "N": 7, "bits": 4}, (1, 6, 7)),
        ("MatMulBnb4", ["h", "packed", "s"], {"K": 8, "N": 7}, (1, 6, 7)),
        ("DynamicQuantizeMatMul", ["h", "w", "s"], {}, (1, 6, 4)),
        ("MatMulIntegerToFloat", ["h", "w", "s", "s"], {}, (1, 6, 4)),
        ("Attention", ["h", "qkv", "b"], {"num_heads": 2}, (1, 6, 8)),
        ("MultiHeadAttention", ["h", "h", "h"], {"num_heads": 2}, (1, 6, 8)),
        ("Gelu", ["h"], {}, (1, 6, 8)),
        ("SkipLayerNormalization", ["h", "h", "b"], {}, (1, 6, 8)),
        ("QLinearAdd", ["h", "s", "s", "h", "s", "s"], {}, (1, 6, 8)),
        ("QLinearConcat", ["s", "s", "h", "s", "s", "h", "s", "s"], {"axis": 1}, (1, 12, 8)),
    ],
)
def test_stand_ins(kit, op: str, inputs: list[str], attributes: dict, expected: tuple) -> None:
    stored = [weight("w", 8, 4), weight("v", 5, 8), weight("qkv", 8, 24), weight("s")]
    stored += [weight("b", 8), array(np.zeros((7, 1, 4), np.uint8), "packed")]
    assert contrib(kit, op, inputs, *stored, **attributes).values["y"] == expected


def test_stand_ins_for_convolutions(kit) -> None:
    nodes = [
        node("FusedConv", ["x", "w"], ["h"], domain=MS, activation="Relu", pads=[1] * 4),
        node("QLinearGlobalAveragePool", ["h", "s", "z", "s", "z"], ["y"], domain=MS),
    ]
    stored = [weight("w", 4, 3, 3, 3), weight("s"), array(np.uint8(0), "z")]
    found = infer(kit.write(nodes, stored, inputs=[info("x", FLOAT, ["n", 3, 8, 8])])).values
    assert (found["h"], found["y"]) == ((1, 4, 8, 8), (1, 4, 1, 1))


def test_what_nobody_knows_is_taken_from_the_file(kit) -> None:
    path = kit.write([node("Magic", ["x"], ["h"], domain="local"), node("Relu", ["h"], ["y"])])
    assert "y" not in infer(path).values
    model = onnx.load(path)
    model.graph.value_info.append(info("h", FLOAT, ["n", 9]))
    path.write_bytes(model.SerializeToString())
    assert infer(path).values["y"] == (1, 9)


def test_a_model_that_inference_refuses_has_the_sizes_it_states(kit) -> None:
    path = kit.write([node("Relu", ["x"], ["y"])], outputs=[info("y", FLOAT, ["n", 3])], opset=999)
    assert infer(path).values == {"x": (1, 3), "y": (1, 3)}


def test_a_state_that_grows_has_no_size(kit) -> None:
    body = helper.make_graph(
        [node("Concat", ["s", "s"], ["t"], axis=0), node("Identity", ["c"], ["c2"])],
        "body",
        [info("i", INT64, []), info("c", BOOL, []), info("s", FLOAT, None)],
        [info("c2", BOOL, []), info("t", FLOAT, None)],
    )
    path = kit.write(
        [node("Loop", ["n", "", "x"], ["y"], "l", body=body)], [array(np.array(5), "n")]
    )
    found = infer(path)
    assert found.trips == {"l.body": 5}
    assert not {"l.body/s", "l.body/t"} & found.values.keys()
