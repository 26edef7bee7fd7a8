"""What modules give inside of a model, held against forwards written out by hand."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from compaudit.errors import MeasurementError, RequestError
from compaudit.models.base import RunSettings, Source
from compaudit.models.torch.exported import ExportedFormat
from compaudit.models.torch.factory import FactoryFormat
from compaudit.models.torch.script import ScriptFormat

torch = pytest.importorskip("torch")

from compaudit.models.torch.taps import called_modules  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

IMAGE = np.linspace(-1, 1, 2 * 1 * 8 * 8, dtype=np.float32).reshape(2, 1, 8, 8)


class Net(torch.nn.Module):
    """Two convolutions, the second called twice; a Relu that writes over what it is given."""

    def __init__(self):
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(inplace=True)
        )
        self.again = torch.nn.Conv2d(4, 4, 1)
        self.memory = torch.nn.GRU(64, 3, batch_first=True)
        self.unused = torch.nn.Linear(2, 2)

    def forward(self, x):
        x = self.again(self.again(self.features(x)))
        states, _ = self.memory(x.flatten(2))
        return torch.softmax(states.sum(1), -1)


def net():
    torch.manual_seed(1)
    return Net().eval()


@pytest.fixture
def load(monkeypatch):
    def make(module, *taps, **settings):
        made = types.ModuleType("made_here")
        made.make = lambda: module
        monkeypatch.setitem(sys.modules, "made_here", made)
        source = Source("made_here:make", "module", factory="made_here:make")
        return FactoryFormat().load(source, RunSettings(taps=taps, **settings))

    return make


def test_modules_give_what_they_give_by_hand(load):
    module = net()
    given = load(module, "features.0", "features.1", "again", "memory").run({"x": IMAGE})
    assert list(given) == ["output", "features.0", "features.1", "again", "memory"]
    with torch.no_grad():
        convolved = torch.conv2d(
            torch.from_numpy(IMAGE), module.features[0].weight, module.features[0].bias, padding=1
        )
        once = module.again(convolved.clamp(min=0))
        twice = module.again(once)
        states, _ = module.memory(twice.flatten(2))
    # The Relu in place has written over the convolution's result since.
    np.testing.assert_array_equal(given["features.0"], convolved.numpy())
    assert (given["features.0"] < 0).any()
    np.testing.assert_array_equal(given["features.1"], convolved.clamp(min=0).numpy())
    np.testing.assert_array_equal(given["again"], twice.numpy())  # the last of its two calls
    np.testing.assert_array_equal(given["memory"], states.numpy())  # the first of its two results


def test_every_run_is_heard_anew(load):
    runner = load(net(), "again")
    first = runner.run({"x": IMAGE})["again"]
    second = runner.run({"x": np.zeros_like(IMAGE)})["again"]
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(runner.run({"x": IMAGE})["again"], first)


def test_runner_outputs_are_the_models_own(load):
    runner = load(net(), "again")
    runner.run({"x": IMAGE})
    assert [value.name for value in runner.outputs] == ["output"]


def test_tied_modules_go_by_both_names(load):
    module = net()
    module.alias = module.again
    given = load(module, "again", "alias").run({"x": IMAGE})
    np.testing.assert_array_equal(given["again"], given["alias"])


def test_bfloat16_and_quantised_results(load):
    class Quantised(torch.nn.Module):
        def forward(self, x):
            return torch.quantize_per_tensor(x, 0.5, 10, torch.quint8)

    class Holder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.coded = Quantised()
            self.short = torch.nn.Identity()

        def forward(self, x):
            return self.coded(x).dequantize() + self.short(x.to(torch.bfloat16)).float()

    given = load(Holder(), "coded", "short").run({"x": np.float32([0.2, 0.3, 1.0])})
    assert given["coded"].tolist() == [0.0, 0.5, 1.0]
    assert given["short"].tolist() == [0.2001953125, 0.30078125, 1.0]


def test_a_missing_module_is_refused_and_a_near_one_named(load):
    with pytest.raises(RequestError) as caught:
        load(net(), "features.O")
    assert caught.value.code == "no-such-tap"
    assert "features.0" in caught.value.hint


def test_a_module_that_is_not_called_says_so(load):
    with pytest.raises(MeasurementError, match="unused") as caught:
        load(net(), "unused").run({"x": IMAGE})
    assert caught.value.code == "silent-tap"


def test_what_is_not_required_may_be_silent(load):
    runner = load(net())
    runner.tap(("unused", "again"), required=False)
    assert list(runner.run({"x": IMAGE})) == ["output", "again"]


def test_an_output_and_a_module_of_one_name(load):
    class Same(torch.nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.output = torch.nn.Linear(3, 3)
            self.factor = factor

        def forward(self, x):
            return self.factor * self.output(x)

    ones = {"x": np.ones((1, 3), np.float32)}
    assert list(load(Same(1), "output").run(ones)) == ["output"]
    with pytest.raises(RequestError) as caught:
        load(Same(2), "output").run(ones)
    assert caught.value.code == "ambiguous-tap"


def test_compiled_modules_and_torchscript_are_refused(load, tmp_path):
    with pytest.raises(RequestError) as caught:
        load(net(), "again", compiled=True)
    assert caught.value.code == "taps-compiled"
    path = tmp_path / "net.pt"
    torch.jit.trace(net(), torch.from_numpy(IMAGE)).save(path)
    source = Source(str(path), "torchscript", path=str(path))
    with pytest.raises(RequestError) as caught:
        ScriptFormat().load(source, RunSettings(taps=("again",), trust_model_code=True))
    assert caught.value.code == "taps-script"


@pytest.fixture
def exported(tmp_path):
    module = net()
    program = torch.export.export(module, (torch.from_numpy(IMAGE),))
    path = tmp_path / "net.pt2"
    torch.export.save(program, path)
    return module, Source(str(path), "pt2", path=str(path))


def test_operations_of_an_exported_program(exported):
    module, source = exported
    graph = ExportedFormat().read(source).graph
    convolutions = [node.outputs[0] for node in graph.nodes if node.op == "aten.conv2d.default"]
    (relu,) = (node.outputs[0] for node in graph.nodes if "relu" in node.op)
    taps = (*convolutions, relu)
    runner = ExportedFormat().load(source, RunSettings(taps=taps, trust_model_code=True))
    given = runner.run({"x": IMAGE})
    assert list(given) == ["output", *taps]
    with torch.no_grad():
        tensor = torch.from_numpy(IMAGE)
        convolved = torch.conv2d(
            tensor, module.features[0].weight, module.features[0].bias, padding=1
        )
        wanted = [convolved, module.again(convolved.clamp(min=0))]
        wanted += [module.again(wanted[-1]), convolved.clamp(min=0)]
        np.testing.assert_allclose(given["output"], module(tensor), rtol=1e-6)
    for name, array in zip(taps, wanted, strict=True):
        np.testing.assert_array_equal(given[name], array.numpy())


def test_taps_can_be_changed(load, exported):
    _, source = exported
    settings = RunSettings(taps=("conv2d",), trust_model_code=True)
    for runner, first, second in (
        (load(net(), "features.0"), "features.0", "again"),
        (ExportedFormat().load(source, settings), "conv2d", "conv2d_1"),
    ):
        assert list(runner.run({"x": IMAGE})) == ["output", first]
        runner.tap((second,))
        assert list(runner.run({"x": IMAGE})) == ["output", second]
        runner.tap(())
        assert list(runner.run({"x": IMAGE})) == ["output"]


def test_modules_that_one_inference_calls(load):
    runner = load(net())
    source = Source("made_here:make", "module", factory="made_here:make")
    found = called_modules(source, runner, {"x": IMAGE})
    # The last call of each counts: "again" ends after the features, the unused one is not there.
    assert [(module.name, module.op, module.shape, module.leaf) for module in found] == [
        ("features.0", "Conv2d", (2, 4, 8, 8), True),
        ("features.1", "ReLU", (2, 4, 8, 8), True),
        ("features", "Sequential", (2, 4, 8, 8), False),
        ("again", "Conv2d", (2, 4, 8, 8), True),
        ("memory", "GRU", (2, 4, 3), True),
    ]


def test_an_operation_that_is_not_there(exported):
    _, source = exported
    with pytest.raises(RequestError) as caught:
        ExportedFormat().load(source, RunSettings(taps=("conv2d_7",), trust_model_code=True))
    assert caught.value.code == "no-such-tap"
