"""`compare --profile` through the real command: structure, never how long anything took."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

SAMPLES = Path(__file__).parents[2] / "sample_models"
STATIC = ("--only", "size,macs,layers", "--json", "-q")


def sample(name: str) -> str:
    return str(SAMPLES / name)


def check(profile: dict[str, Any]) -> None:
    """Shares and layers of both models add up to an inference."""
    for side in ("original", "compressed"):
        model = profile[side]
        shares = sum(row["share"] for row in model["operators"]) + model["overhead_share"]
        assert shares == pytest.approx(1, abs=1e-6)
        assert 0 <= model["unattributed_share"] <= 1
        assert model["runs"] >= 1
        layers = sum(row[f"{side}_s"] or 0 for row in profile["layers"])
        # ONNX Runtime cuts to whole microseconds; a sum may exceed the whole by one a node.
        assert layers == pytest.approx(model["total_s"], abs=1e-6 * (1 + len(model["operators"])))
    for row in profile["layers"]:
        delta = (row["compressed_s"] or 0) - (row["original_s"] or 0)
        assert row["delta_s"] == pytest.approx(delta)
    extras = [cause["extra_s"] or 0 for cause in profile["causes"]]
    assert extras == sorted(extras, reverse=True)


def ops(model: dict[str, Any]) -> dict[str, int]:
    return {row["op"]: row["nodes"] for row in model["operators"]}


@pytest.mark.slow
def test_a_timed_audit_with_a_profile(run: Run) -> None:
    report = run(
        *("compare", sample("digits.onnx"), sample("digits_dynamic_int8.onnx"), "--profile"),
        *("--only", "size,macs,layers,latency", "--time-budget", "5s", "--json", "-q"),
    ).done()
    profile = report["profile"]
    check(profile)
    executed = ops(profile["compressed"])
    assert executed["ConvInteger"] == executed["DynamicQuantizeLinear"] == executed["Cast"] == 6
    assert profile["compressed"]["unattributed_share"] == 0
    names = [row["name"] for row in profile["layers"]]
    assert names[:2] == ["stem.conv", "stages.0.0.conv"]
    by_name = {row["name"]: row for row in profile["layers"]}
    assert by_name["hidden"]["original_s"] is not None
    assert by_name["hidden"]["compressed_s"] is not None
    assert {cause["kind"] for cause in profile["causes"]} >= {"added_nodes", "quantize_nodes"}
    assert report["config"]["profile"] is True
    assert "profile" not in {skipped["metric"] for skipped in report["skipped"]}
    assert report["delta"] is not None


def test_fake_quantisation_pays_for_dequantising(run: Run) -> None:
    pair = ("compare", sample("digits.onnx"), sample("digits_fake_int8.onnx"))
    profile = run(*pair, "--profile", *STATIC).done()["profile"]
    check(profile)
    assert ops(profile["original"])["nchwc.Conv"] == 6
    assert ops(profile["compressed"])["Conv"] == 6
    found = {cause["kind"]: cause for cause in profile["causes"]}
    assert found["quantize_nodes"]["nodes"] == 8
    assert "6 BatchNormalization" in found["added_nodes"]["detail"]


def test_half_precision_is_computed_in_float32(run: Run) -> None:
    pair = ("compare", sample("digits.onnx"), sample("digits_fp16.onnx"))
    profile = run(*pair, "--profile", *STATIC).done()["profile"]
    check(profile)
    assert ops(profile["original"]).items() <= ops(profile["compressed"]).items()
    assert ops(profile["compressed"])["Cast"] == 1


def test_the_table_shows_it(run: Run) -> None:
    pair = ("compare", sample("digits.onnx"), sample("digits_int8.onnx"), "--profile")
    outcome = run(*pair, "--only", "size,layers", "-q")
    assert outcome.code == 0, outcome
    assert "Where the time goes, by operator" in outcome.stdout
    assert "QLinearConv" in outcome.stdout


@pytest.mark.slow
def test_pytorch_beside_onnx(run: Run) -> None:
    pytest.importorskip("torch")
    pair = ("compare", sample("digits.pt2"), sample("digits_int8.onnx"), "--trust-model-code")
    profile = run(*pair, "--profile", *STATIC).done()["profile"]
    check(profile)
    assert ops(profile["original"])["aten::conv2d"] == 6
    assert ops(profile["compressed"])["QLinearConv"] == 6
    row = next(row for row in profile["layers"] if row["name"] == "stages.0.1.conv")
    assert row["original_s"] is not None
    assert row["compressed_s"] is not None


def test_without_the_option_it_says_so(run: Run) -> None:
    report = run("compare", sample("digits.onnx"), sample("digits_int8.onnx"), *STATIC).done()
    assert report["profile"] is None
    reasons = {row["metric"]: row["reason"] for row in report["skipped"]}
    assert reasons["profile"] == "measured with --profile only"


SHY = """
import torch

class Shy(torch.nn.Module):
    def __init__(self, shy):
        super().__init__()
        self.fc = torch.nn.Linear(4, 2)
        self.shy = shy

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.shy and torch.autograd._profiler_enabled():
            raise ValueError("nobody looks at me")
        return self.fc(x)

def plain():
    return Shy(False)

def shy():
    return Shy(True)
"""


@pytest.mark.slow
def test_a_model_that_cannot_be_profiled_keeps_its_other_figures(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "nets.py").write_text(SHY)
    report = run(
        *("compare", "nets:plain", "nets:shy", "--profile", "--input-shape", "x=1x4"),
        *("--only", "size,divergence", "--json", "-q"),
        cwd=tmp_path,
    ).done()
    assert report["profile"] is None
    reasons = {row["metric"]: row["reason"] for row in report["skipped"]}
    assert "nets:shy could not be profiled" in reasons["profile"]
    assert "nobody looks at me" in reasons["profile"]
    assert report["divergence"]["samples"] > 0
    assert report["compressed"]["parameters"] == 10
