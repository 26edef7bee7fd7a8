"""Whole networks: against torch's own counter, other tools, published figures, one another."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import onnx
import pytest

from compaudit.measure.macs.count import MacCount, count_macs
from compaudit.measure.macs.rules import rule_of
from compaudit.models.base import Model, Source
from compaudit.models.onnx.format import OnnxFormat
from compaudit.models.onnx.shapes import infer_shapes
from compaudit.models.shapes import Shapes, stated_shapes

SAMPLES = Path(__file__).parents[4] / "sample_models"
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

IMAGE = (1, 3, 224, 224)

# name → (network, its arguments, size of its input, multiply-accumulates).
NETWORKS: dict[str, tuple[str, tuple[Any, ...], tuple[int, ...], int]] = {
    # 784·300 + 300·100 + 100·10
    "LeNet-300-100": ("lenet_300_100", (), (1, 1, 28, 28), 266_200),
    # 24²·20·25 + 8²·50·500 + 800·500 + 500·10
    "LeNet-5": ("lenet_5", (), (1, 1, 28, 28), 2_293_000),
    # torchvision's documentation: 0.71, 7.61, 15.47, 1.81, 4.09, 0.35 G
    "AlexNet": ("alexnet", (), IMAGE, 714_188_480),
    "VGG-11": ("vgg", ("VGG_11",), IMAGE, 7_609_090_048),
    "VGG-16": ("vgg", ("VGG_16",), IMAGE, 15_470_264_320),
    "ResNet-18": ("resnet", ("basic", (2, 2, 2, 2), 512), IMAGE, 1_814_073_344),
    "ResNet-50": ("resnet", ("bottleneck", (3, 4, 6, 3), 2048), IMAGE, 4_089_184_256),
    "SqueezeNet 1.1": ("squeezenet_1_1", (), IMAGE, 349_151_936),
    # The paper's Table 8 says 569 million, which are these
    "MobileNet": ("mobilenet_1", (), IMAGE, 568_740_352),
    # 20·(4·64·(32 + 64) + 4·64·(32 + 64)) and 20·128·10
    "LSTM, both ways": ("Recurrent", ("LSTM", {"bidirectional": True}), (1, 20, 32), 1_008_640),
    # 20·3·64·(32 + 64) and 20·64·10
    "GRU": ("Recurrent", ("GRU", {}), (1, 20, 32), 381_440),
    # twice 16·(64·192 + 64·64 + 2·64·128) + 2·16²·64
    "Transformer encoder": ("encoder", (), (1, 16, 64), 1_114_112),
    # 8·100·8·9 + 16·441·4·4 + 4·400·36
    "decoder": ("decoder", (), (1, 8, 10, 10), 228_096),
    # four products of 5·7·7·6 a sample, two samples
    "sums": ("Sums", (), (2, 7, 6), 4 * 2 * 7 * 7 * 6),
}


@cache
def _networks() -> Any:
    """The module beside this file; pytest's importlib mode puts no test folder on the path."""
    path = Path(__file__).with_name("networks.py")
    spec = importlib.util.spec_from_file_location("well_known_networks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(name: str, device: str = "meta") -> tuple[Any, Any]:
    torch = pytest.importorskip("torch")
    networks = _networks()
    maker, arguments, size, _ = NETWORKS[name]
    given = [getattr(networks, a, a) if isinstance(a, str) else a for a in arguments]
    with torch.device(device):
        if maker == "Recurrent":
            module = networks.Recurrent(getattr(torch.nn, arguments[0]), **arguments[1])
        else:
            module = getattr(networks, maker)(*given)
        return module.eval(), torch.zeros(size)


class Bare:
    """As much of a runner as a trace needs; meta tensors have no arrays to be fed."""

    def __init__(self, module: Any, inputs: Any) -> None:
        self.module, self.compiled, self._inputs = module, False, inputs

    def run(self, feeds: Any) -> None:
        import torch

        with torch.inference_mode():
            self.module(self._inputs)


def trace(module: Any, inputs: Any) -> MacCount:
    from compaudit.models.torch.flops import trace_run

    model, shapes = trace_run(
        Source("m", "factory"),
        Bare(module, inputs),  # type: ignore[arg-type]
        {},
        lambda op: rule_of("torch", op) is not None,
    )
    return counted(model, shapes)


def counted(model: Model, shapes: Shapes, **share: float) -> MacCount:
    found = count_macs(model, shapes, share)
    assert found is not None
    return found


@pytest.mark.torch
@pytest.mark.parametrize("name", NETWORKS)
def test_agreement_with_torchs_own_counter(name: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    module, inputs = build(name)
    found = trace(module, inputs)
    with FlopCounterMode(display=False) as counter:
        module(inputs)
    assert found.total == NETWORKS[name][3]
    assert counter.get_total_flops() == 2 * NETWORKS[name][3]
    assert (found.coverage, found.uncounted_ops) == (1.0, [])


@pytest.mark.torch
@pytest.mark.parametrize("name", ["LSTM, both ways", "GRU", "Transformer encoder"])
def test_fused_layers_that_torchs_counter_does_not_see(name: str) -> None:
    """On a CPU in inference mode torch fuses these layers, and counts nothing of them."""
    found = trace(*build(name, "cpu"))
    assert (found.total, found.coverage) == (NETWORKS[name][3], 1.0)


# torchinfo 1.8.0, summary(...).total_mult_adds, on torchvision 0.28.0's networks of these names.
TORCHINFO = {
    "AlexNet": 714_682_664,
    "VGG-11": 7_616_525_288,
    "VGG-16": 15_483_821_032,
    "ResNet-18": 1_814_083_944,
    "ResNet-50": 4_089_238_376,
    "SqueezeNet 1.1": 351_741_288,
}


@pytest.mark.torch
@pytest.mark.parametrize("name", TORCHINFO)
def test_agreement_with_torchinfo_but_for_what_it_adds(name: str) -> None:
    """Per result of a convolution or linear layer one for its bias; BatchNorm's parameters once."""
    from torch import nn

    module, inputs = build(name)
    extra = 0

    def add(layer: nn.Module, given: Any, result: Any) -> None:
        nonlocal extra
        if isinstance(layer, nn.BatchNorm2d):
            extra += 2 * layer.num_features
        elif layer.bias is not None:  # type: ignore[union-attr]
            extra += result.numel()

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            layer.register_forward_hook(add)
    module(inputs)
    assert TORCHINFO[name] - extra == NETWORKS[name][3]


# ---------------------------------------------------------------------------- ONNX files

# model → (multiply-accumulates, what onnx-tool 1.0.1 says of Conv and Gemm, results with a bias).
# onnx-tool counts one more for each result that has a bias.
LIGHT_MODELS = {
    "bvlc_alexnet": (654_560_384, 655_170_024, 609_640),
    "densenet121": (2_834_161_664, 2_834_162_664, 1000),
    "inception_v1": (1_431_556_352, 1_434_570_984, 3_014_632),
    "inception_v2": (2_018_851_840, 2_018_852_840, 1000),
    "resnet50": (4_089_184_256, 4_089_185_256, 1000),
    "shufflenet": (124_664_528, 124_966_584, 302_056),
    "squeezenet": (349_151_936, 351_741_288, 2_589_352),
    "vgg19": (19_632_062_464, 19_646_923_752, 14_861_288),
    "zfnet512": (1_481_727_008, 1_483_254_888, 1_527_880),
}


def read(path: Path) -> tuple[Model, Shapes]:
    source = Source(str(path), "onnx", path=str(path))
    return OnnxFormat().read(source), infer_shapes(source, {})


@pytest.mark.parametrize("name", LIGHT_MODELS)
def test_light_models(name: str) -> None:
    model, shapes = read(LIGHT / f"light_{name}.onnx")
    found = counted(model, shapes)
    macs, other_tool, results_with_bias = LIGHT_MODELS[name]
    assert (found.total, found.coverage) == (macs, 1.0)
    assert other_tool - results_with_bias == macs
    assert results_with_bias == sum(
        product_of(shapes.values[node.outputs[0]])
        for node in model.graph.nodes  # type: ignore[union-attr]
        if node.op in ("Conv", "Gemm") and len(node.inputs) == 3
    )


def product_of(shape: tuple[int, ...]) -> int:
    found = 1
    for size in shape:
        found *= size
    return found


# An 8 × 8 image, made 40 × 40: 1·32, 32·64, 64·64, 64·64 channels at 1600 places, 64·48 at 400,
# 48·32 at 100, by 3 × 3 each, then 800·64 + 64·10.
DIGITS = 9 * (1600 * (32 + 32 * 64 + 2 * 64 * 64) + 400 * 64 * 48 + 100 * 48 * 32) + 800 * 64 + 640


@pytest.mark.parametrize(
    ("variant", "macs"),
    [
        *(
            (f"digits{kind}", DIGITS)
            for kind in (
                *("", "_broken", "_dynamic_int8", "_external", "_fake_int8", "_fp16", "_int4"),
                *("_int8", "_pruned"),
            )
        ),
        ("digits_lowrank", 58_165_888),
        ("digits_slim", 65_578_080),
        ("digits_student", 56_115_520),
    ],
)
def test_sample_models(variant: str, macs: int) -> None:
    found = counted(*read(SAMPLES / f"{variant}.onnx"))
    assert (found.total, found.coverage, found.unknown_shapes) == (macs, 1.0, [])
    assert all(node.weight for node in found.per_node)


def test_the_exported_program_counts_the_same() -> None:
    from compaudit.models.torch.exported import ExportedFormat

    path = str(SAMPLES / "digits.pt2")
    model = ExportedFormat().read(Source(path, "pt2", path=path))
    assert model.graph is not None
    found = counted(model, Shapes(stated_shapes(model.graph, {})))
    assert (found.total, found.coverage) == (DIGITS, 1.0)
    by_weight = {node.weight: node.macs for node in found.per_node}
    assert by_weight["stages.0.1.conv.weight"] == 1600 * 9 * 64 * 64


def test_zero_skipping_of_the_pruned_model() -> None:
    """Counted again from the weights themselves: nonzero weights times the places they are used."""
    from onnx import numpy_helper

    path = SAMPLES / "digits_pruned.onnx"
    model, shapes = read(path)
    proto = onnx.load(path)
    weights = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    expected = 0
    for node in proto.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            shape = shapes.values[node.output[0]]
            places = product_of(shape[2:])
            expected += int((weights[node.input[1]] != 0).sum()) * places
    share = {n: float((w != 0).sum()) / w.size for n, w in weights.items()}
    found = count_macs(model, shapes, share)
    assert found is not None
    assert found.nonzero == expected
    assert found.total is not None
    assert 5 < found.total / expected < 15


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["LeNet-5", "GRU", "Transformer encoder", "decoder"])
def test_module_program_and_onnx_count_the_same(name: str, tmp_path: Path) -> None:
    import torch

    from compaudit.models.torch.exported import ExportedFormat

    module, inputs = build(name, "cpu")
    onnx_path = tmp_path / "m.onnx"
    with torch.inference_mode(False):
        torch.onnx.export(module, (inputs,), onnx_path, dynamo=False)
        torch.export.save(torch.export.export(module, (inputs,)), tmp_path / "m.pt2")
    program = ExportedFormat().read(Source("m", "pt2", path=str(tmp_path / "m.pt2")))
    assert program.graph is not None
    totals = {
        "module": trace(module, inputs).total,
        "program": counted(program, Shapes(stated_shapes(program.graph, {}))).total,
        "onnx": counted(*read(onnx_path)).total,
    }
    assert totals == dict.fromkeys(totals, NETWORKS[name][3])
