"""MACs of whole networks beside two other tools, and where those differ, by exactly how much.

torch's `FlopCounterMode` counts two operations a multiply-accumulate and agrees everywhere.
torchinfo adds up mult-adds layer by layer from each layer's parameters and the size of its result;
`excess` below is that rule, worked out for each kind of layer, less the multiply-accumulates.
Everything runs on the meta device: sizes without values, at the published size of the input.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

import torchinfo  # noqa: E402
from published import NETWORKS, Network  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from compaudit.measure.macs.count import MacCount, count_macs  # noqa: E402
from compaudit.measure.macs.rules import rule_of  # noqa: E402
from compaudit.models.base import Source  # noqa: E402
from compaudit.models.torch.flops import trace_run  # noqa: E402

DOCS = Path(__file__).parents[2] / "docs" / "counts.md"

# Where a paper or a library states the figure: torchvision's table of weights (0.71, 7.61 … G),
# Sandler et al. 2018 for MobileNetV2 (300 M); LeNet by hand: 784·300 + 300·100 + 1000, and
# 24²·20·25 + 8²·50·500 + 800·500 + 5000.
PUBLISHED = {
    "LeNet-300-100": (266_200, 1),
    "LeNet-5 (Caffe)": (2_293_000, 1),
    "AlexNet (torchvision)": (0.71e9, 1e7),
    "VGG-16": (15.47e9, 1e7),
    "VGG-19": (19.63e9, 1e7),
    "ResNet-18": (1.81e9, 1e7),
    "ResNet-50": (4.09e9, 1e7),
    "SqueezeNet 1.0": (0.82e9, 1e7),
    "SqueezeNet 1.1": (0.35e9, 1e7),
    "DenseNet-121": (2.83e9, 1e7),
    "MobileNetV2": (0.30e9, 1e7),
    "ViT-B/16": (17.56e9, 1e7),
}


class Runnable:
    """As much of a runner as a trace needs: meta tensors have no arrays to be fed."""

    def __init__(self, module: nn.Module, inputs: Any) -> None:
        self.module, self.compiled, self._inputs = module, False, inputs

    def run(self, feeds: Any) -> None:
        with torch.inference_mode():
            self.module(self._inputs)


@cache
def counted(name: str, device: str = "meta") -> MacCount:
    network = NETWORKS[name]
    model, shapes = trace_run(
        Source(name, "module"),
        Runnable(network.build(device), network.inputs(device)),  # type: ignore[arg-type]
        {},
        lambda op: rule_of("torch", op) is not None,
    )
    found = count_macs(model, shapes, {})
    assert found is not None
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_torchs_own_counter_says_the_same(name: str) -> None:
    network, found = NETWORKS[name], counted(name)
    with FlopCounterMode(display=False) as counter:
        network.build()(network.inputs())
    assert 2 * (found.total or 0) == counter.get_total_flops() > 0
    assert (found.coverage, found.uncounted_ops) == (1.0, [])


def test_fused_attention_counts_too() -> None:
    """On a CPU torch has an operator of its own for attention, which its counter passes over."""
    assert counted("DeiT-Ti", "cpu").total == counted("DeiT-Ti").total


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_figure(name: str) -> None:
    figure, digit = PUBLISHED[name]
    total = counted(name).total
    assert total is not None
    assert round(total / digit) == round(figure / digit)


# ---------------------------------------------------------------------------- torchinfo


def excess(layer: nn.Module, given: Any, result: Any) -> int:
    """What torchinfo says of one call of a layer, less its multiply-accumulates.

    Its rule: all elements of weight and bias, times the samples; for a convolution also times the
    places of the result; for a recurrent layer also times the steps.
    """
    samples = len(given)
    parameters = sum(parameter.numel() for parameter in layer.parameters(recurse=False))
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return 0 if layer.bias is None else result.numel()
    if isinstance(layer, nn.ConvTranspose2d):
        places = prod(result.shape[2:]) - prod(given.shape[2:])
        return samples * places * layer.weight.numel() + result.numel()
    if isinstance(layer, nn.Linear):
        rows = prod(given.shape[:-1])
        bias = 0 if layer.bias is None else layer.bias.numel()
        return samples * bias - (rows - samples) * layer.weight.numel()
    if isinstance(layer, nn.LSTM | nn.GRU):
        biases = sum(value.numel() for key, value in layer.named_parameters() if "bias" in key)
        return prod(given.shape[:2]) * biases
    return samples * parameters  # norms and tables: nothing is multiplied and accumulated


def excesses(network: Network) -> dict[str, int]:
    """By layer, for one run."""
    found: Counter[str] = Counter()
    module = network.build()
    for name, layer in module.named_modules():
        if not any(layer.children()):

            def add(layer: nn.Module, given: Any, result: Any, name: str = name) -> None:
                found[name] += excess(layer, given[0], result)

            layer.register_forward_hook(add)
    module(network.inputs())
    return found


def macs_by_layer(name: str) -> tuple[dict[str, int], int]:
    """What compaudit counts for each layer, and for products that no layer's weight is part of.

    A weight that is tied goes by its first name; the layer that multiplies with it is the other.
    """
    owner = {
        parameter: layer_name
        for layer_name, layer in NETWORKS[name].build().named_modules()
        if not isinstance(layer, nn.Embedding | nn.MultiheadAttention)
        for parameter, _ in layer.named_parameters(layer_name, recurse=False)
    }
    if name == "GPT-2 small":
        owner["tokens.weight"] = "head"
    layers: Counter[str] = Counter()
    unseen = 0
    for node in counted(name).per_node:
        # torch's attention takes its projections itself: the layer inside is never called
        if node.weight in owner and not owner[node.weight].endswith("out_proj"):
            layers[owner[node.weight]] += node.macs
        else:
            unseen += node.macs
    return layers, unseen


@pytest.mark.parametrize("name", NETWORKS)
def test_torchinfo_differs_by_its_own_rule(name: str) -> None:
    network = NETWORKS[name]
    module = network.build()
    by_module = {id(layer): layer_name for layer_name, layer in module.named_modules()}
    shown = torchinfo.summary(module, input_data=network.inputs(), verbose=0)
    theirs: Counter[str] = Counter()
    for layer in shown.summary_list:
        if layer.is_leaf_layer:
            theirs[by_module[layer.layer_id]] += layer.macs
    ours, unseen = macs_by_layer(name)
    added = excesses(network)
    expected = {layer: ours[layer] + added[layer] for layer in {*ours, *added}}
    assert {k: v for k, v in theirs.items() if v} == {k: v for k, v in expected.items() if v}
    assert unseen == network.unseen
    assert shown.total_mult_adds - sum(added.values()) + unseen == counted(name).total


@pytest.mark.parametrize("name", NETWORKS)
def test_the_page_shows_these_figures(name: str) -> None:
    """The row of docs/counts.md: MACs, torchinfo's mult-adds, the difference."""
    total = counted(name).total
    assert total is not None
    difference = sum(excesses(NETWORKS[name]).values()) - NETWORKS[name].unseen
    signed = f"{difference:+,}".replace("-", "−")
    assert f"| {name} | {total:,} | {total + difference:,} | {signed} |" in DOCS.read_text("utf-8")
