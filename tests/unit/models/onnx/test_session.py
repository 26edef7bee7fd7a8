"""Running with ONNX Runtime: inputs, outputs, devices, and every way it can refuse."""

import subprocess
import sys
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from compaudit.errors import CompauditError, MeasurementError, RequestError
from compaudit.models.onnx import native
from compaudit.models.onnx.runtime_errors import clean, load_error, run_error

node = helper.make_node
info = helper.make_tensor_value_info
X = {"x": np.array([[-1.0, 0.0, 2.0]], np.float32)}


@pytest.fixture
def relu(kit):
    return kit.write([node("Relu", ["x"], ["y"])])


# ------------------------------------------------------------------------------- running


def test_run(kit, relu) -> None:
    runner = kit.load(relu)
    assert runner.run(X)["y"].tolist() == [[0.0, 0.0, 2.0]]
    assert runner.named_outputs
    assert runner.providers == ("CPUExecutionProvider",)


def test_inputs_and_outputs_are_described(kit) -> None:
    path = kit.write(
        [node("Identity", ["x"], ["y"])],
        inputs=[info("x", TensorProto.INT64, ["batch", 3, None])],
        outputs=[info("y", TensorProto.INT64, ["batch", 3, None])],
    )
    (value,) = kit.load(path).inputs
    assert (value.name, value.dtype, value.shape) == ("x", "int64", ("batch", 3, None))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float64", "bool"])
def test_plain_types(kit, dtype) -> None:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    path = kit.write(
        [node("Identity", ["x"], ["y"])],
        inputs=[info("x", kind, [2])],
        outputs=[info("y", kind, [2])],
    )
    data = np.array([0, 1], dtype)
    runner = kit.load(path)
    assert runner.inputs[0].dtype == dtype
    np.testing.assert_array_equal(runner.run({"x": data})["y"], data, strict=True)


def test_bind_is_one_inference(kit, relu) -> None:
    call = kit.load(relu).bind(X).call
    for _ in range(3):
        call()


def test_bind_with_text(kit) -> None:
    path = kit.write(
        [node("Identity", ["x"], ["y"])],
        inputs=[info("x", TensorProto.STRING, [1])],
        outputs=[info("y", TensorProto.STRING, [1])],
    )
    runner = kit.load(path)
    text = {"x": np.array(["word"])}
    runner.bind(text).call()
    assert runner.run(text)["y"].tolist() == ["word"]


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (TensorProto.BFLOAT16, ml_dtypes.bfloat16),
        (TensorProto.FLOAT8E4M3FN, ml_dtypes.float8_e4m3fn),
        (TensorProto.FLOAT8E5M2, ml_dtypes.float8_e5m2),
        (TensorProto.FLOAT16, np.float16),
    ],
)
def test_small_floats_go_in_and_come_out(kit, kind, dtype) -> None:
    path = kit.write(
        [node("Identity", ["x"], ["y"])],
        inputs=[info("x", kind, [3])],
        outputs=[info("y", kind, [3])],
    )
    runner = kit.load(path)
    data = np.array([1, 2, -3]).astype(dtype)
    result = runner.run({"x": data})["y"]
    assert result.dtype == data.dtype
    assert result.astype(np.float32).tolist() == [1, 2, -3]
    runner.bind({"x": data}).call()


def test_outputs_are_there_when_a_plain_and_a_small_float_come_together(kit) -> None:
    path = kit.write(
        [node("Relu", ["x"], ["y"]), node("Cast", ["y"], ["z"], to=TensorProto.BFLOAT16)],
        outputs=[info("y", 1, None), info("z", TensorProto.BFLOAT16, None)],
    )
    found = kit.load(path).run(X)
    assert found["y"].tolist() == found["z"].astype(np.float32).tolist() == [[0, 0, 2]]


def test_zipmap_becomes_an_array(kit) -> None:
    kind = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(1, None))
    path = kit.write(
        [node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[7, 8, 9])],
        outputs=[helper.make_value_info("y", helper.make_sequence_type_proto(kind))],
    )
    runner = kit.load(path)
    assert runner.outputs[0].dtype == "sequence(map(int64,float32))"
    assert runner.run(X)["y"].tolist() == [[-1.0, 0.0, 2.0]]
    runner.bind(X).call()


def test_sequences(kit) -> None:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, None))
    nodes = [node("SequenceConstruct", ["x", "t"], ["y"])]
    outputs = [helper.make_value_info("y", kind)]
    alike = numpy_helper.from_array(np.ones((1, 3), np.float32), "t")
    found = kit.load(kit.write(nodes, [alike], outputs=outputs)).run(X)
    assert found["y"].shape == (2, 1, 3)
    other = numpy_helper.from_array(np.ones(5, np.float32), "t")
    with pytest.raises(RequestError, match="'y' is sequence") as caught:
        kit.load(kit.write(nodes, [other], outputs=outputs)).run(X)
    assert caught.value.code == "unsupported-output"


def test_an_optional_output_that_holds_nothing(kit) -> None:
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(1, [1, 3]))
    path = kit.write(
        [node("Optional", [], ["y"], type=helper.make_tensor_type_proto(1, [1, 3]))],
        outputs=[helper.make_value_info("y", kind)],
    )
    with pytest.raises(RequestError, match="'y' is optional") as caught:
        kit.load(path).run(X)
    assert caught.value.code == "unsupported-output"


# -------------------------------------------------------------------------------- inputs


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "no data for input 'x'"),
        ({**X, "z": X["x"]}, "no input 'z'"),
        ({"x": X["x"].astype(np.float64)}, "takes float32, the data is float64"),
        ({"x": np.ones((1, 4), np.float32)}, "Got: 4 Expected: 3"),
        ({"x": np.ones(3, np.float32)}, "rank"),
    ],
)
@pytest.mark.parametrize("way", ["run", "bind"])
def test_inputs_that_do_not_fit(kit, relu, feeds, message, way) -> None:
    runner = kit.load(relu)
    with pytest.raises(RequestError, match=message) as caught:
        runner.run(feeds) if way == "run" else runner.bind(feeds).call()
    assert caught.value.code == "inputs-do-not-fit"
    assert caught.value.hint


def test_packed_inputs_are_refused_clearly(kit) -> None:
    path = kit.write([node("Cast", ["x"], ["y"], to=1)], inputs=[info("x", TensorProto.INT4, [2])])
    with pytest.raises(RequestError, match="int4") as caught:
        kit.load(path).run({"x": np.array([1, 2], ml_dtypes.int4)})
    assert caught.value.code in ("unsupported-input", "inputs-do-not-fit")


def test_a_node_that_fails_is_not_the_inputs_fault(kit) -> None:
    path = kit.write(
        [node("Gather", ["x", "i"], ["y"])], inputs=[info("x", 1, [2]), info("i", 7, [1])]
    )
    with pytest.raises(MeasurementError, match="out of data bounds") as caught:
        kit.load(path).run({"x": np.ones(2, np.float32), "i": np.array([9])})
    assert caught.value.code == "model-failed"
    assert "vocabulary" in caught.value.hint


# ------------------------------------------------------------------------------- loading


def load_refusal(kit, path, **settings) -> CompauditError:
    with pytest.raises(CompauditError) as caught:
        kit.load(path, **settings)
    error = caught.value
    assert isinstance(error, RequestError)
    assert error.model == str(path)
    assert error.stage == "load"
    assert error.hint
    assert error.message.isprintable()
    assert len(error.message) < 360
    assert ".cc:" not in error.message
    assert ".h:" not in error.message
    assert "ONNXRuntimeError" not in error.message
    return error


@pytest.mark.parametrize(
    ("nodes", "kwargs", "reason", "hint"),
    [
        ([node("Nope", ["x"], ["y"])], {}, "No Op registered for Nope", "update onnxruntime"),
        (
            [node("Nope", ["x"], ["y"], domain="local")],
            *({}, "local:Nope", "--custom-op-library"),
        ),
        ([node("Relu", ["x"], ["y"])], {"opset": 99}, "Opset 99", "older opset"),
        ([node("Relu", ["q"], ["y"])], {}, "'q'", "checker"),
        ([node("Relu", ["x", "x"], ["y"])], {}, "input size 2", "checker"),
    ],
)
def test_unsupported_models(kit, nodes, kwargs, reason, hint) -> None:
    error = load_refusal(kit, kit.write(nodes, **kwargs))
    assert error.code == "unsupported-model"
    assert reason in error.message
    assert hint in error.hint


def test_a_kernel_that_is_missing(kit) -> None:
    path = kit.write(
        [node("Identity", ["x"], ["y"])],
        inputs=[info("x", TensorProto.INT4, [2])],
        outputs=[info("y", TensorProto.INT4, [2])],
    )
    error = load_refusal(kit, path)
    assert error.code == "unsupported-model"
    assert "Identity" in error.message


def test_a_future_ir_version(kit, relu) -> None:
    model = onnx.load(relu)
    model.ir_version = 99
    relu.write_bytes(model.SerializeToString())
    error = load_refusal(kit, relu)
    assert "Unsupported model IR version: 99" in error.message
    assert "onnxruntime::" not in error.message
    assert "update onnxruntime" in error.hint


def test_a_file_that_is_no_model(kit) -> None:
    path = kit.folder / "bad.onnx"
    path.write_bytes(b"\x08\x07garbage")
    assert load_refusal(kit, path).code == "broken-model"


@pytest.mark.parametrize(
    ("device", "message", "hint"),
    [
        ("mps", "'mps'", "CoreMLExecutionProvider"),
        ("NoSuchProvider", "NoSuchProvider", "CPUExecutionProvider"),
    ],
)
def test_unknown_devices(kit, relu, device, message, hint) -> None:
    error = load_refusal(kit, relu, device=device)
    assert error.code == "unknown-device"
    assert message in error.message
    assert hint in error.hint


def test_a_device_number_that_is_none(kit, relu, monkeypatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    error = load_refusal(kit, relu, device="cuda:first")
    assert (error.code, "'first'" in error.message) == ("unknown-device", True)


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="has CUDA")
def test_cuda_without_cuda(kit, relu) -> None:
    assert "compaudit[gpu]" in load_refusal(kit, relu, device="cuda:1").hint


class _FallenBack:
    """A session that quietly runs everything on the CPU."""

    def __init__(self, *args, **kwargs) -> None:
        assert kwargs["enable_fallback"] == 0

    def get_providers(self):
        return ["CPUExecutionProvider"]


class _Assigned(_FallenBack):
    """A session that has the provider but gives it no node."""

    def get_providers(self):
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def get_provider_graph_assignment_info(self):
        relu = SimpleNamespace(op_type="Relu")
        return [SimpleNamespace(ep_name="CPUExecutionProvider", get_nodes=lambda: [relu])]


@pytest.mark.parametrize("kind", [_FallenBack, _Assigned])
def test_falling_back_as_a_whole_is_an_error(kit, relu, monkeypatch, kind) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", kind)
    error = load_refusal(kit, relu, device="cuda")
    assert error.code == "provider-fallback"


def test_threads_and_options_are_explicit(kit, relu, monkeypatch) -> None:
    seen = []
    real = ort.InferenceSession

    def make(path, options, providers, **kwargs):
        seen.append((options, providers))
        return real(path, options, providers, **kwargs)

    monkeypatch.setattr(ort, "InferenceSession", make)
    kit.load(relu, threads=3, optimized=False, session_options={"session.x": "1"})
    ((options, providers),) = seen
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    assert options.execution_mode == ort.ExecutionMode.ORT_SEQUENTIAL
    assert options.get_session_config_entry("session.x") == "1"
    assert providers == [("CPUExecutionProvider", {})]


def test_custom_operator_libraries_need_trust(kit, relu, tmp_path) -> None:
    library = tmp_path / "ops.so"
    library.write_bytes(b"not a library")
    error = load_refusal(kit, relu, custom_op_libraries=(str(library),))
    assert (error.code, "--trust-model-code" in error.hint) == ("untrusted-code", True)
    error = load_refusal(kit, relu, custom_op_libraries=(str(library),), trust_model_code=True)
    assert error.code == "bad-custom-op-library"


def test_nothing_is_written_to_stdout(kit, relu, capfd) -> None:
    kit.load(relu).run(X)
    kit.write([node("Nope", ["x"], ["y"])], name="bad.onnx")
    load_refusal(kit, kit.folder / "bad.onnx")
    assert capfd.readouterr().out == ""


def test_without_onnx_runtime(relu) -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from compaudit.models.onnx.format import OnnxFormat\n"
        "from compaudit.models.base import RunSettings, Source\n"
        "source = Source('m', 'onnx', path=sys.argv[1])\n"
        "OnnxFormat().read(source)\n"
        "try: OnnxFormat().load(source, RunSettings())\n"
        "except Exception as error: print(error.code, error.model, error.hint)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, relu], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("runtime-missing m pip install 'compaudit[cpu]'")


def test_loading_an_ordinary_model_does_not_import_onnx(relu) -> None:
    code = (
        "import sys\n"
        "from compaudit.models.onnx.format import OnnxFormat\n"
        "assert not {'onnx', 'onnxruntime', 'numpy'} & set(sys.modules)\n"
        "from compaudit.models.base import RunSettings, Source\n"
        "OnnxFormat().load(Source('m', 'onnx', path=sys.argv[1]), RunSettings())\n"
        "assert 'onnx' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, relu], check=True)


# -------------------------------------------------------------------------- error messages


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for "
            "Foo(1) node with name ''",
            "Could not find an implementation for Foo(1) node",
        ),
        (
            "[ONNXRuntimeError] : 1 : FAIL : /build/core/graph/model.cc:256 "
            "onnxruntime::Model::Model(onnx::ModelProto&&, const std::function<void(int)>&, bool) "
            "Unsupported model IR version: 99\n",
            "Unsupported model IR version: 99",
        ),
        (
            "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from /a b.onnx failed:Bad.",
            "Bad",
        ),
        ("a\x1b[31mred\x07\n  text", "a [31mred text"),
        ("", "RuntimeError"),
        (
            "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Non-zero status code returned while "
            "running Gather node. Name:'g' Status Message: out of bounds",
            "Gather 'g': out of bounds",
        ),
    ],
)
def test_clean(message, expected) -> None:
    assert clean(RuntimeError(message)) == expected


def test_clean_is_short() -> None:
    assert len(clean(RuntimeError("word " * 1000))) == 300


def test_out_of_memory() -> None:
    for translate in (load_error, run_error):
        error = translate(RuntimeError("std::bad_alloc"))
        assert isinstance(error, MeasurementError)
        assert error.code == "out-of-memory"


def test_errors_keep_their_cause(kit, relu) -> None:
    with pytest.raises(RequestError) as caught:
        kit.load(relu).run({"x": np.ones((1, 4), np.float32)})
    assert isinstance(caught.value.__cause__, native.native.InvalidArgument)
    kit.write([node("Nope", ["x"], ["y"])], name="bad.onnx")
    with pytest.raises(RequestError) as caught:
        kit.load(kit.folder / "bad.onnx")
    assert caught.value.__cause__ is not None
