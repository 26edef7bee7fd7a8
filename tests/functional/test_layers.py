"""Layers of the sample models, whose history is known; numbers by onnx and NumPy alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import compaudit
from compaudit.results import Comparison, Layer

SAMPLES = Path(__file__).parents[2] / "sample_models"
STATIC = (
    "int8",
    "dynamic_int8",
    "fake_int8",
    "broken",
    "fp16",
    "int4",
    "lowrank",
    "pruned",
    "slim",
)


def audit(compressed: str, original: str = "digits.onnx") -> Comparison:
    return compaudit.compare(
        str(SAMPLES / original), str(SAMPLES / compressed), measurements=("size", "macs", "layers")
    )


def layers_of(report: Comparison) -> dict[str, Layer]:
    return {layer.name: layer for layer in report.layers}


def arrays(name: str) -> dict[str, np.ndarray]:
    model = onnx.load(SAMPLES / name)
    return {i.name: numpy_helper.to_array(i).astype(np.float64) for i in model.graph.initializer}


def decibels(original: np.ndarray, compressed: np.ndarray) -> float:
    return float(10 * np.log10((original**2).sum() / ((original - compressed) ** 2).sum()))


@pytest.mark.parametrize("name", [*STATIC, "student"])
def test_the_layers_add_up_to_both_models(name: str) -> None:
    report = audit(f"digits_{name}.onnx")
    for side in ("original", "compressed"):
        model = getattr(report, side)
        layers = [getattr(layer, side) for layer in report.layers if getattr(layer, side)]
        assert sum(layer.parameters for layer in layers) == model.parameters
        assert sum(layer.weight_bytes for layer in layers) == model.weight_bytes
        assert sum(layer.macs for layer in layers) == model.macs.total


def test_half_precision() -> None:
    layers = layers_of(audit("digits_fp16.onnx"))
    before, after = arrays("digits.onnx"), arrays("digits_fp16.onnx")
    for name in ("stem.conv", "stages.0.1.conv", "hidden"):
        expected = decibels(before[f"{name}.weight"], after[f"{name}.weight"])
        assert layers[name].weight_sqnr_db == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("original", ["digits.onnx", "digits.safetensors", "digits_external.onnx"])
def test_int8_behind_a_folded_normalisation(original: str) -> None:
    report = audit("digits_int8.onnx", original)
    before, after = arrays("digits.onnx"), arrays("digits_int8.onnx")
    for block in ("stem", "stages.0.0", "stages.1.0"):
        gain = before[f"{block}.norm.weight"] / np.sqrt(before[f"{block}.norm.running_var"] + 1e-5)
        folded = before[f"{block}.conv.weight"] * gain[:, None, None, None]
        stem = f"ConvBnFusion_W_{block}.conv.weight"
        codes = after[f"{stem}_quantized"] - after[f"{stem}_zero_point"][:, None, None, None]
        values = codes * after[f"{stem}_scale"][:, None, None, None]
        layer = layers_of(report)[f"{block}.conv"]
        assert layer.weight_sqnr_db == pytest.approx(decibels(folded, values), abs=1e-3)
        assert layers_of(report)[f"{block}.norm"].change == "folded"
    assert "CA105" in {finding.code for finding in report.findings}
    assert "CA403" not in {finding.code for finding in report.findings}


def test_the_broken_layer_is_named() -> None:
    (finding,) = [f for f in audit("digits_broken.onnx").findings if f.code == "CA403"]
    assert finding.detail.startswith("stages.0.0.conv ")


def test_low_rank_layers_are_lined_up_with_what_they_replace() -> None:
    layers = layers_of(audit("digits_lowrank.onnx"))
    before, after = arrays("digits.onnx"), arrays("digits_lowrank.onnx")
    factorised = [name for name, layer in layers.items() if layer.change == "factorized"]
    assert factorised == [
        *("stages.0.0.conv", "stages.0.1.conv", "stages.0.2.conv", "stages.1.0.conv"),
        *("stages.2.0.conv", "hidden"),
    ]
    product = after["hidden.1.weight"] @ after["hidden.0.weight"]
    expected = decibels(before["hidden.weight"], product)
    assert layers["hidden"].weight_sqnr_db == pytest.approx(expected)
    # a 3×1 kernel, then a 1×3 kernel: the outer product over the channels between
    first, second = after["stages.0.0.conv.0.weight"], after["stages.0.0.conv.1.weight"]
    kernel = np.einsum("orw,rih->oihw", second[:, :, 0, :], first[:, :, :, 0])
    expected = decibels(before["stages.0.0.conv.weight"], kernel)
    assert layers["stages.0.0.conv"].weight_sqnr_db == pytest.approx(expected)


def test_a_layer_that_the_student_lacks_is_removed() -> None:
    layers = layers_of(audit("digits_student.onnx"))
    assert [name for name, layer in layers.items() if layer.change == "removed"] == [
        *("stages.0.2.conv", "stages.0.2.norm"),
    ]


@pytest.mark.torch
def test_a_model_that_only_a_worker_can_read_has_the_same_weights() -> None:
    """Its weights come back from the process that ran the factory."""
    pytest.importorskip("torch")
    factory = f"{SAMPLES / 'digits_net.py'}:digits_net@{SAMPLES / 'digits.safetensors'}"
    report = compaudit.compare(
        factory, str(SAMPLES / "digits_int8.onnx"), measurements=("size", "layers")
    )
    expected = layers_of(audit("digits_int8.onnx"))
    found = layers_of(report)
    assert {name for name in expected if expected[name].weight_sqnr_db} <= set(found)
    for name, layer in expected.items():
        if layer.weight_sqnr_db is not None:
            assert found[name].weight_sqnr_db == pytest.approx(layer.weight_sqnr_db, abs=1e-3)
