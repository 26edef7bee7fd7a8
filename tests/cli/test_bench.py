"""``compaudit bench``: models at several settings, through the real command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

Run = Any


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sums of squares, of any batch and of one sample only, and one that divides by a string."""
    folder = tmp_path_factory.mktemp("bench")
    for name, batch in (("any.onnx", "N"), ("one.onnx", 1)):
        onnx.save(_model(batch), folder / name)
    return folder


def _model(batch: int | str) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "x"], ["y"])],
        "squares",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 64])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.slow
def test_a_model_that_takes_one_sample_leaves_the_other_the_rest(run: Run, models: Path) -> None:
    outcome = run(
        "bench", models / "any.onnx", models / "one.onnx", "--batch-size", "1,4",
        "--time-budget", "1s", "--json", "--quiet",
    )  # fmt: skip
    report = outcome.done()
    assert report["kind"] == "benchmark"
    assert [one["batch_size"] for one in report["settings"]] == [1, 4]
    both, alone = (one["models"] for one in report["settings"])
    assert both[0]["latency"]["median_s"]["value"] > 0
    assert both[0]["delta"] is None
    assert both[1]["delta"]["value"] > 0
    assert alone[0]["latency"]["batch_size"] == 4
    rate = 4 / alone[0]["latency"]["mean_s"]["value"]
    assert alone[0]["latency"]["throughput_per_s"] == pytest.approx(rate)
    assert alone[1]["latency"] is None
    assert alone[1]["reason"] == "it takes 1 sample at once and no more"
    reasons = {one["metric"]: one["reason"] for one in report["skipped"]}
    assert reasons["settings[1].models[1].latency"] == alone[1]["reason"]


@pytest.mark.slow
def test_the_same_model_twice_and_a_saved_report(run: Run, models: Path, tmp_path: Path) -> None:
    saved = tmp_path / "bench.json"
    outcome = run(
        "bench", models / "any.onnx", models / "any.onnx", "--time-budget", "1s", "-o", saved, "-q"
    )
    assert outcome.code == 0, outcome
    assert "any.onnx (2)" in outcome.stdout
    assert saved.read_bytes().startswith(b"{")


@pytest.mark.slow
def test_a_device_that_is_not_there_is_said_of_its_settings(run: Run, models: Path) -> None:
    outcome = run(
        "bench", models / "any.onnx", "--device", "cpu,cuda", "--time-budget", "1s", "--json"
    )
    assert outcome.code == 2, outcome
    report = outcome.document
    here, there = (one["models"][0] for one in report["settings"])
    assert here["latency"]["device"] == "cpu"
    assert there["latency"] is None
    assert "CUDAExecutionProvider" in there["reason"]
    assert report["error"]["code"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "MODEL"),
        (["missing.onnx"], "missing.onnx"),
        (["any.onnx", "--threads", "0"], "--threads"),
        (["any.onnx", "--batch-size", "1,,8"], "--batch-size"),
        (["any.onnx", "--device", "tpu"], "--device"),
        (["any.onnx", "--input-shape", "z=1x64"], "no input"),
    ],
)
def test_a_wrong_request(run: Run, models: Path, arguments: list[str], said: str) -> None:
    given = [str(models / one) if one.endswith("any.onnx") else one for one in arguments]
    outcome = run("bench", *given, "--time-budget", "1s")
    assert outcome.code == 2, outcome
    assert said in outcome.stderr
    assert outcome.stdout == ""
