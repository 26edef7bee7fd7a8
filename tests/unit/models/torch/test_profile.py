"""Profiles by torch.profiler: events built by hand, and the sample network in the three forms."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.autograd import DeviceType  # noqa: E402
from torch.autograd.profiler_util import FunctionEvent, Kernel  # noqa: E402

from compaudit.errors import MeasurementError  # noqa: E402
from compaudit.models import open as models  # noqa: E402
from compaudit.models.base import RunSettings, Source  # noqa: E402
from compaudit.models.profiled import ProfiledRun  # noqa: E402
from compaudit.models.torch.profile import profile_torch  # noqa: E402
from compaudit.models.torch.profile_events import (  # noqa: E402
    INFERENCE,
    MODULE,
    GraphCall,
    summarise,
)
from compaudit.models.torch.runner import TorchRunner  # noqa: E402

SAMPLES = Path(__file__).parents[4] / "sample_models"
IMAGE = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8)


def event(
    name: str, start: float, end: float, parent: FunctionEvent | None = None
) -> FunctionEvent:
    """A host event, in microseconds, within another."""
    made = FunctionEvent(0, name, 1, start, end, device_type=DeviceType.CPU)
    if parent is not None:
        parent.append_cpu_child(made)
        made.set_cpu_parent(parent)
    return made


def inference(start: float = 0.0) -> list[FunctionEvent]:
    """One of 100 µs: linear 60 (of which 10 are a cast) in `fc`, relu 20 in the model itself."""
    whole = event(INFERENCE, start, start + 100)
    module = event(f"{MODULE}fc", start + 1, start + 71, whole)
    linear = event("aten::linear", start + 5, start + 65, module)
    product = event("aten::addmm", start + 10, start + 60, linear)
    cast = event("aten::_to_copy", start + 20, start + 30, product)
    copy = event("aten::copy_", start + 22, start + 28, cast)
    relu = event("aten::relu", start + 75, start + 95, whole)
    return [whole, module, linear, product, cast, copy, relu]


def seconds(profile: ProfiledRun) -> dict[tuple[str, str], float]:
    return {(node.module, node.op): node.seconds for node in profile.nodes}


def test_time_goes_to_the_outermost_operator_but_casts_stand_apart() -> None:
    profile = summarise(inference(), "torch-cpu")
    assert profile.runs == 1
    assert profile.total_s == pytest.approx(100e-6)
    assert seconds(profile) == pytest.approx(
        {
            ("fc", "aten::linear"): 50e-6,
            ("fc", "aten::_to_copy"): 10e-6,
            ("", "aten::relu"): 20e-6,
        }
    )
    # 100 µs less 80 in operators: the framework, and the marks themselves.
    assert profile.total_s - sum(node.seconds for node in profile.nodes) == pytest.approx(20e-6)


def test_the_order_of_the_events_does_not_matter() -> None:
    assert seconds(summarise(inference()[::-1], "torch-cpu")) == pytest.approx(
        seconds(summarise(inference(), "torch-cpu"))
    )


def test_what_lies_outside_of_an_inference_is_left_out() -> None:
    stray = event("aten::randn", 200, 300)
    profile = summarise([*inference(), stray], "torch-cpu")
    assert "aten::randn" not in {node.op for node in profile.nodes}


def test_on_a_device_the_time_is_that_of_the_kernels() -> None:
    events = inference()
    product, relu = events[3], events[6]
    product.append_kernel("sgemm", 0, 30)
    relu.append_kernel("relu_kernel", 0, 5)
    assert isinstance(product.kernels[0], Kernel)
    profile = summarise(events, "torch-cuda:0")
    assert seconds(profile) == pytest.approx(
        {("fc", "aten::linear"): 30e-6, ("fc", "aten::_to_copy"): 0, ("", "aten::relu"): 5e-6}
    )
    assert {node.provider for node in profile.nodes} == {"torch-cuda:0"}


def test_an_exported_program_names_what_it_calls() -> None:
    calls = [GraphCall("aten::linear", "linear_3", "fc"), GraphCall("aten::relu", "relu_1", "act")]
    nodes = {node.op: node for node in summarise(inference(), "torch-cpu", calls).nodes}
    assert (nodes["aten::linear"].nodes, nodes["aten::linear"].module) == (("linear_3",), "fc")
    assert (nodes["aten::relu"].nodes, nodes["aten::relu"].module) == (("relu_1",), "act")


@pytest.mark.parametrize(
    "ops", [("aten::relu", "aten::linear"), ("aten::linear",), ("aten::linear", "aten::relu", "x")]
)
def test_other_calls_than_the_program_states_get_no_names(ops: tuple[str, ...]) -> None:
    calls = [GraphCall(op, f"node_{place}", "m") for place, op in enumerate(ops)]
    assert all(not node.nodes for node in summarise(inference(), "torch-cpu", calls).nodes)


def test_an_empty_recording_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="no operator"):
        summarise([event(INFERENCE, 0, 10)], "torch-cpu")


# -------------------------------------------------------------------------- the real profiler

LAYERS = {
    *("stem.conv", "stem.norm", "hidden", "head"),
    *(f"stages.0.{place}.{part}" for place in range(3) for part in ("conv", "norm")),
    *(f"stages.{stage}.0.{part}" for stage in (1, 2) for part in ("conv", "norm")),
}
OPERATORS = {
    "aten::upsample_bilinear2d": 1,
    "aten::conv2d": 6,
    "aten::batch_norm": 6,
    "aten::relu": 7,
    "aten::max_pool2d": 3,
    "aten::flatten": 1,
    "aten::linear": 2,
}


@pytest.fixture
def digits_net(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.nn.Module]:
    monkeypatch.syspath_prepend(str(SAMPLES))
    import digits_net as code

    yield code.digits_net().eval()
    del sys.modules["digits_net"]


def executed(profile: ProfiledRun) -> Counter[str]:
    counted: Counter[str] = Counter()
    for node in profile.nodes:
        counted[node.op] += round(node.calls)
    return counted


def profiled(runner: TorchRunner) -> ProfiledRun:
    return profile_torch(runner, {runner.inputs[0].name: IMAGE})


def source() -> Source:
    return Source("digits", "factory")


def test_an_exported_program() -> None:
    recognised = models.recognise(str(SAMPLES / "digits.pt2"))
    runner = models.load(recognised, RunSettings(trust_model_code=True))
    assert isinstance(runner, TorchRunner)
    profile = profiled(runner)
    assert executed(profile) == OPERATORS
    assert {node.module for node in profile.nodes} >= LAYERS
    graph = models.read(recognised, trust_model_code=False).graph
    assert graph is not None
    assert [node.nodes for node in profile.nodes] == [(node.name,) for node in graph.nodes]
    assert sum(node.seconds for node in profile.nodes) <= profile.total_s * (1 + 1e-9)


def test_a_module(digits_net: torch.nn.Module) -> None:
    profile = profiled(TorchRunner.of_module(source(), digits_net, RunSettings()))
    assert executed(profile) == OPERATORS
    assert {node.module for node in profile.nodes} >= LAYERS
    assert all(node.attributed for node in profile.nodes)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in digits_net.modules())


def test_torchscript_is_profiled_by_operator_only(digits_net: torch.nn.Module) -> None:
    scripted = torch.jit.trace(digits_net, torch.from_numpy(IMAGE))
    profile = profiled(TorchRunner.of_module(source(), scripted, RunSettings()))
    counted = executed(profile)
    assert counted["aten::_convolution"] == 6
    assert counted["aten::batch_norm"] == 6
    assert not any(node.attributed for node in profile.nodes)


def test_a_cast_inside_a_layer_is_seen() -> None:
    class Halved(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(64, 4).bfloat16()

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.fc(image.reshape(1, -1).to(torch.bfloat16)).float()

    profile = profiled(TorchRunner.of_module(source(), Halved(), RunSettings()))
    assert executed(profile)["aten::to"] == 2
    assert {node.op for node in profile.nodes if node.module == "fc"} == {"aten::linear"}


def test_a_module_that_calls_itself() -> None:
    class Again(torch.nn.Module):
        def forward(self, image: torch.Tensor, depth: int = 2) -> torch.Tensor:
            return self(image.sin(), depth - 1) if depth else image.cos()

    profile = profiled(TorchRunner.of_module(source(), Again(), RunSettings()))
    assert executed(profile) == {"aten::sin": 2, "aten::cos": 1}
