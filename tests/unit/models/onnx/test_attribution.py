"""From executed nodes back to the file's: small graphs as ONNX Runtime rewrites them."""

import pytest

from compaudit.models.base import Graph, Node, Value
from compaudit.models.onnx.attribution import Attribution, attribute
from compaudit.models.onnx.trace import Executed


def executed(name: str, op: str, index: int = 50, inside: tuple[str, ...] = ()) -> Executed:
    return Executed(name, op, index, "CPUExecutionProvider", (), inside, 0, 1, 1)


def found(
    graph: Graph, optimized: list[Node], *nodes: Executed
) -> dict[str, tuple[str, ...] | None]:
    """What each stands for; None for an inserted one."""
    known = attribute(nodes, graph, optimized)
    return {
        node.name: None if known[node.key].inserted else known[node.key].nodes for node in nodes
    }


# x → Conv → BatchNormalization → Relu → MaxPool → y, a residual block behind it.
CONV = Node("/conv/Conv", "Conv", ("x", "conv.weight"), ("/conv/out",))
NORM = Node("/norm/BN", "BatchNormalization", ("/conv/out", "gamma"), ("/norm/out",))
RELU = Node("/Relu", "Relu", ("/norm/out",), ("/Relu_output_0",))
POOL = Node("/Pool", "MaxPool", ("/Relu_output_0",), ("/Pool_output_0",))
SIDE = Node("/side/Conv", "Conv", ("/Pool_output_0", "side.weight"), ("/side/out",))
ADD = Node("/Add", "Add", ("/side/out", "/Pool_output_0"), ("y",))
X = Value("x", "float32", None)
BLOCK = Graph((CONV, NORM, RELU, POOL, SIDE, ADD), (X,), ())


def test_nodes_that_are_as_in_the_file() -> None:
    graph = BLOCK
    for node in graph.nodes:
        assert found(graph, list(graph.nodes), executed(node.name, node.op)) == {
            node.name: (node.name,)
        }


def test_a_fused_node_stands_for_all_between_what_it_takes_and_gives() -> None:
    optimized = [
        Node("/Relu_output_0_nchwc", "Conv", ("x", "reorder", "bias"), ("reorder_token_0",)),
        Node("/Pool_output_0_nchwc", "MaxPool", ("reorder_token_0",), ("reorder_token_1",)),
        Node("ReorderOutput", "ReorderOutput", ("reorder_token_1",), ("/Pool_output_0",)),
        Node("fused side", "FusedConv", ("/Pool_output_0", "w", "", "/Pool_output_0"), ("y",)),
    ]
    assert found(BLOCK, optimized, *(executed(node.name, node.op) for node in optimized)) == {
        "/Relu_output_0_nchwc": ("/conv/Conv", "/norm/BN", "/Relu"),
        "/Pool_output_0_nchwc": ("/Pool",),
        "ReorderOutput": None,
        "fused side": ("/side/Conv", "/Add"),
    }


def test_a_fused_node_goes_by_its_output_whatever_its_name() -> None:
    optimized = [Node("fused 17", "FusedConv", ("x", "w"), ("/Relu_output_0",))]
    assert found(BLOCK, optimized, executed("fused 17", "FusedConv")) == {
        "fused 17": ("/conv/Conv", "/norm/BN", "/Relu")
    }


def test_a_value_behind_a_cast_is_still_the_value() -> None:
    name = "InsertedPrecisionFreeCast_/Relu_output_0"
    optimized = [
        Node("any", "Conv", ("x", "w"), (name,)),
        Node("/Pool", "MaxPool", (name,), ("/Pool_output_0",)),
    ]
    assert found(BLOCK, optimized, executed("any", "Conv"), executed("/Pool", "MaxPool")) == {
        "any": ("/conv/Conv", "/norm/BN", "/Relu"),
        "/Pool": ("/Pool",),
    }


def test_what_does_not_resolve_stands_for_nothing() -> None:
    optimized = [Node("kernel_9", "Magic", ("x",), ("nowhere",))]
    assert found(BLOCK, optimized, executed("kernel_9", "Magic")) == {"kernel_9": ()}
    assert found(BLOCK, [], executed("kernel_9", "Magic")) == {"kernel_9": ()}


def test_a_node_that_takes_something_unknown_is_not_stretched_to_the_start() -> None:
    # Without knowing where it begins, only the node that makes its output is certain.
    optimized = [
        Node("kernel_9", "Magic", ("x",), ("nowhere",)),
        Node("kernel_10", "FusedConv", ("nowhere", "w"), ("/Relu_output_0",)),
    ]
    assert found(BLOCK, optimized, executed("kernel_10", "FusedConv")) == {"kernel_10": ("/Relu",)}


def test_a_product_and_its_bias_between_inserted_reshapes() -> None:
    # ONNX Runtime turns MatMul and Add into Gemm, for which it makes the input flat.
    product = Node("/fc/MatMul", "MatMul", ("x", "fc.weight"), ("/fc/product",))
    bias = Node("/fc/Add", "Add", ("/fc/product", "fc.bias"), ("/fc/out",))
    optimized = [
        Node("gemm_input_reshape", "Reshape", ("x", "shape"), ("flat",)),
        Node("/fc/MatMul/MatMulAddFusion", "Gemm", ("flat", "fc.weight", "fc.bias"), ("flat_out",)),
        Node("gemm_output_reshape", "Reshape", ("flat_out", "shape_out"), ("/fc/out",)),
    ]
    graph = Graph((product, bias), (X,), ())
    assert found(graph, optimized, *(executed(node.name, node.op) for node in optimized)) == {
        "gemm_input_reshape": None,
        "/fc/MatMul/MatMulAddFusion": ("/fc/MatMul", "/fc/Add"),
        "gemm_output_reshape": None,
    }


def test_a_node_goes_by_the_weight_that_only_one_takes() -> None:
    optimized = [Node("kernel_9", "Magic", ("x", "side.weight"), ("nowhere",))]
    assert found(BLOCK, optimized, executed("kernel_9", "Magic")) == {"kernel_9": ("/side/Conv",)}
    tied = Node("/tied/Conv", "Conv", ("y", "side.weight"), ("z",))
    twice = Graph((*BLOCK.nodes, tied), (X,), ())
    assert found(twice, optimized, executed("kernel_9", "Magic")) == {"kernel_9": ()}


def test_without_the_optimised_graph_names_have_to_do() -> None:
    assert found(
        BLOCK,
        [],
        executed("/Relu_output_0_nchwc", "Conv"),
        executed("fused /side/Conv", "FusedConv"),
        executed("/conv/Conv_token_4", "QLinearConv"),
        executed("Transpose_token_25", "Transpose"),
    ) == {
        "/Relu_output_0_nchwc": ("/Relu",),
        "fused /side/Conv": ("/side/Conv",),
        "/conv/Conv_token_4": ("/conv/Conv",),
        "Transpose_token_25": None,
    }


def test_a_transpose_of_the_file_was_not_inserted() -> None:
    turn = Node("turn", "Transpose", ("x",), ("y",))
    assert found(Graph((turn,), (), ()), [turn], executed("turn", "Transpose")) == {
        "turn": ("turn",)
    }


# Without names compaudit calls a node by its place, ONNX Runtime by a number that skips constants.
UNNAMED = Graph(
    (
        Node("Constant_0", "Constant", (), ("c",)),
        Node("Sin_1", "Sin", ("x",), ("s",)),
        Node("Constant_2", "Constant", (), ("d",)),
        Node("Sin_3", "Sin", ("s",), ("t",)),
        Node("Add_4", "Add", ("t", "c"), ("y",)),
    ),
    (),
    (),
)


def test_nodes_without_names_go_by_their_number() -> None:
    nodes = [executed("Sin_0", "Sin", 0), executed("Sin_1", "Sin", 1), executed("Add_2", "Add", 2)]
    assert found(UNNAMED, [], *nodes) == {
        "Sin_0": ("Sin_1",),
        "Sin_1": ("Sin_3",),
        "Add_2": ("Add_4",),
    }


@pytest.mark.parametrize(("op", "index"), [("Mul", 0), ("Sin", 2), ("Sin", 9)])
def test_a_number_that_does_not_fit_is_no_guess(op: str, index: int) -> None:
    name = f"{op}_{index}"
    assert found(UNNAMED, [], executed(name, op, index)) == {name: ()}


def test_what_runs_inside_a_loop_belongs_to_its_node_or_to_the_loop() -> None:
    loop = Node("loop", "Loop", ("n",), ("y",))
    inner = Node("inner", "Add", ("a", "b"), ("c",), scope="loop.body")
    outer = executed("loop", "Loop")
    named = executed("inner", "Add", inside=("loop",))
    fused = executed("Magic_0", "Magic", 0, inside=("loop",))
    known = attribute([outer, named, fused], Graph((loop, inner), (), ()), [loop])
    assert known[named.key] == Attribution(("inner",))
    assert known[fused.key] == Attribution(("loop",))
