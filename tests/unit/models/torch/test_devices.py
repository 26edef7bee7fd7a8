"""CUDA and MPS: what is called there, on stand-ins for the devices, and on real ones.

A stand-in keeps its tensors in main memory. What it cannot show (that a copy is asynchronous, that
a wait waits) the tests marked ``cuda`` and ``mps`` are for.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

from compaudit.errors import MeasurementError, RequestError  # noqa: E402
from compaudit.models.base import RunSettings, Source  # noqa: E402
from compaudit.models.torch.factory import FactoryFormat  # noqa: E402
from compaudit.models.torch.runner import TorchRunner  # noqa: E402

X = {"x": np.float32([[1, 2, 3]])}
SOURCE = Source("made_here:make", "module", factory="made_here:make")
Make = Callable[..., TorchRunner]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Make:
    """A runner of a forward function or a module."""

    def make(forward: Any, **settings: Any) -> TorchRunner:
        module = forward
        if not isinstance(forward, torch.nn.Module):
            module = type("Made", (torch.nn.Module,), {"forward": forward})()
        made: Any = types.ModuleType("made_here")
        made.make = lambda: module
        monkeypatch.setitem(sys.modules, "made_here", made)
        runner = FactoryFormat().load(SOURCE, RunSettings(**settings))
        assert isinstance(runner, TorchRunner)
        return runner

    return make


class StandIn:
    """A GPU that is none. `events` are what was asked of it, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        self.events: list[str] = []
        self.failure: Exception | None = None
        real_to, real_copy, real_like = torch.Tensor.to, torch.Tensor.copy_, torch.empty_like

        def to(tensor: Any, target: Any) -> Any:
            if isinstance(target, torch.device) and target.type == kind:
                self.events.append("place")
                return tensor.clone()
            return real_to(tensor, target)

        def copy(tensor: Any, source: Any, non_blocking: bool = False) -> Any:
            self.events.append("copy, queued" if non_blocking else "copy")
            return real_copy(tensor, source)

        def pin(tensor: Any) -> Any:
            self.events.append("pin")
            return tensor.clone()

        def empty_like(tensor: Any, *, device: str, pin_memory: bool) -> Any:
            assert device == "cpu"
            self.events.append("reserve, pinned" if pin_memory else "reserve")
            return real_like(tensor)

        monkeypatch.setattr(torch.nn.Module, "to", lambda module, _: module)
        monkeypatch.setattr(torch.Tensor, "to", to)
        monkeypatch.setattr(torch.Tensor, "copy_", copy)
        monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
        monkeypatch.setattr(torch, "empty_like", empty_like)

    def note(self, what: str) -> Callable[..., None]:
        def noted(*arguments: object) -> None:
            self.events.append(" ".join([what, *map(str, arguments)]))
            if self.failure is not None:
                raise self.failure

        return noted

    def taken(self) -> list[str]:
        """The events since this was last asked."""
        events = self.events[:]
        self.events.clear()
        return events


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    device = StandIn(monkeypatch, "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "init", device.note("init"))
    monkeypatch.setattr(torch.cuda, "set_device", device.note("set_device"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", device.note("reset_peak"))
    monkeypatch.setattr(torch.cuda, "synchronize", device.note("synchronise"))
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 1000 + device.index)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Stand-in {device.index}")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    return device


@pytest.fixture
def mps(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    device = StandIn(monkeypatch, "mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "get_name", lambda: "Apple M9")
    monkeypatch.setattr(torch.mps, "synchronize", device.note("synchronise"))
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 2000)
    return device


def forward_noted(device: StandIn) -> Callable[[Any, Any], Any]:
    def forward(self: Any, x: Any) -> Any:
        device.events.append("forward")
        return {"double": x * 2, "sum": x.sum()}

    return forward


def test_on_cuda_a_call_copies_there_runs_copies_back_and_waits(cuda: StandIn, load: Make) -> None:
    runner = load(forward_noted(cuda), device="cuda:1")
    # The device is chosen, and its peak forgotten, before the module takes any of its memory.
    assert cuda.taken() == ["set_device cuda:1", "init", "reset_peak cuda:1"]
    inference = runner.bind(X)
    assert inference.synchronise is None
    assert cuda.taken() == ["place", "pin"]
    first = inference.call()
    assert cuda.taken() == [
        "copy, queued",
        "forward",
        *["reserve, pinned", "copy, queued"] * 2,
        "synchronise cuda:1",
    ]
    assert [tensor.tolist() for tensor in first] == [[[2, 4, 6]], 6]  # type: ignore[attr-defined]
    inference.call()
    assert cuda.taken() == [
        *["copy, queued", "forward", "copy, queued", "copy, queued"],
        "synchronise cuda:1",
    ]


def test_inputs_that_a_call_overwrites_are_there_again_at_the_next(
    cuda: StandIn, load: Make
) -> None:
    call = load(lambda self, x: x.mul_(2), device="cuda").bind(X).call
    for _ in range(3):
        assert call()[0].tolist() == [[2, 4, 6]]  # type: ignore[index]
    assert X["x"].tolist() == [[1, 2, 3]]


def test_outputs_may_change_their_size(cuda: StandIn, load: Make) -> None:
    sizes = iter((1, 3, 2))
    call = load(lambda self, x: x[0, : next(sizes)], device="cuda").bind(X).call
    assert [call()[0].tolist() for _ in range(3)] == [[1], [1, 2, 3], [1, 2]]  # type: ignore[index]


def test_outputs_that_are_not_plain_come_back_as_they_are(cuda: StandIn, load: Make) -> None:
    call = load(lambda self, x: (x.to_sparse(), x + 1), device="cuda").bind(X).call
    cuda.taken()
    for events in (["reserve, pinned", "copy, queued"], ["copy, queued"]):
        sparse, plain = call()  # type: ignore[misc]
        # The inputs there, the plain output back; the other is no block of memory to copy into.
        assert cuda.taken() == ["copy, queued", *events, "synchronise cuda:0"]
        assert sparse.to_dense().tolist() == [[1, 2, 3]]
        assert plain.tolist() == [[2, 3, 4]]


def test_on_the_device_nothing_is_copied_and_calls_are_queued(cuda: StandIn, load: Make) -> None:
    runner = load(forward_noted(cuda), device="cuda:1")
    inference = runner.bind_on_device(X)
    assert inference is not None
    assert inference.synchronise is not None
    cuda.taken()
    inference.call()
    inference.call()
    assert cuda.taken() == ["forward", "forward"]
    inference.synchronise()
    assert cuda.taken() == ["synchronise cuda:1"]


def test_what_fails_on_the_device_is_told_when_it_is_waited_for(cuda: StandIn, load: Make) -> None:
    runner = load(forward_noted(cuda), device="cuda")
    whole, queued = runner.bind(X), runner.bind_on_device(X)
    assert queued is not None
    assert queued.synchronise is not None
    cuda.failure = RuntimeError("CUDA error: an illegal memory access\nsecond line")
    for wait in (whole.call, queued.synchronise):
        with pytest.raises(MeasurementError) as caught:
            wait()
        assert caught.value.code == "model-failed"
        assert "illegal memory access" in caught.value.message


def test_what_cuda_was_set_to(cuda: StandIn, load: Make) -> None:
    runner = load(forward_noted(cuda), device="cuda:1", threads=2)
    torch.set_num_threads(1)
    assert runner.settings == {
        "threads": "2",
        "device": "Stand-in 1",
        "float32_matmul": "ieee",
        "cudnn": "91002",
        "cudnn.float32_conv": "tf32",
        "cudnn.benchmark": "off",
        "cudnn.deterministic": "off",
        "torch.compile": "off",
    }
    assert runner.on_gpu
    assert runner.providers == ("torch-cuda:1",)


@contextmanager
def precision(backend: Any, name: str) -> Iterator[None]:
    """Float32 of one backend in another precision. monkeypatch cannot: it would delete it."""
    before = backend.fp32_precision
    backend.fp32_precision = name
    try:
        yield
    finally:
        backend.fp32_precision = before


def test_tf32_as_the_users_code_set_it(
    cuda: StandIn, load: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One backend alone: torch.get_float32_matmul_precision() would raise."""
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with (
        precision(torch.backends.cuda.matmul, "tf32"),
        precision(torch.backends.cudnn.conv, "ieee"),
    ):
        settings = load(forward_noted(cuda), device="cuda").settings
    assert settings["float32_matmul"] == "tf32"
    assert settings["cudnn.float32_conv"] == "ieee"
    assert settings["cudnn.benchmark"] == "on"


def test_device_memory_is_what_cuda_reserved(cuda: StandIn, load: Make) -> None:
    assert load(forward_noted(cuda), device="cuda:1").peak_device_bytes() == 1001


def test_on_mps(mps: StandIn, load: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    runner = load(forward_noted(mps), device="mps")
    inference, queued = runner.bind(X), runner.bind_on_device(X)
    assert queued is not None
    assert queued.synchronise is not None
    mps.taken()
    inference.call()
    # There is no pinned memory: copies block.
    assert mps.taken() == ["copy", "forward", *["reserve", "copy"] * 2, "synchronise"]
    queued.call()
    assert mps.taken() == ["forward"]
    queued.synchronise()
    assert mps.taken() == ["synchronise"]
    assert runner.peak_device_bytes() == 2000
    assert runner.settings["device"] == "Apple M9"
    assert runner.settings["mps_fallback"] == "on"
    assert runner.on_gpu


def test_a_cuda_that_is_not_there(cuda: StandIn, load: Make) -> None:
    with pytest.raises(RequestError) as caught:
        load(forward_noted(cuda), device="cuda:2")
    assert caught.value.code == "device-missing"
    assert "2 CUDA devices" in caught.value.message


def test_on_a_cpu_nothing_is_copied(load: Make) -> None:
    seen = set()

    def forward(self: Any, x: Any) -> Any:
        seen.add((x.data_ptr(), torch.is_inference_mode_enabled(), self.training))
        return x

    runner = load(forward)
    inference = runner.bind(X)
    results = [inference.call() for _ in range(3)]
    assert len(seen) == 1
    pointer, in_inference_mode, training = seen.pop()
    assert in_inference_mode
    assert not training
    assert {result.data_ptr() for result in results} == {pointer}  # type: ignore[attr-defined]
    assert inference.synchronise is None
    assert runner.bind_on_device(X) is None
    assert runner.peak_device_bytes() is None
    assert not runner.on_gpu
    assert not torch.is_inference_mode_enabled()


def test_many_calls_may_share_one_inference_mode(load: Make) -> None:
    modes: list[bool] = []
    entered = []

    def forward(self: Any, x: Any) -> Any:
        modes.append(torch.is_inference_mode_enabled())
        return x

    inference = load(forward).bind(X)
    with inference.around():
        entered.append(torch.is_inference_mode_enabled())
        inference.call()
        entered.append(torch.is_inference_mode_enabled())
        inference.call()
    inference.call()
    assert entered == [True, True]
    assert modes == [True, True, True]
    assert not torch.is_inference_mode_enabled()


def test_inference_mode_ends_where_a_forward_fails(load: Make) -> None:
    def forward(self: Any, x: Any) -> Any:
        raise ValueError

    call = load(forward).bind(X).call
    for _ in range(2):
        with pytest.raises(MeasurementError):
            call()
        assert not torch.is_inference_mode_enabled()


def test_what_a_cpu_was_set_to(load: Make) -> None:
    plain = load(lambda self, x: x, optimized=False).settings
    assert plain["mkldnn"] == "off"
    settings = load(lambda self, x: x).settings
    assert settings == {
        "threads": "1",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "mkldnn": "on",
        "float32_matmul": "ieee",
        "quantized.engine": torch.backends.quantized.engine,
        "torch.compile": "off",
    }
    with precision(torch.backends.mkldnn.matmul, "bf16"):
        assert load(lambda self, x: x).settings["float32_matmul"] == "bf16"


def really(runner: TorchRunner, module: Any, kind: str) -> None:
    """Both ways of running on a real device, against the module on the CPU."""
    expected = module(torch.from_numpy(X["x"]).to(kind)).detach().cpu().numpy()
    whole, queued = runner.bind(X), runner.bind_on_device(X)
    assert queued is not None
    assert queued.synchronise is not None
    for _ in range(3):
        (output,) = whole.call()  # type: ignore[misc]
        assert output.device.type == "cpu"
        np.testing.assert_allclose(output.numpy(), expected, rtol=1e-3)
    result = queued.call()
    queued.synchronise()
    assert result.device.type == kind  # type: ignore[attr-defined]
    assert runner.settings["device"]
    assert (runner.peak_device_bytes() or 0) >= 1024 * 1024 * 4


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_real_cuda(load: Make) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 1024), torch.nn.Linear(1024, 1024))
    wrapped = type("Made", (torch.nn.Module,), {"forward": lambda self, x: self.inner(x)})()
    wrapped.inner = module
    runner = load(wrapped, device="cuda")
    really(runner, wrapped, "cuda")
    assert runner.settings["cudnn"].isdigit()


@pytest.mark.mps
@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="needs an Apple GPU")
def test_on_real_mps(load: Make) -> None:
    wrapped = type("Made", (torch.nn.Module,), {"forward": lambda self, x: self.inner(x)})()
    wrapped.inner = torch.nn.Sequential(torch.nn.Linear(3, 1024), torch.nn.Linear(1024, 1024))
    really(load(wrapped, device="mps"), wrapped, "mps")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_compiled_on_real_cuda(load: Make) -> None:
    runner = load(lambda self, x: torch.sin(x) + torch.cos(x), device="cuda", compiled=True)
    inference = runner.bind(X)
    compiled = runner.compilations()
    (output,) = inference.call()  # type: ignore[misc]
    np.testing.assert_allclose(output.numpy(), np.sin(X["x"]) + np.cos(X["x"]), rtol=1e-5)
    assert runner.compilations() == compiled == 1
    assert runner.settings["torch.compile"] == "inductor, 1 graph, 0 graph breaks"
