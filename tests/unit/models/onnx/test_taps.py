"""Values inside of a model, held against what independent models of its first nodes give."""

import os
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from compaudit.errors import RequestError
from compaudit.models.base import RunSettings, Source
from compaudit.models.onnx.format import OnnxFormat
from compaudit.models.onnx.shape_run import shapes_from_run

SAMPLES = Path(__file__).parents[4] / "sample_models"
RANDOM = np.random.default_rng(3)
node = helper.make_node
info = helper.make_tensor_value_info
X = {"x": np.array([[-1.0, 0.0, 2.0]], np.float32)}


def load(path: Path, *taps: str, **settings):
    source = Source(str(path), "onnx", path=str(path))
    return OnnxFormat().load(source, RunSettings(taps=taps, **settings))


@pytest.mark.parametrize("name", ["digits", "digits_int8", "digits_external", "digits_fp16"])
def test_a_tap_gives_what_the_model_cut_off_there_gives(name: str, tmp_path: Path) -> None:
    path = SAMPLES / f"{name}.onnx"
    made = [
        node.output[0]
        for node in onnx.load(path, load_external_data=False).graph.node
        if node.op_type in ("Relu", "Conv", "DequantizeLinear") and "weight" not in node.output[0]
    ]
    taps = made[1::3]
    images = RANDOM.random((3, 1, 8, 8), np.float32)
    given = load(path, *taps, optimized=False).run({"image": images})
    assert list(given) == ["logits", *taps]
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    for number, tap in enumerate(taps):
        cut = tmp_path / f"{number}.onnx"
        model = onnx.shape_inference.infer_shapes(onnx.load(path))
        onnx.save(onnx.utils.Extractor(model).extract_model(["image"], [tap]), cut)
        (wanted,) = ort.InferenceSession(str(cut), options).run(None, {"image": images})
        np.testing.assert_array_equal(given[tap], wanted)


def test_outputs_come_first_and_are_as_without_taps(kit) -> None:
    path = kit.write([node("Relu", ["x"], ["r"]), node("Neg", ["r"], ["y"])])
    runner = load(path, "r")
    assert [value.name for value in runner.outputs] == ["y"]
    assert [(value.name, value.dtype) for value in runner.taps] == [("r", "float32")]
    given = runner.run(X)
    assert {name: array.tolist() for name, array in given.items()} == {
        "y": [[0, 0, -2]],
        "r": [[0, 0, 2]],
    }


def test_the_models_own_output_may_be_tapped_and_is_there_once(kit) -> None:
    path = kit.write([node("Relu", ["x"], ["y"])])
    runner = load(path, "y", "y")
    assert list(runner.run(X)) == ["y"]
    assert runner.taps == ()


def test_taps_twice_named_and_inputs(kit) -> None:
    path = kit.write([node("Relu", ["x"], ["r"]), node("Neg", ["r"], ["y"])])
    given = load(path, "r", "x", "r").run(X)
    assert list(given) == ["y", "r", "x"]
    np.testing.assert_array_equal(given["x"], X["x"])


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (TensorProto.FLOAT16, np.float16),
        (TensorProto.BFLOAT16, ml_dtypes.bfloat16),
        (TensorProto.INT8, np.int8),
        (TensorProto.FLOAT8E4M3FN, ml_dtypes.float8_e4m3fn),
    ],
)
def test_small_types(kit, kind, dtype) -> None:
    """Whatever stands in no value_info, and is no type of NumPy's."""
    path = kit.write(
        [node("Cast", ["x"], ["small"], to=kind), node("Cast", ["small"], ["y"], to=1)]
    )
    given = load(path, "small").run(X)
    assert given["small"].dtype == dtype
    assert given["small"].astype(np.float32).tolist() == [[-1, 0, 2]]


BRANCHES = """<ir_version: 8, opset_import: ["" : 17]>
g (float[4] x, bool c) => (float[4] z) {
  b = Sin(x)
  e = If (c) <then_branch = t () => (float[4] o) { o1 = Sin(b)  o = Exp(o1) },
              else_branch = f () => (float[4] p) { p = Neg(b) }>
  z = Neg(e)
}"""


def test_values_of_subgraphs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "branches.onnx"
    onnx.save(parser.parse_model(BRANCHES), path)
    feeds = {"x": np.ones(4, np.float32), "c": np.array(True)}
    given = load(path, "e").run(feeds)
    np.testing.assert_allclose(given["e"], np.exp(np.sin(np.sin(1.0))), rtol=1e-6)
    for inner in ("o1", "If_1.then_branch/o1"):
        with pytest.raises(RequestError, match="no value") as caught:
            load(path, inner)
        assert caught.value.code == "no-such-tap"
        assert caught.value.model == str(path)


def test_a_missing_tap_is_refused_and_a_near_one_named(kit) -> None:
    path = kit.write([node("Relu", ["x"], ["relu_out"]), node("Neg", ["relu_out"], ["y"])])
    with pytest.raises(RequestError, match="'relu_ou'") as caught:
        load(path, "relu_ou")
    assert "relu_out" in caught.value.hint


# ------------------------------------------------------------------------- external data


def external(folder: Path, weight: np.ndarray) -> Path:
    """y = −(x · w), w in a file beside the model."""
    graph = helper.make_graph(
        [node("MatMul", ["x", "w"], ["product"]), node("Neg", ["product"], ["y"])],
        "g",
        [info("x", 1, [1, 3])],
        [info("y", 1, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(
        model, folder / "model.onnx", save_as_external_data=True, location="model.data",
        size_threshold=0,
    )  # fmt: skip
    return folder / "model.onnx"


WEIGHT = RANDOM.random((3, 3000), np.float32)


def test_external_data_is_found_from_anywhere(tmp_path: Path, monkeypatch) -> None:
    path = external(tmp_path / "a", WEIGHT)
    before = sorted(file.name for file in path.parent.iterdir())
    given = load(path, "product").run(X)
    np.testing.assert_allclose(given["product"], X["x"] @ WEIGHT, rtol=1e-5)
    monkeypatch.chdir(tmp_path)
    given = load(Path("a/model.onnx"), "product").run(X)
    np.testing.assert_allclose(given["product"], X["x"] @ WEIGHT, rtol=1e-5)
    assert sorted(file.name for file in path.parent.iterdir()) == before


def test_external_data_in_a_folder_of_links(tmp_path: Path) -> None:
    """As download caches keep models: links with the names, blobs elsewhere."""
    real = external(tmp_path / "whole", WEIGHT)
    blobs, folder = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    folder.mkdir(parents=True)
    for number, file in enumerate((real, real.parent / "model.data")):
        blob = file.rename(blobs / f"{number:064x}")
        (folder / file.name).symlink_to(os.path.relpath(blob, folder))
    path = folder / "model.onnx"
    given = load(path, "product").run(X)
    np.testing.assert_allclose(given["product"], X["x"] @ WEIGHT, rtol=1e-5)
    source = Source(str(path), "onnx", path=str(path))
    sizes = shapes_from_run(source, RunSettings(), X, ["product"])
    assert sizes == {"product": (1, 3000)}


def test_unsafe_external_data_is_refused_with_taps_too(tmp_path: Path) -> None:
    path = external(tmp_path / "a", WEIGHT)
    model = onnx.load(path, load_external_data=False)
    (path.parent / "model.data").rename(tmp_path / "model.data")
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../model.data"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(RequestError) as caught:
        load(path, "product")
    assert caught.value.code == "unsafe-external-data"
