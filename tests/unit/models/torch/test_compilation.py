"""torch.compile for real: what it compiles, how often, and what becomes of what it cannot."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

from torch import _dynamo  # noqa: E402
from torch._dynamo.utils import counters  # noqa: E402

from compaudit.errors import MeasurementError, RequestError  # noqa: E402
from compaudit.measure.latency.blocks import time_block  # noqa: E402
from compaudit.models.base import RunSettings, Source  # noqa: E402
from compaudit.models.torch.exported import ExportedFormat  # noqa: E402
from compaudit.models.torch.factory import FactoryFormat  # noqa: E402
from compaudit.models.torch.flops import trace_run  # noqa: E402
from compaudit.models.torch.profile import profile_torch  # noqa: E402
from compaudit.models.torch.runner import TorchRunner  # noqa: E402
from compaudit.workers.limits import Limits  # noqa: E402
from compaudit.workers.worker import Worker  # noqa: E402
from compaudit.workers.workspace import Workspace, admit_user_modules, load_model  # noqa: E402

X = {"x": np.linspace(-1, 1, 32, dtype=np.float32).reshape(4, 8)}
SOURCE = Source("made_here:make", "module", factory="made_here:make")


class Waves(torch.nn.Module):
    """sin(x) + cos(x), which takes a generated kernel."""

    def forward(self, x: Any) -> Any:
        return torch.sin(x) + torch.cos(x)


class Broken(torch.nn.Module):
    """The same in two graphs."""

    def forward(self, x: Any) -> Any:
        y = torch.sin(x)
        _dynamo.graph_break()
        return y + torch.cos(x)


class Counting(torch.nn.Module):
    """Its result depends on a Python number that changes at every call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return torch.sin(x) * self.calls


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where inductor keeps its code during these tests."""
    return tmp_path_factory.mktemp("inductor")


@pytest.fixture(autouse=True)
def fresh(generated: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is compiled yet, and nothing was counted."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(generated))
    _dynamo.reset()
    counters.clear()
    yield
    _dynamo.reset()
    counters.clear()


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[..., TorchRunner]:
    """A runner of a module, compiled."""

    def make(module: Any, **settings: Any) -> TorchRunner:
        made: Any = types.ModuleType("made_here")
        made.make = lambda: module
        monkeypatch.setitem(sys.modules, "made_here", made)
        chosen = RunSettings(**{"compiled": True} | settings)
        runner = FactoryFormat().load(SOURCE, chosen)
        assert isinstance(runner, TorchRunner)
        return runner

    return make


def timed(runner: TorchRunner, calls: int) -> int:
    """How often it was compiled in a timed block of so many calls."""
    workspace = Workspace()
    workspace.hold(SOURCE, runner)
    workspace.inference = runner.bind(X)
    return time_block(workspace, calls, False).compilations


@pytest.mark.slow
def test_a_module_is_compiled_once_before_it_is_timed(load: Callable[..., TorchRunner]) -> None:
    runner = load(Waves())
    assert runner.settings["torch.compile"] == "inductor, nothing compiled yet"
    assert runner.compilations() == 0
    assert timed(runner, 5) == 0
    assert runner.compilations() == 1
    assert runner.settings["torch.compile"] == "inductor, 1 graph, 0 graph breaks"
    np.testing.assert_allclose(
        runner.run(X)["output"], np.sin(X["x"]) + np.cos(X["x"]), rtol=1e-5, atol=1e-6
    )
    assert runner.compilations() == 1
    assert counters["inductor"], "inductor itself had no part in it"


def test_what_is_not_to_be_compiled_is_not(load: Callable[..., TorchRunner]) -> None:
    runner = load(Waves(), compiled=False)
    assert timed(runner, 2) == 0
    assert runner.compilations() == 0
    assert runner.settings["torch.compile"] == "off"


@pytest.mark.slow
def test_a_graph_break_is_visible(load: Callable[..., TorchRunner]) -> None:
    runner = load(Broken())
    runner.run(X)
    assert runner.settings["torch.compile"] == "inductor, 2 graphs, 1 graph break"


@pytest.mark.slow
def test_a_module_that_changes_is_compiled_inside_timed_blocks(
    load: Callable[..., TorchRunner],
) -> None:
    assert timed(load(Counting()), 2) == 2


@pytest.mark.slow
def test_what_is_left_to_eager_mode_is_visible(load: Callable[..., TorchRunner]) -> None:
    runner = load(Counting())
    with _dynamo.config.patch(recompile_limit=1):
        for _ in range(3):
            runner.run(X)
    expected = "inductor, 1 graph, 0 graph breaks, 1 function left to eager mode"
    assert runner.settings["torch.compile"] == expected


@pytest.mark.slow
def test_a_module_that_compiles_itself_is_counted(load: Callable[..., TorchRunner]) -> None:
    module = Waves()
    module.compile()
    runner = load(module, compiled=False)
    runner.run(X)
    assert runner.compilations() == 1


@pytest.mark.slow
def test_the_module_itself_stays_as_it_is(load: Callable[..., TorchRunner]) -> None:
    module, seen = Waves(), []
    module.register_forward_hook(lambda *_: seen.append(1))
    runner = load(module)
    runner.run(X)
    assert runner.module is module
    assert module._compiled_call_impl is None
    assert seen == [1]
    assert not module.training


@pytest.mark.slow
def test_an_exported_program_is_compiled(tmp_path: Path) -> None:
    program = torch.export.export(Waves(), (torch.from_numpy(X["x"]),))
    path = str(tmp_path / "waves.pt2")
    torch.export.save(program, path)
    runner = ExportedFormat().load(Source(path, "pt2", path=path), RunSettings(compiled=True))
    output = next(iter(runner.run(X).values()))
    np.testing.assert_allclose(output, np.sin(X["x"]) + np.cos(X["x"]), rtol=1e-5, atol=1e-6)
    assert runner.settings["torch.compile"] == "inductor, 1 graph, 0 graph breaks"
    compiled = runner.compilations()
    runner.run(X)
    assert runner.compilations() == compiled > 0


def test_torchscript_is_refused(load: Callable[..., TorchRunner]) -> None:
    with pytest.raises(RequestError) as caught:
        load(torch.jit.script(torch.nn.ReLU()))
    assert caught.value.code == "compile-script"


def test_without_a_compiler(load: Callable[..., TorchRunner], tmp_path: Path) -> None:
    from torch._inductor import config

    runner = load(Waves())
    missing = str(tmp_path / "no-such-compiler")
    with (
        config.patch({"cpp.cxx": (None, missing), "force_disable_caches": True}),
        pytest.raises(RequestError) as caught,
    ):
        runner.bind(X)
    assert caught.value.code == "compiler-missing"
    assert missing in caught.value.message
    assert "\n" not in caught.value.message
    assert "--compile" in caught.value.hint


def test_inductor_that_fails(
    load: Callable[..., TorchRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor import compile_fx

    def fail(*_: object, **__: object) -> None:
        raise ValueError("no lowering\nand a second line")

    monkeypatch.setattr(compile_fx, "fx_codegen_and_compile", fail)
    runner = load(Waves())
    with torch._inductor.config.patch(force_disable_caches=True):
        for call in (lambda: runner.run(X), lambda: runner.bind(X)):
            with pytest.raises(MeasurementError) as caught:
                call()
            assert caught.value.code == "compile-failed"
            assert "no lowering" in caught.value.message
            assert "second line" not in caught.value.message


def test_what_the_model_raises_is_its_own_failure(load: Callable[..., TorchRunner]) -> None:
    class Raises(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x @ torch.zeros(3, 3)

    with pytest.raises(MeasurementError) as caught:
        load(Raises()).run(X)
    assert caught.value.code == "model-failed"


@pytest.mark.slow
def test_macs_are_counted_in_the_module_as_it_was(load: Callable[..., TorchRunner]) -> None:
    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(8, 2)

        def forward(self, x: Any) -> Any:
            return self.fc(x)

    runner = load(Layer())
    model, _ = trace_run(SOURCE, runner, X, lambda op: op == "aten.linear.default")
    assert model.graph is not None
    assert [node.op for node in model.graph.nodes].count("aten.linear.default") == 1
    assert {tensor.name for tensor in model.tensors} == {"fc.weight", "fc.bias"}
    assert runner.compilations() == 0


@pytest.mark.slow
def test_a_profile_names_the_generated_kernels(load: Callable[..., TorchRunner]) -> None:
    profiled = profile_torch(load(Waves()), X)
    assert any("cpp_fused" in node.op for node in profiled.nodes), profiled.nodes


@pytest.mark.slow
def test_later_processes_find_the_generated_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers that share a temporary folder, as those of one audit do: one compiler run."""
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    (tmp_path / "waves.py").write_text(
        "import torch\n"
        "class Waves(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return torch.sin(x) + torch.cos(x)\n"
    )
    monkeypatch.chdir(tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    source = Source("waves:Waves", "module", factory="waves:Waves")
    found = []
    for _ in range(2):
        with Worker(source.spec, Limits(scratch=str(scratch))) as worker:
            worker.call("load", admit_user_modules)
            worker.call("load", load_model, source, RunSettings(compiled=True))
            outputs = worker.call("run", run_once, X)
            np.testing.assert_allclose(outputs["output"], np.sin(X["x"]) + np.cos(X["x"]), 1e-5)
        found.append({path: path.stat().st_mtime_ns for path in scratch.rglob("*.so")})
    assert found[0], "no generated code in the audit's temporary folder"
    assert found[1] == found[0]


def run_once(workspace: Workspace, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """In a worker: one inference."""
    return workspace.runner.run(feeds)
