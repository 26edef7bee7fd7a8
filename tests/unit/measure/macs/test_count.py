"""Adding up: branches, loops, functions, weights and their zeros, and what cannot be counted."""

from collections.abc import Mapping
from typing import Any

import pytest

from compaudit.measure.macs.count import MacCount, count_macs
from compaudit.models.base import Graph, Model, Node, Role, Source, Tensor
from compaudit.models.shapes import Shapes

Sizes = Mapping[str, tuple[int, ...]]


def tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    return Tensor(name, Role.WEIGHT, "float32", shape, 0, 0)


def count(
    nodes: list[Node],
    stored: Sizes,
    sizes: Sizes,
    share: Mapping[str, float] | None = None,
    **more: Any,
) -> MacCount:
    tensors = tuple(tensor(name, shape) for name, shape in stored.items())
    model = Model(Source("m", "onnx"), tensors, Graph(tuple(nodes), (), ()), ())
    counted = count_macs(model, Shapes(dict(sizes), **more), share or {})
    assert counted is not None
    return counted


def product(name: str, left: str, right: str, out: str, scope: str = "") -> Node:
    return Node(name, "MatMul", (left, right), (out,), scope=scope)


def test_a_model_without_a_graph_has_no_count() -> None:
    assert count_macs(Model(Source("m", "safetensors"), (), None, ()), Shapes({}), {}) is None


def test_a_graph_without_nodes() -> None:
    counted = count([], {}, {})
    assert (counted.total, counted.coverage) == (0, None)


def test_sums_and_layers() -> None:
    nodes = [product("a", "x", "w", "h"), Node("r", "Relu", ("h",), ("y",))]
    counted = count(nodes, {"w": (3, 4)}, {"x": (2, 3)}, {"w": 0.25})
    assert (counted.total, counted.nonzero, counted.coverage) == (24, 6, 1.0)
    (node,) = counted.per_node
    assert (node.name, node.op, node.macs, node.nonzero, node.weight) == ("a", "MatMul", 24, 6, "w")


def test_zero_skipping_is_exact_for_large_layers() -> None:
    # 999,983 of 3 million weights are not zero, each is used a million times
    nodes = [product("a", "x", "w", "y")]
    counted = count(nodes, {"w": (1000, 3000)}, {"x": (10**6, 1000)}, {"w": 999_983 / 3_000_000})
    assert counted.nonzero == 999_983 * 10**6


def test_weights_are_found_behind_what_carries_them() -> None:
    chain = [
        Node("q", "DequantizeLinear", ("w", "s"), ("w1",)),
        Node("t", "Transpose", ("w1",), ("w2",)),
        Node("c", "Cast", ("w2",), ("w3",)),
        Node("v", "Reshape", ("w3", "to"), ("w4",)),
        product("a", "x", "w4", "y"),
    ]
    counted = count(chain, {"w": (4, 3)}, {"x": (2, 3), "w4": (3, 4)}, {"w": 0.5})
    assert counted.per_node[0].weight == "w"
    assert (counted.total, counted.nonzero) == (24, 12)


def test_a_computed_operand_is_no_weight() -> None:
    nodes = [Node("m", "Mul", ("w", "x"), ("h",)), product("a", "x", "h", "y")]
    counted = count(nodes, {"w": (3, 4)}, {"x": (2, 3), "h": (3, 4)}, {"w": 0.0})
    assert (counted.nonzero, counted.per_node[0].weight) == (24, None)


def test_a_weight_on_the_left() -> None:
    counted = count([product("a", "w", "x", "y")], {"w": (2, 3)}, {"x": (3, 4)}, {"w": 0.5})
    assert (counted.nonzero, counted.per_node[0].weight) == (12, "w")


def test_both_matrices_of_a_recurrent_layer_have_their_own_zeros() -> None:
    node = Node("l", "LSTM", ("x", "W", "R"), ("y",))
    stored = {"W": (1, 24, 5), "R": (1, 24, 6)}
    counted = count([node], stored, {"x": (7, 1, 5)}, {"W": 0.5, "R": 0.25})
    assert (counted.total, counted.nonzero) == (840 + 1008, 420 + 252)


# ---------------------------------------------------------------------------- not counted


def test_unknown_operators_are_listed_once() -> None:
    nodes = [
        Node("a", "Magic", ("x",), ("h",), domain="mine"),
        Node("b", "Magic", ("h",), ("i",), domain="mine"),
        Node("c", "ImageDecoder", ("i",), ("j",)),
        Node("d", "Relu", ("j",), ("y",)),
    ]
    counted = count(nodes, {}, {})
    assert counted.coverage == 0.25
    assert counted.uncounted_ops == ["ImageDecoder", "mine::Magic"]
    assert counted.uncounted_contractions == ["mine::Magic"]


def test_an_unknown_size_is_not_guessed() -> None:
    nodes = [product("a", "x", "w", "h"), product("b", "h", "w", "y")]
    counted = count(nodes, {"w": (3, 3)}, {"x": (2, 3)})
    assert (counted.total, counted.coverage) == (18, 0.5)
    assert counted.uncounted_ops == counted.uncounted_contractions == ["MatMul"]
    assert counted.unknown_shapes == ["h"]


def test_a_constant_of_unknown_shape_has_none() -> None:
    fill = Tensor("w", Role.CONSTANT, "float32", (), 1, 0, fill=True)
    graph = Graph((product("a", "x", "w", "y"),), (), ())
    model = Model(Source("m", "onnx"), (fill,), graph, ())
    counted = count_macs(model, Shapes({"x": (2, 3)}), {})
    assert counted is not None
    assert counted.unknown_shapes == ["w"]


def test_impossible_sizes() -> None:
    huge = {"x": (2**40, 2**40)}
    counted = count([product("a", "x", "w", "y")], {"w": (2**40, 2**40)}, huge)
    assert (counted.total, counted.uncounted_ops) == (0, ["MatMul"])
    one = {"x": (2**30, 2**31)}
    nodes = [product(str(n), "x", "w", "y") for n in range(3)]
    counted = count(nodes, {"w": (2**31, 2)}, one)
    assert counted.total is None
    assert counted.per_node == []


# ------------------------------------------------------------------------ control flow

BRANCHES = {"then_branch": "i.then_branch", "else_branch": "i.else_branch"}


def test_the_larger_branch_counts() -> None:
    nodes = [
        Node("i", "If", ("c",), ("y",), BRANCHES),
        product("a", "x", "w", "p", "i.then_branch"),
        product("b", "x", "v", "q", "i.else_branch"),
        product("c", "q", "u", "r", "i.else_branch"),
    ]
    stored = {"w": (3, 4), "v": (3, 4), "u": (4, 1)}
    counted = count(nodes, stored, {"x": (2, 3), "q": (2, 4)})
    assert (counted.total, counted.coverage) == (24 + 8, 1.0)
    assert [node.name for node in counted.per_node] == ["i.else_branch/b", "i.else_branch/c"]


@pytest.mark.parametrize("op", ["Loop", "Scan"])
def test_a_body_counts_as_often_as_it_runs(op: str) -> None:
    nodes = [
        Node("l", op, ("n", "", "x"), ("y",), {"body": "l.body", "num_scan_inputs": 1}),
        product("a", "l.body/s", "w", "l.body/t", "l.body"),
    ]
    sizes = {"l.body/s": (2, 3)}
    counted = count(nodes, {"w": (3, 3)}, sizes, {"w": 0.5}, trips={"l.body": 5})
    assert (counted.total, counted.nonzero) == (90, 45)
    unknown = count(nodes, {"w": (3, 3)}, sizes)
    assert (unknown.total, unknown.uncounted_contractions) == (0, [op])
    never = count(nodes, {"w": (3, 3)}, sizes, trips={"l.body": 0})
    assert (never.total, never.coverage) == (0, 1.0)


def test_a_loop_without_contractions_needs_no_trip_count() -> None:
    nodes = [
        Node("l", "Loop", ("n", "", "x"), ("y",), {"body": "l.body"}),
        Node("a", "Relu", ("l.body/s",), ("l.body/t",), scope="l.body"),
    ]
    assert count(nodes, {}, {}).coverage == 1.0
    assert count(nodes[:1], {}, {}).coverage == 1.0


def test_a_function_counts_once_per_call_with_the_sizes_of_each() -> None:
    nodes = [
        Node("f1", "F", ("x", "w"), ("h",), domain="local"),
        Node("f2", "F", ("h", "v"), ("y",), domain="local"),
        product("m", "local::F/a", "local::F/b", "local::F/c", "local::F"),
    ]
    aliases = {
        "h>local::F/a": "x",
        "h>local::F/b": "w",
        "h>local::F/c": "h",
        "y>local::F/a": "h",
        "y>local::F/b": "v",
        "y>local::F/c": "y",
    }
    stored = {"w": (3, 4), "v": (4, 5)}
    sizes = {"x": (2, 3), "h": (2, 4), "y": (2, 5)}
    counted = count(nodes, stored, sizes, {"w": 0.5}, aliases=aliases)
    assert [(n.name, n.macs, n.weight) for n in counted.per_node] == [
        ("h>local::F/m", 24, "w"),
        ("y>local::F/m", 40, "v"),
    ]
    assert (counted.total, counted.nonzero, counted.coverage) == (64, 52, 1.0)


def test_overloads_of_a_function() -> None:
    nodes = [
        Node("f", "F", ("x",), ("y",), domain="local"),
        product("m", "x", "w", "c", "local::F::float"),
        Node("g", "local", ("x",), ("z",)),
    ]
    aliases = {"y>x": "x"}
    counted = count(nodes, {"w": (3, 4)}, {"x": (2, 3)}, aliases=aliases)
    assert (counted.total, counted.uncounted_ops) == (24, ["local"])


def test_functions_that_multiply_do_not_hang() -> None:
    """Sixty functions, each calling the next one twice: 2⁶⁰ calls."""
    nodes = []
    for n in range(60):
        scope = f"l::F{n - 1}" if n else ""
        nodes += [
            Node(f"{n}{k}", f"F{n}", ("x",), (f"y{n}{k}",), domain="l", scope=scope) for k in "ab"
        ]
    nodes.append(product("m", "a", "b", "c", "l::F59"))
    counted = count(nodes, {}, {})
    assert counted.uncounted_contractions != []


def test_torch_control_flow() -> None:
    graph = {"argument_names": ("self", "mat2")}
    nodes = [
        Node("cond", "higher_order.cond", ("x",), ("y",), {}, "torch"),
        Node("a", "aten.mm.default", ("x", "w"), ("p",), graph, "torch", "cond.true_graph"),
        Node("b", "aten.relu.default", ("x",), ("q",), {}, "torch", "cond.false_graph"),
    ]
    counted = count(nodes, {"w": (3, 4)}, {"x": (2, 3)})
    assert (counted.total, counted.coverage) == (24, 1.0)
