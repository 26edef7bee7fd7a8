"""Sizes of graphs that no exporter writes: fewer are known, and nothing breaks."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from onnx import FunctionProto, NodeProto, TensorProto, helper, numpy_helper

from compaudit.errors import RequestError
from compaudit.models.base import Source
from compaudit.models.onnx.shapes import infer_shapes

node, info, array = helper.make_node, helper.make_tensor_value_info, numpy_helper.from_array
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def sizes(path: Path) -> dict[str, tuple[int, ...]]:
    return infer_shapes(Source(str(path), "onnx", path=str(path)), {}).values


def test_shape_with_two_results(kit) -> None:
    nodes = [node("Shape", ["x"], ["s", "t"]), node("Relu", ["x"], ["y"])]
    assert "t" not in sizes(kit.write(nodes))


def test_a_condition_out_of_nothing(kit) -> None:
    body = helper.make_graph(
        [NodeProto(op_type="Identity", output=["on"])],
        "body",
        [info("i", INT64, []), info("c", BOOL, [])],
        [info("on", BOOL, [])],
    )
    nodes = [node("Loop", ["n", ""], [], "loop", body=body), node("Relu", ["x"], ["y"])]
    path = kit.write(nodes, [array(np.array(3), "n")])
    assert infer_shapes(Source(str(path), "onnx", path=str(path)), {}).trips == {}


def test_vectors_beyond_all_memory(kit) -> None:
    """ONNX would write out a size for each element of what is added up."""
    nodes = [node("MatMul", ["m", "w"], ["h"]), node("Add", ["x", "x"], ["y"])]
    path = kit.write(
        nodes,
        [array(np.zeros((3, 4), np.float32), "w")],
        inputs=[info("x", FLOAT, [2**62]), info("m", FLOAT, [2, 3])],
    )
    found = sizes(path)
    assert (found["h"], found["y"]) == ((2, 4), (2**62,))


def test_names_that_are_not_utf8(kit) -> None:
    inner = helper.make_graph([node("Relu", ["x"], ["r"])], "g", [], [info("r", FLOAT, None)])
    nodes = [
        node("Relu", ["x"], ["y"], "NAME"),
        node("If", ["c"], ["NAMEz"], then_branch=inner, else_branch=inner),
        node("MatMul", ["x", "NAMEw"], ["q"]),
    ]
    stored = [array(np.array(True), "c"), array(np.zeros((3, 40_000), np.float32), "NAMEw")]
    path = kit.write(nodes, stored, inputs=[info("x", FLOAT, ["NAMEn", 3])])
    path.write_bytes(path.read_bytes().replace(b"NAME", b"\xff\xc9\x80\xed"))
    assert sizes(path)["y"] == (1, 3)


def test_a_function_called_as_the_scope_of_a_subgraph(kit) -> None:
    """Its values are its own: both scopes have a node each, of other sizes."""
    call = node("If_0.then_branch", ["x"], ["y"], domain="")
    inner = helper.make_graph(
        [node("Relu", ["x"], ["a"]), node("Relu", ["a"], ["b"])], "g", [], [info("b", FLOAT, None)]
    )
    function = helper.make_function(
        "", "If_0.then_branch", ["v"], ["t"], [node("Transpose", ["v"], ["t"])],
        [helper.make_opsetid("", 21)],
    )  # fmt: skip
    nodes = [node("If", ["c"], ["q"], then_branch=inner, else_branch=inner), call]
    path = kit.write(nodes, [array(np.array(True), "c")], functions=[function])
    found = sizes(path)
    assert found["y"] == (3, 1)
    assert found["If_0.then_branch/b"] == (1, 3)


@pytest.mark.parametrize("domain", ["", "local"])
def test_a_function_without_a_name(kit, domain) -> None:
    path = kit.write([node("Relu", ["x"], ["y"])], functions=[FunctionProto(domain=domain)])
    with pytest.raises(RequestError, match="has no name"):
        kit.read(path)


def test_functions_in_functions_beyond_any_depth(kit) -> None:
    """What is not written out stays a call: its sizes are unknown, those before it are not."""
    deep = 3000
    names = [*(f"f{n}" for n in range(deep)), "Relu"]
    functions = [
        helper.make_function(
            "local", name, ["a"], ["b"],
            [node(inner, ["a"], ["b"], domain="" if inner == "Relu" else "local")],
            [helper.make_opsetid("", 21), helper.make_opsetid("local", 1)],
        )
        for name, inner in itertools.pairwise(names)
    ]  # fmt: skip
    nodes = [
        node("Relu", ["x"], ["h"]),
        node("f0", ["h"], ["y"], domain="local"),
        node(f"f{deep - 50}", ["h"], ["z"], domain="local"),
    ]
    found = sizes(kit.write(nodes, functions=functions))
    assert found["h"] == found["z"] == (1, 3)
    assert "y" not in found
