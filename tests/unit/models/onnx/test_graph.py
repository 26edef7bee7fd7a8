"""Neutral nodes: attributes, scopes, names, and what the file states about values."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compaudit.models.onnx.attributes import MARKER, plain_attributes

node = helper.make_node
info = helper.make_tensor_value_info


def test_attributes_are_plain_python() -> None:
    small = numpy_helper.from_array(np.arange(3), "")
    large = numpy_helper.from_array(np.zeros(2000), "")
    lists = {"ints": [1, 2], "floats": [0.5], "strings": ["a"]}
    proto = node("Op", [], [], i=1, f=0.5, s="text", t=small, big=large, **lists)
    found = plain_attributes(proto.attribute)
    assert found.pop("t").tolist() == [0, 1, 2]
    assert found == {
        "i": 1,
        "f": 0.5,
        "s": "text",
        "ints": [1, 2],
        "floats": [0.5],
        "strings": ["a"],
        "big": MARKER,
    }


def test_attributes_of_files_that_leave_out_the_type() -> None:
    proto = node("Op", [], [], group=2, pads=[1, 1])
    for attribute in proto.attribute:
        attribute.ClearField("type")
    assert plain_attributes(proto.attribute) == {"group": 2, "pads": [1, 1]}


def test_absent_inputs_and_unnamed_nodes(kit) -> None:
    top = numpy_helper.from_array(np.float32(1), "top")
    path = kit.write([node("Clip", ["x", "", "top"], ["y"])], [top])
    (clip,) = kit.read(path).graph.nodes
    assert (clip.name, clip.inputs, clip.domain) == ("Clip_0", ("x", "", "top"), "")


def test_the_second_spelling_of_the_standard_domain(kit) -> None:
    path = kit.write([node("Relu", ["x"], ["y"], domain="ai.onnx")])
    assert kit.read(path).graph.nodes[0].domain == ""


def test_inputs_outputs_and_values(kit) -> None:
    path = kit.write(
        [node("Relu", ["x"], ["h"]), node("Relu", ["h"], ["y"])],
        inputs=[info("x", TensorProto.FLOAT16, ["batch", None, 3])],
        outputs=[helper.make_value_info("y", helper.make_sequence_type_proto(onnx.TypeProto()))],
    )
    model = onnx.load(path)
    model.graph.value_info.append(info("h", TensorProto.INT64, []))
    path.write_bytes(model.SerializeToString())
    graph = kit.read(path).graph
    assert [(v.name, v.dtype, v.shape) for v in graph.inputs] == [
        ("x", "float16", ("batch", None, 3))
    ]
    assert [(v.name, v.dtype, v.shape) for v in graph.outputs] == [("y", "sequence(unknown)", None)]
    assert [(v.name, v.dtype, v.shape) for v in graph.values] == [("h", "int64", ())]


def test_subgraph_nodes_follow_the_node_that_holds_them(kit) -> None:
    def branch():
        return helper.make_graph([node("Relu", ["x"], ["z"], "r")], "b", [], [info("z", 1, None)])

    nodes = [
        node("If", ["c"], ["y"], "same", then_branch=branch(), else_branch=branch()),
        node("If", ["c"], ["q"], "same", then_branch=branch(), else_branch=branch()),
    ]
    graph = kit.read(kit.write(nodes, [numpy_helper.from_array(np.array(True), "c")])).graph
    assert [n.op for n in graph.nodes] == ["If", "Relu", "Relu", "If", "Relu", "Relu"]
    assert [n.scope for n in graph.nodes if n.op == "Relu"] == [
        "same.else_branch",  # onnx.helper sorts attributes by name
        "same.then_branch",
        "same.else_branch#2",
        "same.then_branch#2",
    ]
    assert graph.nodes[0].attributes["then_branch"] == "same.then_branch"
    assert len({output for n in graph.nodes for output in n.outputs}) == 6
