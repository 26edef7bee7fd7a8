"""Options for one model only, with models that have other names and shapes than each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compaudit import machine

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run, RunAll

WEIGHTS = np.arange(-7, 8, dtype=np.float32).reshape(5, 3)
PAIR = ("compare", "plain.onnx", "twisted.onnx", "--only", "divergence", "--json")
DATA = ("--data", "samples.npz")
INPUTS = (
    *("--original-map-input", "l=left", "--original-map-input", "r=right"),
    *("--compressed-map-input", "l=b", "--compressed-map-input", "r=a"),
)
OUTPUTS = ("--original-map-output", "y=logits", "--compressed-map-output", "y=scores")


def model(
    inputs: dict[str, tuple[Any, ...]],
    output: str,
    weights: np.ndarray[Any, Any],
    bias: float,
    rows: Any = "N",
) -> onnx.ModelProto:
    """The inputs side by side, times weights, plus a bias."""
    names = list(inputs)
    nodes = [
        helper.make_node("Concat", names, ["all"], axis=1),
        helper.make_node("MatMul", ["all", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], [output]),
    ]
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, (rows, 3))],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.float32([bias]), "bias"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`twisted` computes what `plain` does, plus a half: in another order, under other names."""
    folder = tmp_path_factory.mktemp("per_model")
    plain = {"left": ("N", 2), "right": ("N", 3)}
    twisted = {"a": ("N", 3), "b": ("N", "width")}
    turned = np.concatenate([WEIGHTS[2:], WEIGHTS[:2]])
    for name, made in {
        "plain": model(plain, "logits", WEIGHTS, 0.0),
        "twisted": model(twisted, "scores", turned, 0.5),
        "four": model({"a": (4, 3), "b": (4, 2)}, "scores", turned, 0.5, rows=4),
    }.items():
        onnx.save(made, folder / f"{name}.onnx")
    random = np.random.default_rng(0)
    left, right = (random.integers(-9, 10, (10, width)).astype(np.float32) for width in (2, 3))
    np.savez(folder / "samples.npz", l=left, r=right)
    return folder


def findings(report: dict[str, Any]) -> dict[str, str]:
    return {found["code"]: found["detail"] for found in report["findings"]}


def test_models_that_call_everything_otherwise(run: Run, folder: Path) -> None:
    sizes = ("--original-batch-size", "3", "--compressed-batch-size", "5")
    outcome = run(*PAIR, *DATA, *INPUTS, *OUTPUTS, *sizes, cwd=folder)
    report = outcome.done()
    # Whole numbers and a half are exact in float32.
    error = report["divergence"]["outputs"]["y"]
    assert error["max_abs_error"] == error["mean_abs_error"] == 0.5
    assert list(report["divergence"]["outputs"]) == ["y"]
    assert report["divergence"]["samples"] == 10
    assert findings(report).keys() == {"CA303"}
    assert findings(report)["CA303"].endswith(": samples at once: 3 against 5")
    assert report["config"]["original_only"]["map_input"] == {"l": "left", "r": "right"}
    assert report["config"]["compressed_only"]["batch_size"] == 5
    assert report["config"]["batch_size"] is None


def test_the_pair_s_names_are_those_of_the_other_options(run_all: RunAll, folder: Path) -> None:
    command = (*PAIR, *DATA, *INPUTS)
    outcomes = run_all(
        {
            "logits": (*command, "--compressed-map-output", "logits=scores"),
            "first": (
                *(*command, "--original-map-output", "first=logits", "--model-output", "first"),
                *("--compressed-map-output", "second=scores", "--map-output", "first=second"),
                *("--task", "classification"),
            ),
        },
        cwd=folder,
    )
    for name, outcome in outcomes.items():
        outputs = outcome.done()["divergence"]["outputs"]
        assert {key: error["max_abs_error"] for key, error in outputs.items()} == {name: 0.5}
    # The original beside itself goes by the same names.
    assert outcomes["first"].document["divergence"]["kl"]["noise_floor"] is not None


def test_made_up_inputs_of_a_size_that_one_model_leaves_open(run: Run, folder: Path) -> None:
    turned = ("compare", "twisted.onnx", "plain.onnx", "--only", "macs,divergence", "--json")
    options = (
        *("--original-map-input", "l=b", "--original-map-input", "r=a"),
        *("--compressed-map-input", "l=left", "--compressed-map-input", "r=right"),
        *("--compressed-map-output", "scores=logits"),
    )
    run(*turned, *options, cwd=folder).broke("'width'", code=2, hint="--input-shape b=")
    report = run(*turned, *options, "--original-input-shape", "b=1x2", cwd=folder).done()
    assert report["divergence"]["source"] == "synthetic"
    error = report["divergence"]["outputs"]["scores"]
    assert error["max_abs_error"] == pytest.approx(0.5, abs=1e-5)
    assert error["mean_abs_error"] == pytest.approx(0.5, abs=1e-5)
    assert report["original"]["macs"]["total"] == report["compressed"]["macs"]["total"] == 15


def test_times_of_different_batch_sizes_do_not_compare(run_all: RunAll, folder: Path) -> None:
    command = (*("compare", "plain.onnx", "twisted.onnx", "--json"), *DATA, *INPUTS, *OUTPUTS)
    measured = ("--only", "size,latency,memory,divergence", "--profile")
    outcomes = run_all(
        {
            "timed": (*command, *measured, "--original-batch-size", "8"),
            "insisting": (
                *("compare", "plain.onnx", "four.onnx", "--json"),
                *(*DATA, *INPUTS, *OUTPUTS, *measured, "--original-batch-size", "2"),
            ),
        },
        cwd=folder,
    )
    for name, said in {"timed": "8 samples", "insisting": "2 samples"}.items():
        report = outcomes[name].broke(said, "times do not compare", code=2, hint="--skip latency")
        assert report["error"]["code"] == "batch-sizes-differ"
        assert report["delta"] is None
        assert report["original"]["latency"] is None
        assert report["profile"] is None
        assert report["divergence"]["outputs"]["y"]["max_abs_error"] == 0.5
        assert report["original"]["first_inference_s"] > 0
        assert report["compressed"]["first_inference_s"] > 0
        assert report["alpha"]["parameters"] == 1
        reasons = {skipped["metric"]: skipped["reason"] for skipped in report["skipped"]}
        assert "times do not compare" in reasons["delta"]
        assert "samples at once" in reasons["profile"]


REFUSED = [
    (("--original-batch-size", "0"), "--original-batch-size is 0", "at least 1"),
    (("--compressed-batch-size", "many"), "--compressed-batch-size", "--help"),
    (("--compressed-batch-sice", "4"), "--compressed-batch-sice", "--help"),
    (("--compressed-map-input", "a"), "--compressed-map-input 'a'", "a=b"),
    (("--original-map-output", "=y"), "--original-map-output", "a=b"),
    (("--compressed-input-shape", "b=0x2"), "--compressed-input-shape b=0x2", "1x3x224x224"),
    (("--original-custom-op-library", "x.so"), "custom operator", "--trust-model-code"),
    (("--map-input", "l=left", "--map-input", "l=b"), "two values", "--original-map-input"),
    (("--original-map-input", "x=left"), "'left' twice", "leave one"),
    (("--compile",), "--compile is for PyTorch models", "leave --compile out"),
]
BROKEN = [
    (("--original-map-input", "x=lefd"), "no input of plain.onnx", "'left'"),
    (("--compressed-input-shape", "left=1x2"), "no input of twisted.onnx", "'a', 'b'"),
    (("--compressed-input-shape", "b=1x7"), "(N, 7)", "must be equal"),
    (("--map-input", "l=c"), "no input of any model", "left"),
    (("--compressed-map-output", "z=score"), "no output 'score'", "'scores'"),
    (("--original-session-option", "session.load_model_format=ORT"), "plain.onnx", "check"),
    (
        ("--trust-model-code", "--compressed-custom-op-library", "x.so"),
        "x.so is not a library of custom operators",
        "shared library",
    ),
]


@pytest.fixture(scope="module")
def wrong(run_all: RunAll, folder: Path) -> dict[object, Outcome]:
    """A good pair with each of these options."""
    command = (*PAIR, *DATA, *INPUTS, *OUTPUTS)
    return run_all({given: (*command, *given) for given, *_ in REFUSED + BROKEN}, cwd=folder)


@pytest.mark.parametrize(("given", "said", "hint"), REFUSED)
def test_an_option_that_means_nothing(
    wrong: dict[object, Outcome], given: tuple[str, ...], said: str, hint: str
) -> None:
    wrong[given].refused(said, hint=hint)


@pytest.mark.parametrize(("given", "said", "hint"), BROKEN)
def test_an_option_that_does_not_suit_its_model(
    wrong: dict[object, Outcome], given: tuple[str, ...], said: str, hint: str
) -> None:
    report = wrong[given].broke(said, code=2, hint=hint)
    assert report["divergence"] is None


def test_options_of_onnx_runtime_are_refused_for_a_pytorch_model(run: Run, samples: Path) -> None:
    pair = ("compare", "digits.pt2", "digits.onnx", "--trust-model-code", "--json")
    outcome = run(*pair, "--original-session-option", "a=b", cwd=samples)
    assert outcome.refused("digits.pt2 is run by PyTorch", hint="leave") == "not-for-this-model"


def test_more_threads_than_cores_is_no_error_and_is_said(run_all: RunAll, folder: Path) -> None:
    cores = machine.usable_cores()
    command = (*PAIR, *DATA, *INPUTS, *OUTPUTS, "--threads")
    outcomes = run_all(
        {
            "many": (*command, str(cores + 1)),
            "quiet": (*command, str(cores + 1), "--quiet"),
        },
        cwd=folder,
    )
    many = outcomes["many"]
    assert many.code == 0
    assert many.stderr.startswith(f"note: {cores + 1} threads on {cores} usable core")
    assert f"{cores + 1} threads" in findings(many.document)["CA306"]
    assert "CA306" in findings(outcomes["quiet"].done())
