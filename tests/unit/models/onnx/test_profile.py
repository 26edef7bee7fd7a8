"""Profiles of the sample models by the real ONNX Runtime: structure only, never how long."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from compaudit.errors import MeasurementError
from compaudit.models.base import Graph, RunSettings, Source
from compaudit.models.onnx.profile import profile_onnx, summarise
from compaudit.models.onnx.trace import Executed, Run
from compaudit.models.profiled import ProfiledRun

SAMPLES = Path(__file__).parents[4] / "sample_models"
MODELS = sorted(path.stem for path in SAMPLES.glob("*.onnx"))
IMAGE = {"image": np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8)}


def profiled(
    path: Path, folder: Path, feeds: dict[str, np.ndarray], **settings: bool
) -> ProfiledRun:
    return profile_onnx(
        Source(str(path), "onnx", str(path)), RunSettings(**settings), feeds, folder
    )


@pytest.mark.parametrize("name", MODELS)
def test_every_node_of_the_file_is_behind_exactly_one_that_was_executed(
    name: str, tmp_path: Path
) -> None:
    profile = profiled(SAMPLES / f"{name}.onnx", tmp_path, IMAGE)
    graph = onnx.load(SAMPLES / f"{name}.onnx", load_external_data=False).graph
    behind = Counter(node for executed in profile.nodes for node in executed.nodes)
    assert set(behind.values()) == {1}
    ops = {n.name or f"{n.op_type}_{place}": n.op_type for place, n in enumerate(graph.node)}
    missing = [op for node, op in ops.items() if node not in behind]
    # A QuantizeLinear that an inserted Transpose was moved across.
    assert missing in ([], ["QuantizeLinear"])
    assert all(executed.attributed for executed in profile.nodes)


@pytest.mark.parametrize("name", MODELS)
def test_the_parts_are_no_more_than_the_whole(name: str, tmp_path: Path) -> None:
    profile = profiled(SAMPLES / f"{name}.onnx", tmp_path, IMAGE)
    # Times are cut to whole microseconds: each node may claim one too many.
    slack = len(profile.nodes) * 1e-6
    assert 0 < sum(node.seconds for node in profile.nodes) <= profile.total_s + slack
    assert profile.runs >= 1
    assert not list(tmp_path.iterdir()), "what was written is removed"


@pytest.mark.parametrize(
    ("name", "ops"),
    [
        ("digits", {"nchwc.Conv": 6, "FusedGemm": 1, "Gemm": 1, "ReorderOutput": 1}),
        ("digits_int8", {"QLinearConv": 6, "QGemm": 2, "DequantizeLinear": 1}),
        ("digits_dynamic_int8", {"ConvInteger": 6, "DynamicQuantizeLinear": 6, "Cast": 6}),
        ("digits_fake_int8", {"Conv": 6, "DequantizeLinear": 8, "BatchNormalization": 6}),
        ("digits_int4", {"MatMulNBits": 2, "nchwc.Conv": 6}),
    ],
)
def test_what_was_executed(name: str, ops: dict[str, int], tmp_path: Path) -> None:
    executed = Counter(
        node.op for node in profiled(SAMPLES / f"{name}.onnx", tmp_path, IMAGE).nodes
    )
    assert {op: executed[op] for op in ops} == ops


def test_batch_normalisation_is_found_inside_the_convolution(tmp_path: Path) -> None:
    nodes = {
        inner: node.op
        for node in profiled(SAMPLES / "digits.onnx", tmp_path, IMAGE).nodes
        for inner in node.nodes
    }
    assert nodes["/stem/conv/Conv"] == nodes["/stem/norm/BatchNormalization"] == "nchwc.Conv"
    assert nodes["/hidden/Gemm"] == nodes["/Relu"] == "FusedGemm"


def test_without_optimisations_every_node_is_executed_as_it_is(tmp_path: Path) -> None:
    profile = profiled(SAMPLES / "digits.onnx", tmp_path, IMAGE, optimized=False)
    graph = onnx.load(SAMPLES / "digits.onnx").graph
    wanted = [node.name for node in graph.node if node.op_type != "Constant"]
    assert [node.name for node in profile.nodes] == wanted
    assert all(len(node.nodes) <= 3 and node.name in node.nodes for node in profile.nodes)


UNNAMED = """<ir_version: 8, opset_import: ["" : 17]>
g (float[4] x, bool c) => (float[4] z) {
  k = Constant <value = float {2.0}> ()
  a = Sin(x)
  b = Mul(a, k)
  e = If (c) <then_branch = t () => (float[4] o) { o1 = Sin(b)  o = Exp(o1) },
              else_branch = f () => (float[4] p) { p = Neg(b) }>
  z = Sin(e)
}"""


def test_nodes_without_names_and_branches(tmp_path: Path) -> None:
    onnx.save(parser.parse_model(UNNAMED), tmp_path / "model.onnx")
    folder = tmp_path / "profile"
    folder.mkdir()
    feeds = {"x": np.ones(4, np.float32), "c": np.array(True)}
    profile = profiled(tmp_path / "model.onnx", folder, feeds, optimized=False)
    # Places in the file: Constant 0, Sin 1, Mul 2, If 3, Sin 4; the branch belongs to the If.
    assert [(node.op, node.nodes) for node in profile.nodes] == [
        ("Sin", ("Sin_1",)),
        ("Mul", ("Mul_2",)),
        ("If", ("If_3",)),
        ("Sin", ("If_3",)),
        ("Exp", ("If_3",)),
        ("Sin", ("Sin_4",)),
    ]


def test_a_loop_is_executed_several_times(tmp_path: Path) -> None:
    add = helper.make_node("Add", ["v", "one"], ["w"], "add")
    same = helper.make_node("Identity", ["go"], ["again"], "same")
    value = lambda name, kind, shape: helper.make_tensor_value_info(name, kind, shape)  # noqa: E731
    flag, number = TensorProto.BOOL, TensorProto.FLOAT
    body = helper.make_graph(
        [add, same],
        "body",
        [value("i", TensorProto.INT64, []), value("go", flag, []), value("v", number, [1])],
        [value("again", flag, []), value("w", number, [1])],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["n", "", "x"], ["y"], "loop", body=body)],
        "g",
        [value("x", number, [1])],
        [value("y", number, [1])],
        [
            helper.make_tensor("n", TensorProto.INT64, [], [5]),
            helper.make_tensor("one", number, [1], [1.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "loop.onnx")
    (tmp_path / "profile").mkdir()
    profile = profiled(tmp_path / "loop.onnx", tmp_path / "profile", {"x": np.zeros(1, np.float32)})
    calls = {node.name: node.calls for node in profile.nodes}
    assert calls["loop"] == 1
    assert calls["add"] == 5
    assert {node.nodes for node in profile.nodes if node.name == "add"} == {("add",)}


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from compaudit.models.base import RunSettings, Source
from compaudit.models.onnx.profile import profile_onnx

resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
path, folder = sys.argv[1:]
feeds = {"x": np.ones((1, 1024), np.float32)}
profile = profile_onnx(Source(path, "onnx", path), RunSettings(), feeds, Path(folder))
print([(node.op, node.nodes) for node in profile.nodes], list(Path(folder).iterdir()))
"""


def test_without_room_for_the_optimised_graph_names_have_to_do(tmp_path: Path) -> None:
    weight = np.ones((1024, 1024), np.float32)  # 4 MiB, where a file may have 1
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["m"], "product"),
            helper.make_node("Relu", ["m"], ["y"], "relu"),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1024])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1024])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "wide.onnx")
    (tmp_path / "profile").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "wide.onnx"), str(tmp_path / "profile")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[('MatMul', ('product',)), ('Relu', ('relu',))] []"


def test_means_are_over_the_calmest_runs() -> None:
    def run(seconds: float, microseconds: float) -> Run:
        node = Executed("a", "Sin", 0, "CPUExecutionProvider", (), (), 0, 0, microseconds)
        return Run(seconds, [node])

    runs = [run(10e-6, 8), run(90e-6, 80), run(12e-6, 10), run(50e-6, 40)]
    profile = summarise(runs, Graph((), (), ()), [])
    assert profile.runs == 2
    assert profile.total_s == pytest.approx(11e-6)
    assert profile.nodes[0].seconds == pytest.approx(9e-6)
    assert not profile.nodes[0].attributed


def test_a_profile_without_nodes_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="no node"):
        summarise([Run(1.0)], Graph((), (), ()), [])
