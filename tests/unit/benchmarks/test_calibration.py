"""The tables of docs/calibration.md and docs/clock.md, and the models they rest on."""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in ("calibration_page", "clock_page", "known_ratio_onnx"):
        sys.modules.pop(name, None)


def audit(truth, low, high, verdict, load="quiet", value=1.0):
    from calibration_page import Audit

    return Audit(
        date="2026-01-01T00:00:00+00:00", scenario="ONNX", machine="a", environment="b",
        version="0", seed=0, truth=truth, load=load, threads=1, budget_s=30.0, seconds=30.0,
        load_average=0.0, value=value, low=low, high=high, verdict=verdict,
    )  # fmt: skip


def answer(truth, delta, verdict=None):
    from clock_page import Answer

    return Answer(
        date="2026-01-01", machine="a", versions={}, method="m", pair="p", truth=truth,
        load="quiet", budget_s=13.0, seed=0, seconds=13.0, deltas={"mean": delta}, verdict=verdict,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("truth", "low", "high", "verdict", "covers", "is_wrong", "fails_gate", "is_undecided"),
    [
        (1.0, 0.99, 1.01, "no_measurable_change", True, False, False, False),
        (1.0, 1.01, 1.03, "faster", False, True, False, False),
        (1.0, 1.03, 1.05, "faster", False, True, True, False),
        (1.0, 0.90, 0.97, "slower", False, True, True, False),
        (2.0, 1.98, 2.03, "faster", True, False, False, False),
        (2.0, 2.05, 2.10, "faster", False, False, True, False),
        (2.0, 0.90, 0.95, "slower", False, True, True, False),
        (1.1, 0.90, 1.30, "inconclusive", True, False, False, True),
        (1.0, 1.20, 1.30, "invalid", False, False, True, True),
        (1.0, None, None, "inconclusive", None, False, None, True),
    ],
)
def test_an_audit_is_judged(truth, low, high, verdict, covers, is_wrong, fails_gate, is_undecided):
    one = audit(truth, low, high, verdict)
    judged = (one.covers, one.is_wrong, one.fails_gate, one.is_undecided)
    assert judged == (covers, is_wrong, fails_gate, is_undecided)


def test_a_goal_is_met_only_when_the_exact_bound_holds_it():
    from calibration_page import GOALS, _judged

    goal = next(goal for goal in GOALS if goal.name == "equal models called different, quiet")
    # Nothing wrong in n: 1 - 0.05^(1/n) is possible, 13.9 % for 20, 4.9 % for 60.
    assert _judged(goal, 0, 20)[3:] == ["at most 14 %", "so far"]
    assert _judged(goal, 0, 60)[3:] == ["at most 5 %", "yes"]
    assert _judged(goal, 2, 20)[4] == "**no**"


def test_the_lines_of_several_sessions_add_up(tmp_path):
    from calibration_page import append, page, read

    path = tmp_path / "lines.jsonl"
    append(path, audit(1.0, 0.99, 1.01, "no_measurable_change"))
    append(path, audit(1.0, 1.03, 1.05, "faster"))
    lines = read(path)
    assert len(lines) == 2
    row = next(line for line in page(lines, []).splitlines() if line.startswith("| ONNX"))
    assert "| 2 | 1.00× | 0.0 % | ± 1.0 % | 1 of 2 | 1 of 2 | 1 of 2 | 0 of 2 |" in row


@pytest.mark.parametrize(
    ("truth", "delta", "verdict", "wrong"),
    [
        (1.0, 1.019, None, False),
        (1.0, 1.021, None, True),
        (1.0, 0.979, None, True),
        (1.0, 1.3, "inconclusive", False),
        (1.1, 1.01, None, True),
        (1.1, 1.2, None, False),
        (2.0, 0.9, None, True),
        (2.0, 2.0, "invalid", False),
    ],
)
def test_a_tool_is_judged(truth, delta, verdict, wrong):
    assert answer(truth, delta, verdict).is_wrong("mean") == wrong


def test_the_loop_runs_its_body_exactly_so_often():
    from known_ratio_onnx import INPUT_COLUMNS, LAYERS, ROWS, WIDTH, model

    stored = {one.name: numpy_helper.to_array(one) for one in model(3).graph.initializer}
    x = np.random.default_rng(1).normal(size=(1, INPUT_COLUMNS)).astype(np.float32)
    expected = x.reshape(ROWS, WIDTH)
    for call in range(4):
        for layer in range(LAYERS):
            expected = expected @ stored[f"weight{layer}"] + stored[f"bias{layer}"]
            expected = np.maximum(expected, 0)
        session = onnxruntime.InferenceSession(model(call + 1).SerializeToString())
        (given,) = session.run(None, {"x": x})
        np.testing.assert_allclose(given.reshape(ROWS, WIDTH), expected, rtol=1e-4, atol=1e-4)


def test_nothing_of_the_loop_is_folded_away(tmp_path):
    from known_ratio_onnx import LAYERS, model

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(model(10).SerializeToString(), options)
    graph = onnx.load(tmp_path / "optimized.onnx").graph
    (loop,) = [node for node in graph.node if node.op_type == "Loop"]
    (body,) = [one.g for one in loop.attribute if one.name == "body"]
    operators = [node.op_type for node in body.node]
    assert sum(op in ("Gemm", "FusedGemm") for op in operators) == LAYERS
    assert not any(op in ("Gemm", "FusedGemm") for op in (node.op_type for node in graph.node))
