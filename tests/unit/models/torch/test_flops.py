"""What a module does when it runs: as it is, scripted, quantised, with its own parameters named."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

from torch import nn  # noqa: E402

from compaudit.errors import CompauditError  # noqa: E402
from compaudit.models.base import Node, RunSettings, Source  # noqa: E402
from compaudit.models.torch.flops import trace_run  # noqa: E402
from compaudit.models.torch.runner import TorchRunner  # noqa: E402

SOURCE = Source("m", "factory")


def trace(module, known=lambda op: True, **feeds):
    runner = TorchRunner.of_module(SOURCE, module, RunSettings())
    given = feeds or {"input": np.zeros((1, 3, 8, 8), np.float32)}
    return trace_run(SOURCE, runner, given, known)


def named(nodes, op: str) -> list[Node]:
    return [node for node in nodes if node.op == op]


def network() -> nn.Module:
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)]
    return nn.Sequential(*layers)


def test_operations_sizes_and_parameters() -> None:
    model, shapes = trace(network())
    assert model.graph is not None
    (convolution,) = named(model.graph.nodes, "aten.conv2d.default")
    assert convolution.attributes["argument_names"] == ("input", "weight", "bias")
    assert convolution.inputs[1:] == ("0.weight", "0.bias")
    assert shapes.values[convolution.inputs[0]] == (1, 3, 8, 8)
    assert shapes.values[convolution.outputs[0]] == (1, 4, 6, 6)
    (linear,) = named(model.graph.nodes, "aten.linear.default")
    assert linear.inputs[1] == "3.weight"
    assert {tensor.name: tensor.shape for tensor in model.tensors}["3.weight"] == (5, 144)


def test_results_are_the_inputs_of_what_comes_next() -> None:
    model, _ = trace(network())
    assert model.graph is not None
    made = {output for node in model.graph.nodes for output in node.outputs}
    stored = {tensor.name for tensor in model.tensors}
    first, *others = (name for node in model.graph.nodes for name in node.inputs)
    assert [name for name in others if name not in made | stored] == []
    assert first not in made


def test_operators_of_no_interest_are_taken_apart() -> None:
    model, _ = trace(network(), lambda op: op != "aten.linear.default")
    assert model.graph is not None
    assert named(model.graph.nodes, "aten.linear.default") == []
    (product,) = named(model.graph.nodes, "aten.addmm.default")
    (turned,) = named(model.graph.nodes, "aten.t.default")
    assert turned.inputs == ("3.weight",)
    assert product.inputs[2] == turned.outputs[0]


def test_scripted_modules() -> None:
    model, _ = trace(torch.jit.script(network().eval()))
    assert model.graph is not None
    weights = [node.inputs[1] for node in named(model.graph.nodes, "aten.linear.default")]
    assert weights == ["3.weight"]


def test_packed_weights_show_their_sizes() -> None:
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        pytest.skip("this torch quantises nothing here")
    quantised = torch.ao.quantization.quantize_dynamic(network(), {nn.Linear})
    model, shapes = trace(quantised)
    assert model.graph is not None
    (linear,) = named(model.graph.nodes, "quantized.linear_dynamic.default")
    assert shapes.values[linear.inputs[1]] == (5, 144)


def test_a_tied_weight_goes_by_its_first_name() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    model, _ = trace(module, input=np.zeros((1, 3), np.float32))
    assert model.graph is not None
    weights = [node.inputs[1] for node in named(model.graph.nodes, "aten.linear.default")]
    assert weights == ["0.weight", "0.weight"]


def test_a_module_that_fails() -> None:
    with pytest.raises(CompauditError):
        trace(network(), input=np.zeros((1, 2, 8, 8), np.float32))
