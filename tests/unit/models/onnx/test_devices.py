"""Sessions on a GPU, with stand-ins of ONNX Runtime's classes that keep a diary.

What only a device can say (that the results are right, and that a run has ended when it says so)
the tests marked ``cuda`` are for.
"""

import time
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from compaudit.errors import MeasurementError, RequestError
from compaudit.models.onnx import device_memory
from compaudit.models.onnx.runtime_errors import load_error

node = helper.make_node
info = helper.make_tensor_value_info
X = {"x": np.array([[-1.0, 0.0, 2.0]], np.float32)}
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
MATRICES = [("MatMul", 3), ("Relu", 2)]


class Binding:
    """Says what is bound and when; inputs are copied as they are bound, as in ONNX Runtime."""

    def __init__(self, diary: list[str]) -> None:
        self.diary = diary
        self.outputs: list[str] = []
        self._iobinding = SimpleNamespace(bind_output=self._bind_native)

    def _bind_native(self, name: str, device: Any) -> None:
        where = f"vendor {device.vendor_id():x} number {device.device_id()}"
        self.outputs.append(f"allocated on {where}")

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        self.diary.append(f"input {name} from {value.where}")

    def bind_output(self, name: str, kind: str = "cpu", number: int = 0) -> None:
        self.outputs.append(f"allocated on {kind}:{number}")

    def bind_ortvalue_output(self, name: str, value: Any) -> None:
        self.outputs.append(f"into {value.where}")

    def synchronize_inputs(self) -> None:
        self.diary.append("wait for inputs")

    def synchronize_outputs(self) -> None:
        self.diary.append("wait")

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(where="the first run's memory")]


class Session:
    """A session on a GPU that gives some nodes to the CPU."""

    placed: ClassVar[dict[str, list[tuple[str, int]]]] = {CUDA: MATRICES}
    refuses_fixed_outputs = False

    def __init__(self, path: str, options: Any, providers: list[Any], **kwargs: Any) -> None:
        assert kwargs == {"enable_fallback": 0}
        self.options = options
        self.providers = dict(providers)
        self.diary: list[str] = []

    def get_session_options(self) -> Any:
        return self.options

    def get_providers(self) -> list[str]:
        return list(self.providers)

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        (name, given), *_ = self.providers.items()
        defaults = {"use_tf32": "1", "cudnn_conv_algo_search": "EXHAUSTIVE"}
        return {name: {**defaults, "user_compute_stream": "0", **given}, CPU: {}}

    def get_provider_graph_assignment_info(self) -> list[Any]:
        return [
            SimpleNamespace(
                ep_name=name, get_nodes=lambda op=op, n=n: [SimpleNamespace(op_type=op)] * n
            )
            for name, operators in self.placed.items()
            for op, n in operators
        ]

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="x", type="tensor(float)", shape=["n", 3])]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name="y", type="tensor(float)", shape=["n", 3])]

    def io_binding(self) -> Binding:
        return Binding(self.diary)

    def run_with_iobinding(self, binding: Binding) -> None:
        (output,) = binding.outputs
        if self.refuses_fixed_outputs and output.startswith("into"):
            raise RuntimeError("the shape of the bound output does not fit")
        self.diary.append(f"run, output {output}")

    def run_with_ort_values(self, names: None, feeds: dict[str, Any]) -> None:
        self.diary.extend(f"run with {name} from {value.where}" for name, value in feeds.items())


@pytest.fixture
def load(kit, monkeypatch):
    """Loads a model in the stand-ins; `diary` is what they have done since."""

    def placed(array: Any, kind: str = "cpu", number: int = 0, vendor: int = -1) -> Any:
        return SimpleNamespace(where=f"{kind}:{number}" + (f":{vendor:x}" if vendor >= 0 else ""))

    def make(device: str = "cuda", session: type[Session] = Session, **settings: Any) -> Any:
        return kit.load(kit.write([node("Relu", ["x"], ["y"])]), device=device, **settings)

    class Kept(Session):
        pass

    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, "DmlExecutionProvider", CPU])
    monkeypatch.setattr(ort, "InferenceSession", Kept)
    monkeypatch.setattr(ort.OrtValue, "ortvalue_from_numpy", placed)
    make.kind = Kept
    return make


def diary_of(runner: Any) -> list[str]:
    taken = list(runner._session.diary)
    runner._session.diary.clear()
    return taken


# ---------------------------------------------------------------------------------- placement


def test_nodes_are_counted_on_the_processor_too_and_inside_subgraphs(kit) -> None:
    branches = [
        helper.make_graph([node(op, ["x"], [op])], op, [], [info(op, 1, None)])
        for op in ("Neg", "Abs")
    ]
    nodes = [
        node("If", ["c"], ["z"], then_branch=branches[0], else_branch=branches[1]),
        node("Sqrt", ["z"], ["y"]),
    ]
    inputs = [info("x", 1, ["n", 3]), info("c", TensorProto.BOOL, [])]
    runner = kit.load(kit.write(nodes, inputs=inputs))
    assert runner.nodes_by_provider == {CPU: 4}
    assert not runner.on_gpu
    assert runner.peak_device_bytes() is None


def test_settings_are_read_back_from_a_real_session(kit) -> None:
    path = kit.write([node("Relu", ["x"], ["y"])])
    options = {"session.intra_op.allow_spinning": "0", "session.no_such_key": "1"}
    found = kit.load(path, threads=2, optimized=False, session_options=options).settings
    assert found["graph_optimization_level"] == "disable_all"
    assert found["execution_mode"] == "sequential"
    assert (found["intra_op_threads"], found["inter_op_threads"]) == ("2", "1")
    assert found["session.intra_op.allow_spinning"] == "0"
    assert found["session.no_such_key"] == "1 (this ONNX Runtime does not know the option)"
    assert kit.load(path).settings["graph_optimization_level"] == "all"


def test_a_provider_option_that_has_no_effect_is_marked(kit) -> None:
    path = kit.write([node("Relu", ["x"], ["y"])])
    found = kit.load(path, provider_options={"nothing": "1"}).settings
    assert found["cpu.nothing"] == "1 (not taken up)"


def test_settings_of_a_gpu(load) -> None:
    found = load("cuda:1", provider_options={"use_tf32": "0"}).settings
    assert (found["cuda.use_tf32"], found["cuda.device_id"]) == ("0", "1")
    assert found["cuda.cudnn_conv_algo_search"] == "EXHAUSTIVE"
    assert "cuda.user_compute_stream" not in found


def test_a_part_that_falls_back_is_counted_and_named(load) -> None:
    load.kind.placed = {CUDA: MATRICES, CPU: [("Shape", 2), ("Gather", 1)]}
    runner = load()
    assert runner.providers == (CUDA, CPU)
    assert runner.nodes_by_provider == {CUDA: 5, CPU: 3}
    assert runner.settings[f"operators on {CPU}"] == "Shape ×2, Gather"


def test_five_operators_are_named_at_most(load) -> None:
    load.kind.placed = {CUDA: MATRICES, CPU: [(op, 1) for op in "GFEDCBA"] + [("Z", 2)]}
    assert load().settings[f"operators on {CPU}"] == "Z ×2, A, B, C, D and 3 more"


def test_nothing_is_elsewhere_where_all_is_on_the_gpu(load) -> None:
    runner = load()
    assert (runner.providers, runner.nodes_by_provider) == ((CUDA,), {CUDA: 5})
    assert f"operators on {CPU}" not in runner.settings


def test_an_older_onnx_runtime_does_not_tell(load, monkeypatch) -> None:
    monkeypatch.delattr(Session, "get_provider_graph_assignment_info")
    runner = load()
    assert (runner.providers, runner.nodes_by_provider) == ((CUDA, CPU), {})


@pytest.mark.parametrize(
    ("device", "hint"),
    [
        ("CudaExecutionProvider", "did you mean --device CUDAExecutionProvider?"),
        ("DMLExecutionProvider", "did you mean --device DmlExecutionProvider?"),
        ("dml", "did you mean --device DmlExecutionProvider?"),
        ("CUDAExecutionProvdier", "did you mean --device CUDAExecutionProvider?"),
        ("TensorrtExecutionProvider", f"available here: {CUDA}"),
    ],
)
def test_mistyped_providers(load, device, hint) -> None:
    with pytest.raises(RequestError) as caught:
        load(device)
    assert caught.value.code == "unknown-device"
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize("device", ["cpu:1", "cuda:", "cuda:-1"])
def test_numbers_that_are_none(load, device) -> None:
    with pytest.raises(RequestError) as caught:
        load(device)
    assert caught.value.code == "unknown-device"


@pytest.mark.parametrize(
    "message",
    [
        "CUDA failure 101: invalid device ordinal ; GPU=7 ; expr=cudaSetDevice(info_.device_id);",
        "CUDA_PATH is set but CUDA wasn't able to be loaded. Please install the correct version",
        "Failed to load library libonnxruntime_providers_cuda.so with error: libcublasLt.so.12: "
        "cannot open shared object file: No such file or directory",
        "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version",
    ],
)
def test_a_device_that_does_not_work_is_not_the_models_fault(message) -> None:
    error = load_error(RuntimeError(message))
    assert isinstance(error, RequestError)
    assert error.code == "device-missing"
    assert "doctor" in error.hint


def test_onnx_models_are_not_compiled(kit) -> None:
    with pytest.raises(RequestError) as caught:
        kit.load(kit.write([node("Relu", ["x"], ["y"])]), compiled=True)
    assert caught.value.code == "compile-onnx"


# ------------------------------------------------------------------------------------ binding


def test_end_to_end_every_call_starts_and_ends_in_main_memory(load) -> None:
    runner = load("cuda:1")
    assert runner.on_gpu
    inference = runner.bind(X)
    assert diary_of(runner) == []  # nothing is on the device before the call
    inference.call()
    inference.call()
    assert inference.synchronise is None
    assert diary_of(runner) == ["run with x from cpu:0"] * 2


def test_on_the_device_inputs_are_placed_once_and_outputs_stay(load) -> None:
    runner = load("cuda:1")
    inference = runner.bind_on_device(X)
    first = diary_of(runner)
    assert first.count("input x from cuda:1") == 2  # once for each of the two bindings
    assert "run, output allocated on cuda:1" in first
    inference.call()
    inference.call()
    inference.synchronise()
    assert diary_of(runner) == ["run, output into the first run's memory"] * 2 + ["wait"]


def test_outputs_that_do_not_fit_again_are_allocated_by_every_call(load) -> None:
    load.kind.refuses_fixed_outputs = True
    runner = load("cuda:1")
    inference = runner.bind_on_device(X)
    diary_of(runner)
    inference.call()
    assert diary_of(runner) == ["run, output allocated on cuda:1"]


def test_directml_has_memory_of_its_own(load) -> None:
    load.kind.placed = {"DmlExecutionProvider": MATRICES}
    runner = load("DmlExecutionProvider")
    assert runner.on_gpu
    runner.bind_on_device(X)
    assert "input x from dml:0" in diary_of(runner)


def test_migraphx_names_its_maker(load, monkeypatch) -> None:
    migraphx = "MIGraphXExecutionProvider"
    monkeypatch.setattr(ort, "get_available_providers", lambda: [migraphx, CPU])
    load.kind.placed = {migraphx: MATRICES}
    runner = load(f"{migraphx}:1")
    runner.bind_on_device(X)
    diary = diary_of(runner)
    assert "input x from gpu:1:1002" in diary
    assert "run, output allocated on vendor 1002 number 1" in diary


def test_errors_on_the_device_are_translated(load, monkeypatch) -> None:
    def fail(self: Any, binding: Any) -> None:
        raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")

    monkeypatch.setattr(Session, "run_with_iobinding", fail)
    with pytest.raises(MeasurementError) as caught:
        load().bind_on_device(X)
    assert caught.value.code == "model-failed"


def test_on_the_processor_there_is_no_other_way(kit) -> None:
    assert kit.load(kit.write([node("Relu", ["x"], ["y"])])).bind_on_device(X) is None


# -------------------------------------------------------------------------------- real devices

cuda = pytest.mark.skipif(CUDA not in ort.get_available_providers(), reason="needs a CUDA device")


@pytest.fixture
def heavy(kit):
    """64 products of 2048 × 2048 matrices: 1.1 TFLOP, milliseconds on any GPU."""
    size, depth = 2048, 64
    weight = numpy_helper.from_array(np.eye(size, dtype=np.float32)[::-1].copy(), "w")
    nodes = [node("MatMul", [f"v{i}" if i else "x", "w"], [f"v{i + 1}"]) for i in range(depth)]
    nodes.append(node("Identity", [f"v{depth}"], ["y"]))
    return kit.write(nodes, [weight], inputs=[info("x", 1, [size, size])])


@pytest.mark.cuda
@cuda
def test_on_real_cuda(kit, heavy) -> None:
    x = {"x": np.random.default_rng(1).random((2048, 2048), np.float32)}
    runner = kit.load(heavy, device="cuda", provider_options={"use_tf32": "0"})
    assert runner.on_gpu
    assert runner.settings["cuda.use_tf32"] == "0"
    assert runner.nodes_by_provider[CUDA] >= 64
    np.testing.assert_allclose(runner.run(x)["y"], kit.load(heavy).run(x)["y"], rtol=1e-5)
    whole, device = runner.bind(x), runner.bind_on_device(x)

    def seconds(inference, wait: bool) -> float:
        inference.call()
        if inference.synchronise:
            inference.synchronise()
        began = time.perf_counter()
        for _ in range(20):
            inference.call()
        if wait and inference.synchronise:
            inference.synchronise()
        return (time.perf_counter() - began) / 20

    waited, without, whole_s = seconds(device, True), seconds(device, False), seconds(whole, True)
    assert waited > 1.1e12 / 2e15  # no GPU does 2 PFLOP/s in float32: it is not submission alone
    assert without > waited / 2  # ONNX Runtime waits at the end of every run
    assert whole_s > 0.9 * waited
    assert (runner.peak_device_bytes() or 1 << 24) >= 1 << 24


# ------------------------------------------------------------------------------- device memory


class Nvml:
    """NVML of a machine with two GPUs, and processes on each."""

    NVMLError = type("NVMLError", (Exception,), {})

    def __init__(self, *devices: list[tuple[int, int | None]], works: bool = True) -> None:
        self.devices, self.works, self.open = devices, works, 0

    def nvmlInit(self) -> None:
        if not self.works:
            raise self.NVMLError("driver not loaded")
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:
        return self.devices[index]

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any) -> list[Any]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in handle]


@pytest.mark.parametrize(
    ("nvml", "outermost", "held"),
    [
        (Nvml([(7, 100), (42, 30)], [(42, 5)]), True, 35),
        (Nvml([(7, 100)], []), True, None),
        (Nvml([(42, None)]), True, None),
        (Nvml([(42, 30)], works=False), True, None),
        (Nvml([(42, 30)]), False, None),  # in a container 42 is somebody else
        (None, True, None),
    ],
)
def test_device_memory(monkeypatch, nvml, outermost, held) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pynvml", nvml)
    monkeypatch.setattr(device_memory.os, "getpid", lambda: 42)
    monkeypatch.setattr(device_memory, "_numbers_are_the_hosts", lambda: outermost)
    assert device_memory.device_bytes() == held
    assert nvml is None or nvml.open == 0
