"""Models that run, and misbehave: other outputs each time, NaN, memory that grows, a late death."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx.parser
import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run, RunAll

MODEL = (
    '<ir_version: 8, opset_import: ["" : 17]> '
    "graph (float[N,4] input) => ({output} logits) {{{body}}}"
)
ROW, ANY = "float[N,4]", "int64[2,K]"
ZERO = "zero = Constant <value_float = 0.0> () "
GRAPHS = {
    "tame": (ROW, "logits = Relu(input)"),
    "noisy": (
        ROW,
        "noise = RandomNormalLike <scale = 0.1> (input) logits = Add(input, noise)",
    ),
    "reshaping": (
        ANY,
        ZERO + "noise = RandomNormalLike(input) over = Greater(noise, zero) logits = NonZero(over)",
    ),
    "classes": (ROW, "logits = Softmax(input)"),
    "nan": (ROW, ZERO + "huge = Div(input, zero) logits = Softmax(huge)"),
    "infinite": (ROW, ZERO + "size = Abs(input) logits = Div(size, zero)"),
}
DIVERGENCE = ("--only", "divergence", "--json")
GATE = ("--require", "divergence.outputs.logits.max_abs_error <= 1000")
GATE_MEAN = ("--require", "divergence.kl.mean <= 1000")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the graphs above, and the modules of misbehaving.py."""
    folder = tmp_path_factory.mktemp("misbehaving")
    for name, (output, body) in GRAPHS.items():
        model = onnx.parser.parse_model(MODEL.format(output=output, body=body))
        onnx.save(model, folder / f"{name}.onnx")
    shutil.copy(Path(__file__).with_name("misbehaving.py"), folder)
    return folder


COMPARED = {
    "noisy": ("tame.onnx", "noisy.onnx", *DIVERGENCE),
    "noisy original": ("noisy.onnx", "tame.onnx", *DIVERGENCE),
    "reshaping": ("reshaping.onnx", "reshaping.onnx", *DIVERGENCE),
    "nan in the compressed": ("classes.onnx", "nan.onnx", *DIVERGENCE, *GATE, *GATE_MEAN),
    "nan beside a gate that passes": (
        *("classes.onnx", "nan.onnx", *DIVERGENCE),
        *("--require", "compressed.file_bytes <= 1 MB"),
    ),
    "nan in the original": ("nan.onnx", "classes.onnx", *DIVERGENCE, *GATE, *GATE_MEAN),
    "nan in both": ("nan.onnx", "nan.onnx", *DIVERGENCE, *GATE, *GATE_MEAN),
    "infinities in both": ("infinite.onnx", "infinite.onnx", *DIVERGENCE, *GATE),
    "hardly any time": (
        *("tame.onnx", "noisy.onnx", "--only", "latency", "--time-budget", "0.2s"),
        *("--json", "--require", "delta >= 0.001"),
    ),
}


@pytest.fixture(scope="module")
def compared(run_all: RunAll, models: Path) -> dict[str, Outcome]:
    """What the command says to each of these pairs."""
    return run_all({name: ("compare", *rest) for name, rest in COMPARED.items()}, cwd=models)


def findings_of(report: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {finding["code"]: finding for finding in report["findings"]}


@pytest.mark.parametrize(
    ("case", "model"), [("noisy", "compressed"), ("noisy original", "original")]
)
def test_outputs_that_change_are_said_of_the_model_that_changes_them(
    compared: dict[str, Outcome], case: str, model: str
) -> None:
    found = findings_of(compared[case].done())["CA404"]
    assert found["severity"] == "warning"
    assert f"the {model} model's output 'logits' differed by up to 0." in found["detail"]
    assert found["detail"].count("'logits'") == 1


def test_an_output_whose_shape_changes(compared: dict[str, Outcome]) -> None:
    """The models are refused for their shapes, and the finding says that those never stand."""
    report = json.loads(compared["reshaping"].stdout)
    assert report["error"] is not None
    assert "Traceback" not in compared["reshaping"].stderr
    assert "had shape (2, " in findings_of(report)["CA404"]["detail"]


@pytest.mark.parametrize(
    ("case", "severity", "fails"),
    [
        ("nan in the compressed", "error", True),
        # The inputs are made up, and the original gives no numbers for them either.
        ("nan in the original", "warning", False),
        ("nan in both", "error", False),
        ("infinities in both", "error", False),
    ],
)
def test_outputs_that_are_no_numbers_pass_no_gate(
    compared: dict[str, Outcome], case: str, severity: str, fails: bool
) -> None:
    outcome = compared[case]
    report = outcome.broke("nan.onnx gave") if fails else outcome.done(code=3)
    assert findings_of(report)["CA402"]["severity"] == severity
    statuses = {check["status"] for check in report["gate"]["checks"]}
    assert statuses <= {"inconclusive", "not_measured"}
    assert statuses
    (error,) = report["divergence"]["outputs"].values()
    assert error["max_abs_error"] is None
    reasons = {skipped["metric"]: skipped["reason"] for skipped in report["skipped"]}
    assert "infinit" in reasons['divergence.outputs["logits"].max_abs_error']

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} in the report of {case}")

    json.loads(outcome.stdout, parse_constant=refuse)


def test_outputs_that_are_no_numbers_fail_the_audit(compared: dict[str, Outcome]) -> None:
    """Whatever is required; and what else was measured is there."""
    outcome = compared["nan beside a gate that passes"]
    report = outcome.broke(
        "nan.onnx gave", "in output 'logits'", "first for sample 0", hint="CA402"
    )
    assert report["gate"]["status"] == "passed"
    assert report["error"]["code"] == "outputs-not-numbers"
    assert report["divergence"]["samples"] > 0


def test_a_budget_that_holds_no_pilot(compared: dict[str, Outcome]) -> None:
    report = compared["hardly any time"].done(code=3)
    assert report["delta"]["verdict"] == "inconclusive"
    assert report["delta"]["low"] is None
    assert report["gate"]["checks"][0]["status"] == "inconclusive"
    reasons = {skipped["metric"]: skipped["reason"] for skipped in report["skipped"]}
    assert "takes 3 epochs" in reasons["delta.low"]


def test_what_would_decide_it_is_said(run: Run, models: Path) -> None:
    pair = ("compare", "tame.onnx", "noisy.onnx", "--only", "latency", "--time-budget", "0.2s")
    shown = " ".join(run(*pair, cwd=models).stdout.split())
    assert "undecided" in shown
    assert "give more --time-budget" in shown


torch = pytest.mark.torch


@pytest.mark.slow
@torch
def test_a_model_that_sleeps_at_random_is_undecided(run: Run, models: Path) -> None:
    pytest.importorskip("torch")
    pair = ("compare", "misbehaving.py:tame", "misbehaving.py:sleeps", "--only", "latency")
    sizes = ("--input-shape", "input=1x4")
    report = run(*pair, *sizes, "--time-budget", "1s", "--json", cwd=models).done()
    assert report["delta"]["verdict"] == "inconclusive"


@pytest.mark.slow
@torch
def test_a_leak_is_found_and_stated_per_call(run: Run, models: Path) -> None:
    pytest.importorskip("torch")
    pair = ("compare", "tame.onnx", "misbehaving.py:leaks", "--only", "latency")
    little = ("--time-budget", "12s", "--resolution", "50%")
    report = run(*pair, *little, "--json", cwd=models).done()
    if report["delta"]["epochs"] < 3:
        pytest.skip("three epochs, and so a leak's proof, take this machine longer")
    found = findings_of(report)["CA206"]
    assert found["severity"] == "warning"
    assert "every call of the compressed model keeps about 1.0" in found["detail"]  # MB


@pytest.mark.slow
@torch
def test_of_a_model_that_dies_while_it_is_timed_the_rest_stays(run: Run, models: Path) -> None:
    """It dies in its second epoch; the first is kept of both, and the other goes on alone."""
    pytest.importorskip("torch")
    pair = ("compare", "tame.onnx", "misbehaving.py:fails", "--only", "memory,latency")
    outcome = run(*pair, "--time-budget", "40s", "--raw", "--json", cwd=models)
    report = outcome.broke("misbehaving.py:fails", "the cache is full", "warming up", code=4)
    assert (report["error"]["model"], report["error"]["stage"]) == (
        "misbehaving.py:fails",
        "warm-up",
    )
    assert report["delta"] is None
    reasons = {skipped["metric"]: skipped["reason"] for skipped in report["skipped"]}
    assert "the cache is full" in reasons["delta"]
    epochs = {
        model: {block["epoch"] for block in report["samples"]["blocks"] if block["model"] == model}
        for model in ("original", "compressed")
    }
    assert epochs["compressed"] == {0}
    assert epochs["original"] > {0}
    assert report["original"]["latency"]["median_s"]["low"] is not None
    assert report["compressed"]["latency"]["median_s"]["low"] is None
    assert report["compressed"]["peak_memory_bytes"] > 0
