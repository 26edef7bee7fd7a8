"""The same in a worker: inference, a run for what it leaves open, and a PyTorch module."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from compaudit.data.base import DataRequest, Feed, SyntheticInput
from compaudit.measure.macs.count import count_macs
from compaudit.measure.macs.in_worker import count_in_run, sizes_in_run
from compaudit.measure.macs.inference import infer
from compaudit.models import open as models
from compaudit.models.base import RunSettings
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker
from compaudit.workers.workspace import admit_user_modules, load_model

SAMPLES = Path(__file__).parents[4] / "sample_models"
node, info = helper.make_node, helper.make_tensor_value_info


def made_up(name: str, *shape: int) -> tuple[DataRequest, tuple[Feed, ...]]:
    synthetic = (SyntheticInput(name, "float32", shape, 0.5, 1.0),)
    feeds = (Feed(name, name, "float32", None),)
    return DataRequest(synthetic=synthetic, samples=4), feeds


def test_inference_in_a_worker() -> None:
    source = models.recognise(str(SAMPLES / "digits_int4.onnx"))
    with Worker(source.spec, Limits()) as worker:
        shapes = worker.call("shapes", infer, source, {"image": (1, 1, 8, 8)})
    counted = count_macs(models.read(source, trust_model_code=False), shapes, {})
    assert counted is not None
    assert (counted.total, counted.coverage) == (160_410_240, 1.0)


def test_a_run_fills_in_what_inference_leaves_open(tmp_path: Path) -> None:
    """As many rows as there are numbers that are not zero: all twelve."""
    nodes = [
        node("NonZero", ["x"], ["places"]),
        node("Cast", ["places"], ["real"], to=TensorProto.FLOAT),
        node("MatMul", ["w", "real"], ["y"]),
    ]
    weight = numpy_helper.from_array(np.ones((5, 2), np.float32), "w")
    graph = helper.make_graph(nodes, "g", [info("x", 1, ["n", 12])], [info("y", 1, None)], [weight])
    opsets = [helper.make_opsetid("", 21)]
    path = tmp_path / "m.onnx"
    path.write_bytes(
        helper.make_model(graph, ir_version=10, opset_imports=opsets).SerializeToString()
    )
    source = models.recognise(str(path))
    model = models.read(source, trust_model_code=False)
    data, feeds = made_up("x", 12)
    with Worker(source.spec, Limits()) as worker:
        shapes = worker.call("shapes", infer, source, {})
        first = count_macs(model, shapes, {})
        assert first is not None
        assert (first.total, first.uncounted_contractions) == (0, ["MatMul"])
        wanted = first.unknown_shapes
        more = worker.call("shapes", sizes_in_run, source, RunSettings(), data, feeds, wanted)
    second = count_macs(model, shapes.with_values(more), {"w": 0.5})
    assert second is not None
    assert (second.total, second.nonzero, second.coverage) == (5 * 2 * 12, 60, 1.0)


@pytest.mark.torch
def test_a_module_in_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    (tmp_path / "tiny.py").write_text(
        "import torch\ndef make():\n    return torch.nn.Sequential(torch.nn.Linear(3, 4))\n"
    )
    monkeypatch.chdir(tmp_path)
    source = models.recognise("tiny:make")
    data, feeds = made_up("input", 3)
    with Worker(source.spec, Limits()) as worker:
        worker.call("load", admit_user_modules)
        worker.call("load", load_model, source, RunSettings())
        found = worker.call("memory", count_in_run, data, feeds, {"0.weight": 0.25})
    assert (found.total, found.nonzero, found.coverage) == (12, 3, 1.0)
