"""Both models lined up by operator and by layer, on a network small enough to add up by hand."""

import pytest

from compaudit.measure.layers.names import ELSEWHERE
from compaudit.measure.profile.rows import Subject, layer_rows, model_profile, place, row_names
from compaudit.models.base import Graph, Model, Node, Role, Source, Tensor, Use
from compaudit.models.profiled import ExecutedNode, ProfiledRun
from compaudit.results import Layer, LayerSide, TensorResult

MS = 1e-3


def ran(op: str, milliseconds: float, *nodes: str, **more: object) -> ExecutedNode:
    fields: dict[str, object] = {
        "name": op,
        "op": op,
        "provider": "CPUExecutionProvider",
        "seconds": milliseconds * MS,
        "calls": 1.0,
        "nodes": nodes,
    }
    return ExecutedNode(**fields | more)  # type: ignore[arg-type]


def run(total_ms: float, *nodes: ExecutedNode) -> ProfiledRun:
    return ProfiledRun(runs=4, total_s=total_ms * MS, nodes=nodes)


def tensor(name: str, layer: str | None, shape: list[int], role: str = "weight") -> TensorResult:
    elements = 1
    for size in shape:
        elements *= size
    return TensorResult(
        name=name,
        role=role,
        dtype="float32",
        shape=shape,
        logical_elements=elements,
        stored_elements=elements,
        bits=32,
        bytes=4 * elements,
        nonzeros=elements,
        entropy_bits=None,
        layer=layer,
        op=None,
        computed_dtype=None,
        scheme=None,
        block=None,
        symmetric=None,
        sparsity_structure=None,
        tied_to=None,
        duplicate_of=None,
        location="file",
        note="",
    )


def model(nodes: tuple[Node, ...], *tensors: Tensor) -> Model:
    return Model(Source("m", "onnx"), tensors, Graph(nodes, (), ()), ())


# Conv → BatchNormalization → Relu → Gemm; the weight of the Gemm reaches it through a Cast.
NODES = (
    Node("conv_node", "Conv", ("x", "conv.weight"), ("a",)),
    Node("norm_node", "BatchNormalization", ("a", "norm.weight"), ("b",)),
    Node("relu_node", "Relu", ("b",), ("c",)),
    Node("cast_node", "Cast", ("fc.weight",), ("w",)),
    Node("fc_node", "Gemm", ("c", "w"), ("y",)),
)
TENSORS = (
    tensor("conv.weight", "conv", [8, 4, 3, 3]),
    tensor("norm.weight", "norm", [8]),
    tensor("fc.weight", "fc", [10, 8]),
)
MODEL = model(
    NODES,
    Tensor("conv.weight", Role.WEIGHT, "float32", (8, 4, 3, 3), 288, 1152),
    Tensor("norm.weight", Role.WEIGHT, "float32", (8,), 8, 32),
    Tensor("fc.weight", Role.WEIGHT, "float32", (10, 8), 80, 320, use=Use("fc_node", "Gemm")),
)


def placed(*nodes: ExecutedNode, total_ms: float = 10.0) -> dict[str, list[str]]:
    rows = place(Subject(run(total_ms, *nodes), TENSORS, MODEL), {}).rows
    return {name: [node.op for node in held] for name, held in rows.items()}


def test_operators_and_overhead_add_up() -> None:
    profile = model_profile(run(10, ran("Conv", 4), ran("Conv", 2), ran("Relu", 1.5)))
    assert [(row.op, row.nodes, row.seconds, row.share) for row in profile.operators] == [
        ("Conv", 2, pytest.approx(6 * MS), pytest.approx(0.6)),
        ("Relu", 1, pytest.approx(1.5 * MS), pytest.approx(0.15)),
    ]
    assert profile.overhead_share == pytest.approx(0.25)
    # None of them is mapped to anything.
    assert profile.unattributed_share == pytest.approx(0.75)


def test_unattributed_is_only_what_stands_for_nothing() -> None:
    nodes = (ran("Conv", 4, "conv_node"), ran("Reorder", 2, inserted=True), ran("Magic", 1))
    profile = model_profile(run(10, *nodes))
    assert profile.unattributed_share == pytest.approx(0.1)


def test_rounding_never_makes_more_than_the_whole() -> None:
    profile = model_profile(run(1, ran("Conv", 1.2)))
    assert profile.total_s == pytest.approx(1.2 * MS)
    assert profile.overhead_share == 0
    assert profile.operators[0].share == pytest.approx(1)


def test_each_node_goes_to_the_layer_of_its_weights() -> None:
    assert placed(
        ran("FusedConv", 5, "conv_node", "norm_node", "relu_node"),
        ran("BatchNormalization", 1, "norm_node"),
        ran("Relu", 1, "relu_node"),
        ran("Cast", 1, "cast_node"),
        ran("Gemm", 1, "fc_node"),
        ran("ReorderOutput", 1, inserted=True),
        ran("Magic", 1),
    ) == {
        "conv": ["FusedConv"],
        "norm": ["BatchNormalization"],
        ELSEWHERE: ["Relu"],
        "fc": ["Cast", "Gemm"],
        "(inserted by the runtime)": ["ReorderOutput"],
        "(unattributed)": ["Magic"],
    }


def test_a_node_that_computes_two_layers_belongs_to_neither() -> None:
    assert placed(ran("Attention", 1, "conv_node", "fc_node")) == {
        "(several layers at once)": ["Attention"]
    }


def test_modules_are_layers_by_their_path() -> None:
    assert placed(
        ran("aten::linear", 1, module="fc"),
        ran("aten::relu", 1, module="(model)"),
        ran("aten::add", 1),
    ) == {"fc": ["aten::linear"], ELSEWHERE: ["aten::relu"], "(unattributed)": ["aten::add"]}


def side(name: str, *tensors: str) -> LayerSide:
    return LayerSide(
        name=name,
        op="Gemm",
        parameters=1,
        nonzero_parameters=1,
        weight_bytes=4,
        bits_per_weight=32.0,
        macs=1,
        precision={},
        tensors=list(tensors),
    )


def layer(original: LayerSide | None, compressed: LayerSide | None, change: str) -> Layer:
    named = original or compressed
    assert named is not None
    return Layer(
        name=named.name,
        op="Gemm",
        original=original,
        compressed=compressed,
        change=change,  # type: ignore[arg-type]
        matched_by="name",
        weight_sqnr_db=None,
        weights_equal=None,
        note="",
    )


def test_the_factors_of_a_layer_are_summed_up_in_its_row() -> None:
    before = Subject(run(10, ran("Gemm", 6, module="fc")), (tensor("fc.weight", "fc", [9, 9]),))
    factors = (tensor("fc.0.weight", "fc.0", [9, 2]), tensor("fc.1.weight", "fc.1", [2, 9]))
    after = Subject(run(8, ran("Gemm", 1, module="fc.0"), ran("Gemm", 2, module="fc.1")), factors)
    layers = [
        layer(
            side("fc", "fc.weight"), side("fc.0, fc.1", "fc.0.weight", "fc.1.weight"), "factorized"
        )
    ]
    ours, theirs = row_names(layers, before, after)
    rows = layer_rows(layers, place(before, ours), place(after, theirs))
    assert [(row.name, row.original_s, row.compressed_s, row.delta_s) for row in rows] == [
        ("fc", pytest.approx(6 * MS), pytest.approx(3 * MS), pytest.approx(-3 * MS)),
        ("(between operators)", pytest.approx(4 * MS), pytest.approx(5 * MS), pytest.approx(MS)),
    ]


def test_a_layer_that_one_model_does_not_execute_is_null_there() -> None:
    before = Subject(run(5, ran("Gemm", 5, module="fc")), (tensor("fc.weight", "fc", [9, 9]),))
    after = Subject(run(5, ran("Conv", 5, module="new")), (tensor("new.weight", "new", [9, 9]),))
    rows = {row.name: row for row in layer_rows([], place(before, {}), place(after, {}))}
    assert rows["fc"].compressed_s is None
    assert rows["new"].original_s is None
    assert rows["fc"].delta_s == pytest.approx(-5 * MS)


def test_all_rows_of_a_model_add_up_to_an_inference() -> None:
    nodes = (
        ran("Conv", 5, "conv_node"),
        ran("Relu", 1, "relu_node"),
        ran("Magic", 0.5),
        ran("ReorderOutput", 0.25, inserted=True),
    )
    subject = Subject(run(10, *nodes), TENSORS, MODEL)
    rows = layer_rows([], place(subject, {}), place(subject, {}))
    assert sum(row.original_s or 0 for row in rows) == pytest.approx(10 * MS)
    assert all(row.delta_s == 0 for row in rows)
