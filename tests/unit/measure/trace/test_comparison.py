"""Traces of real pairs; the figures are held against models cut off by hand."""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from compaudit.data.base import DataRequest
from compaudit.errors import RequestError
from compaudit.measure.trace.comparison import trace_models
from compaudit.measure.trace.first_break import first_break
from compaudit.workers.limits import Limits

node = helper.make_node
info = helper.make_tensor_value_info


def cut(path: Path, tap: str, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """What a model that ends at this value gives."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    part = onnx.utils.Extractor(model).extract_model(list(feeds), [tap])
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    (result,) = ort.InferenceSession(part.SerializeToString(), options).run(None, feeds)
    return result


def sqnr_db(original: np.ndarray, compressed: np.ndarray) -> float:
    a, b = original.astype(np.float64), compressed.astype(np.float64)
    return float(10 * np.log10((a**2).sum() / ((a - b) ** 2).sum()))


def test_an_int8_model_is_noisy_everywhere_and_breaks_nowhere(kit, sample) -> None:
    original, compressed = sample("digits"), sample("digits_int8")
    traced = kit.trace(original, compressed)
    relus = [f"/stages/stages.0/stages.0.{number}/Relu_output_0" for number in range(3)]
    rows = {row.name: row for row in traced.outputs}
    assert [name for name in rows if name in relus] == relus, "in the order of execution"
    assert traced.matched == len(traced.outputs)
    # 25 values are computed: Resize, 6 × (Conv, BatchNormalization, Relu), 3 × MaxPool, Gemm, Relu
    # and Gemm; the 6 + 6 + 1 in front of a Relu have no counterpart among the codes.
    assert (traced.matched, traced.unmatched) == (12, 13)
    assert traced.notes == ["13 outputs: no counterpart"]
    with np.load(kit.data.uri) as data:
        images = data["image"]
    starts = [0, 224, 449, 674]  # a quarter of 899 samples apart, 8 each
    chosen = np.concatenate([images[start : start + 8] for start in starts])
    for name in (relus[0], "logits"):
        row = rows[name]
        expected = [
            cut(original, name, {"image": chosen}),
            cut(compressed, row.compressed_name, {"image": chosen}),
        ]
        assert row.sqnr_db == pytest.approx(sqnr_db(*expected), abs=0.05)
        assert row.elements == expected[0].size
        assert row.samples == 32
        assert row.matched_by == "name"
    assert first_break(traced.outputs) is None


def test_the_wrecked_layer_is_named(kit, sample) -> None:
    """The scales of stages.0.0 are 32 times too large (sample_models/quantization.py)."""
    rows = kit.trace(sample("digits"), sample("digits_broken")).outputs
    broken = first_break(rows)
    assert broken is not None
    assert broken.name == "/stages/stages.0/stages.0.0/Relu_output_0"


@pytest.mark.parametrize("name", ["digits_fp16", "digits_pruned", "digits_lowrank", "digits_int4"])
def test_good_models_break_nowhere(kit, sample, name) -> None:
    traced = kit.trace(sample("digits"), sample(name))
    assert (traced.matched, traced.unmatched) == (25, 0)
    assert first_break(traced.outputs) is None


def test_what_is_the_same_is_identical(kit, sample) -> None:
    traced = kit.trace(sample("digits"), sample("digits_external"))
    assert traced.unmatched == 0
    assert all(row.identical and row.sqnr_db is None for row in traced.outputs)
    assert all(row.max_abs_error == 0 for row in traced.outputs)


@pytest.mark.slow
def test_groups_change_nothing(kit, sample) -> None:
    """Each output of the first stage has 64 × 40 × 40 floats a sample: 410 kB."""
    pair = [kit.subject(sample(name)) for name in ("digits", "digits_int8")]
    data, shares = DataRequest(uri=kit.data.uri, limit=8), []
    whole = trace_models(*pair, data, Limits())
    parts = trace_models(*pair, data, Limits(), shares.append, 1_000_000)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) > 8, "one sample a run, in several groups"
    assert len(shares) % 8 == 0
    for one, other in zip(parts.outputs, whole.outputs, strict=True):
        assert (one.name, one.samples, one.elements) == (other.name, other.samples, other.elements)
        # What is shown beside a value decides what is fused around it, and so its rounding.
        assert one.sqnr_db == pytest.approx(other.sqnr_db, abs=0.3)


@pytest.mark.slow
def test_other_widths_are_left_out_and_counted(kit, sample) -> None:
    traced = kit.trace(sample("digits"), sample("digits_slim"))
    assert [row.name for row in traced.outputs] == ["/enlarge/Resize_output_0", "logits"]
    assert traced.unmatched == 23
    assert traced.notes == ["23 outputs: another shape"]


def test_models_that_insist_on_different_batches(kit, sample) -> None:
    pair = kit.subject(sample("digits"), batch=2), kit.subject(sample("digits_fp16"), batch=4)
    with pytest.raises(RequestError) as caught:
        trace_models(*pair, kit.data, Limits())
    assert caught.value.code == "batches-differ"


def test_a_fixed_batch_is_filled_up(kit, sample) -> None:
    pair = kit.subject(sample("digits"), batch=20), kit.subject(sample("digits_fp16"), batch=20)
    traced = trace_models(*pair, DataRequest(uri=kit.data.uri, limit=5), Limits())
    (logits,) = (row for row in traced.outputs if row.name == "logits")
    assert (logits.samples, logits.elements) == (5, 200)


# --------------------------------------------------------------------------- small models


def product(kit, name: str, weight: np.ndarray, *tail: onnx.NodeProto, cast: int = 1) -> Path:
    """y is what the tail makes of the product of x and a weight."""
    nodes = [node("MatMul", ["x", "fc.weight"], ["h"], "/fc/MatMul"), *tail]
    graph = helper.make_graph(
        nodes,
        "g",
        [info("x", 1, ["n", 2])],
        [info("y", 1, None)],
        [numpy_helper.from_array(weight, "fc.weight")],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    return kit.write(name, model)


def test_overflow_is_counted_and_is_a_break(kit) -> None:
    """float16 ends at 65504."""
    kit.feed(x=np.float32([[1, 1], [1, 0]]))
    weight = np.float32([[40000], [50000]])
    tail = [node("Relu", ["h"], ["r"]), node("Cast", ["r"], ["y"], to=1)]
    original = product(kit, "a.onnx", weight, *tail)
    half = onnx.load(original)
    half.graph.node.insert(1, node("Cast", ["wide"], ["h"], to=10))
    half.graph.node[0].output[0] = "wide"
    compressed = kit.write("b.onnx", half)
    rows = kit.rows(original, compressed)
    assert rows["h"].nonfinite_compressed == 1
    assert rows["h"].nonfinite_original == 0
    assert rows["h"].sqnr_db is None
    assert not rows["h"].identical
    broken = first_break(list(rows.values()))
    assert broken is not None
    assert broken.name == "h"


def test_codes_are_compared_as_the_numbers_they_stand_for(kit) -> None:
    """h = x₀ + 2x₁ is 5 and 0.3. Rounded to halves x₀ = 0.3 is 0.5, and so is h then."""
    kit.feed(x=np.float32([[1, 2], [0.3, 0]]))
    original = product(kit, "a.onnx", np.float32([[1], [2]]), node("Neg", ["h"], ["y"]))
    scales = {
        "half": np.float32(0.5),
        "one": np.float32(1),
        "zero": np.uint8(0),
        "three": np.uint8(3),
    }
    weight = {"fc.weight_quantized": np.uint8([[1], [2]])}
    graph = helper.make_graph(
        [
            node("QuantizeLinear", ["x", "half", "zero"], ["x_quantized"]),
            node(
                "QLinearMatMul",
                *(["x_quantized", "half", "zero", *weight, "one", "zero", "half", "three"],),
                *(["h_quantized"], "/fc/MatMul_quant"),
            ),
            node("DequantizeLinear", ["h_quantized", "half", "three"], ["h_again"]),
            node("Neg", ["h_again"], ["y"]),
        ],
        "g",
        [info("x", 1, ["n", 2])],
        [info("y", 1, None)],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in (scales | weight).items()],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    rows = kit.rows(original, kit.write("b.onnx", model))
    assert rows["h"].compressed_name == "h_quantized"
    assert rows["h"].sqnr_db == pytest.approx(10 * np.log10((25 + 0.09) / 0.04), abs=1e-4)
    assert rows["h"].max_abs_error == pytest.approx(0.2)


@pytest.mark.slow
def test_lists_between_nodes_are_no_obstacle(kit) -> None:
    """If gives a sequence here, which no operator's name tells."""
    kit.feed(x=np.float32([[1, 2], [3, 4]]))
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, None))
    branch = helper.make_graph(
        [node("SequenceConstruct", ["h", "h"], ["inner"])],
        "b",
        [],
        [helper.make_value_info("inner", kind)],
    )
    tail = [
        node("Constant", [], ["yes"], value=helper.make_tensor("v", 9, [], [1])),
        node("Constant", [], ["zero"], value=helper.make_tensor("v", 7, [], [0])),
        node("ReduceMax", ["h"], ["top"], keepdims=0),
        node("Less", ["top", "top"], ["no"]),
        node("If", ["no"], ["list"], then_branch=branch, else_branch=branch),
        node("Identity", ["list"], ["same"]),
        node("SequenceAt", ["same", "zero"], ["y"]),
    ]
    path = product(kit, "lists.onnx", np.float32([[1], [2]]), *tail)
    traced = kit.trace(path, path)
    names = [row.name for row in traced.outputs]
    assert names == ["h", "top", "y"]


# ------------------------------------------------------------------------------- PyTorch

NETWORK = """
import torch

class Block(torch.nn.Module):
    def __init__(self, given, made):
        super().__init__()
        self.conv = torch.nn.Conv2d(given, made, 3)
        self.norm = torch.nn.BatchNorm2d(made)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)))

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = Block(1, 4), Block(4, 4)
        self.fc = torch.nn.Linear(4 * 16, 3)
        for norm in (self.one.norm, self.two.norm):
            norm.weight.data.uniform_(0.5, 2)
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)

    def forward(self, image):
        return self.fc(self.two(self.one(image)).flatten(1))

def whole():
    return Net().eval()

def broken():
    net = whole()
    net.two.conv.weight.data.zero_()
    return net

class Experts(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bright, self.dark = torch.nn.Linear(64, 2), torch.nn.Linear(64, 2)
        self.last = torch.nn.Linear(2, 2)

    def forward(self, image):
        expert = self.bright if image.mean() > 0 else self.dark
        return self.last(expert(image.flatten(1)))

def experts():
    torch.manual_seed(0)
    return Experts().eval()

def folded():
    net = whole()
    for block in (net.one, net.two):
        block.conv = torch.nn.utils.fuse_conv_bn_eval(block.conv, block.norm)
        block.norm = torch.nn.Identity()
    return net
"""


@pytest.fixture
def network(kit, monkeypatch):
    pytest.importorskip("torch")
    name = f"traced_{abs(hash(kit.folder)) % 10**9}"
    (kit.folder / f"{name}.py").write_text(NETWORK)
    monkeypatch.chdir(kit.folder)
    monkeypatch.syspath_prepend(str(kit.folder))
    kit.feed(image=np.random.default_rng(2).random((9, 1, 8, 8), np.float32))
    yield name
    sys.modules.pop(name, None)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_modules_by_name(kit, network) -> None:
    rows = kit.trace(f"{network}:whole", f"{network}:broken").outputs
    assert [row.name for row in rows] == [
        *("one.conv", "one.norm", "one", "two.conv", "two.norm", "two", "fc"),
    ]
    assert [row.identical for row in rows[:3]] == [True, True, True]
    broken = first_break(rows)
    assert broken is not None
    # Zero weights leave the bias alone, and nothing of what the input made.
    assert broken.name == "two.conv"
    assert broken.op == "Conv2d"
    assert broken.samples == 9


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_a_folded_normalisation_leaves_the_convolution_without_counterpart(kit, network) -> None:
    traced = kit.trace(f"{network}:whole", f"{network}:folded")
    rows = {row.name: row for row in traced.outputs}
    assert list(rows) == ["one.norm", "one", "two.norm", "two", "fc"]
    assert traced.unmatched == 2
    assert all(row.sqnr_db is None or row.sqnr_db > 100 for row in rows.values())


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_modules_that_not_every_sample_calls_are_left_out(kit, network) -> None:
    images = np.ones((16, 1, 8, 8), np.float32)
    images[8:] = -1
    kit.feed(image=images)
    traced = kit.trace(f"{network}:experts", f"{network}:experts")
    # The first sample calls "bright", by which it is a candidate; the last eight do not.
    assert [row.name for row in traced.outputs] == ["last"]
    assert traced.notes == ["1 output: no real numbers, or not there for every sample"]


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_modules_beside_a_graph_and_graphs_of_two_kinds(kit, network) -> None:
    import importlib

    import torch

    net = importlib.import_module(network)
    image = torch.ones(2, 1, 8, 8)
    names = {"input_names": ["image"], "output_names": ["scores"], "dynamo": False}
    sizes = {"dynamic_axes": {"image": {0: "n"}}}
    torch.onnx.export(net.folded(), (image,), kit.folder / "folded.onnx", **names, **sizes)
    open_batch = ({0: torch.export.Dim.AUTO},)
    program = torch.export.export(net.whole(), (image,), dynamic_shapes=open_batch)
    torch.export.save(program, kit.folder / "whole.pt2")
    graph, exported = kit.folder / "folded.onnx", kit.folder / "whole.pt2"
    for original, compressed, names_ in (
        (f"{network}:whole", graph, ["one.norm", "two.norm", "fc"]),
        (graph, f"{network}:folded", None),
        (exported, graph, ["batch_norm", "relu", "batch_norm_1", "relu_1", "output"]),
        (exported, f"{network}:whole", None),
    ):
        rows = kit.trace(original, compressed, trust=True).outputs
        assert all(row.sqnr_db is None or row.sqnr_db > 100 for row in rows), original
        assert all(row.matched_by == "layer" for row in rows)
        assert len(rows) >= 3
        if names_ is not None:
            assert [row.name for row in rows] == names_


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_torchscript_cannot_be_looked_into(kit, network) -> None:
    import importlib

    import torch

    net = importlib.import_module(network).whole()
    path = kit.folder / "net.pt"
    torch.jit.trace(net, torch.ones(1, 1, 8, 8)).save(path)
    with pytest.raises(RequestError) as caught:
        kit.trace(path, path, trust=True)
    assert caught.value.code == "taps-script"
