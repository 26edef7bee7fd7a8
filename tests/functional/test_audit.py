"""Whole audits of the sample models, checked against scikit-learn, SciPy, torch and by hand."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from scipy.special import rel_entr, softmax
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score

import compaudit
from compaudit.config import ModelOptions
from compaudit.errors import RequestError
from compaudit.results import Comparison, encode_report

SAMPLES = Path(__file__).parents[2] / "sample_models"
DATA = SAMPLES / "digits_test.npz"


def audit(compressed: str, *measurements: str, **settings: Any) -> Comparison:
    return compaudit.compare(
        SAMPLES / "digits.onnx",
        SAMPLES / compressed,
        measurements=measurements or ("size", "divergence", "accuracy"),
        **settings,
    )


@pytest.fixture(scope="module")
def logits() -> Callable[[str], NDArray[np.float32]]:
    """The outputs of a sample model on the test data, from ONNX Runtime, in batches of 64."""

    def run(name: str) -> NDArray[np.float32]:
        session = onnxruntime.InferenceSession(SAMPLES / name, providers=["CPUExecutionProvider"])
        with np.load(DATA) as data:
            images = data["image"]
        batches = [images[start : start + 64] for start in range(0, len(images), 64)]
        return np.concatenate([session.run(["logits"], {"image": batch})[0] for batch in batches])

    return run


@pytest.fixture(scope="module")
def labels() -> NDArray[np.int64]:
    with np.load(DATA) as data:
        return np.array(data["labels"])


@pytest.mark.parametrize(
    "compressed", ["digits_int8.onnx", pytest.param("digits_broken.onnx", marks=pytest.mark.slow)]
)
def test_accuracy_and_divergence_agree_with_independent_libraries(
    compressed: str, logits: Callable[[str], NDArray[np.float32]], labels: NDArray[np.int64]
) -> None:
    report = audit(compressed, data=DATA)
    q, p = (softmax(logits(name).astype(float), axis=1) for name in ("digits.onnx", compressed))
    accuracy, divergence = report.accuracy, report.divergence
    assert accuracy is not None
    assert divergence is not None
    assert accuracy.top1 is not None
    assert accuracy.top5 is not None
    assert accuracy.cross_entropy is not None
    assert divergence.kl is not None
    assert divergence.top1_agreement is not None
    assert accuracy.samples == 899
    for figure, probabilities in (("original", q), ("compressed", p)):
        predicted = probabilities.argmax(axis=1)
        top1 = getattr(accuracy.top1, figure).value
        assert top1 == pytest.approx(accuracy_score(labels, predicted), abs=1e-12)
        top5 = getattr(accuracy.top5, figure).value
        # The broken model gives equal scores; scikit-learn would put a class that argmax chooses
        # outside the first five. Ties go to the lower class, as argmax has it.
        ranked = [sorted(range(10), key=lambda k: -row[k])[:5] for row in probabilities]
        by_hand = np.mean([label in row for label, row in zip(labels, ranked, strict=True)])
        assert top5 == pytest.approx(by_hand, abs=1e-12)
        if compressed == "digits_int8.onnx":
            sklearn = top_k_accuracy_score(labels, probabilities, k=5)
            assert top5 == pytest.approx(sklearn, abs=1e-12)
        loss = getattr(accuracy.cross_entropy, figure).value
        assert loss == pytest.approx(log_loss(labels, probabilities), rel=1e-5)
    assert divergence.kl.mean.value == pytest.approx(rel_entr(q, p).sum(axis=1).mean(), rel=1e-4)
    agreement = (q.argmax(axis=1) == p.argmax(axis=1)).mean()
    assert divergence.top1_agreement.value == pytest.approx(agreement, abs=1e-12)
    broken = np.sum((q.argmax(1) == labels) & (p.argmax(1) != labels))
    assert accuracy.flips is not None
    assert accuracy.flips.broken == broken


def _digits_net() -> Any:
    """The sample network as PyTorch builds it."""
    spec = importlib.util.spec_from_file_location("digits_net", SAMPLES / "digits_net.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.digits_net()


@pytest.mark.torch
def test_parameters_agree_with_torch_in_every_format() -> None:
    torch = pytest.importorskip("torch")
    counted = sum(parameter.numel() for parameter in _digits_net().parameters())
    assert isinstance(torch.__version__, str)
    names = ["digits.onnx", "digits_external.onnx", "digits.safetensors", "digits.pt2"]
    report = compaudit.inspect(*(SAMPLES / name for name in names))
    assert {model.parameters for model in report.models} == {counted}


@pytest.mark.torch
def test_macs_agree_with_torchs_own_counter() -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    factory = f"{SAMPLES / 'digits_net.py'}:digits_net"
    module = _digits_net()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, 1, 8, 8))
    by_torch = counter.get_total_flops() // 2
    report = compaudit.compare(
        SAMPLES / "digits.onnx", factory, measurements=("macs", "memory"), data=str(DATA)
    )
    assert report.original.macs is not None
    assert report.compressed.macs is not None
    assert report.original.macs.total == report.compressed.macs.total == by_torch
    assert report.original.macs.coverage == report.compressed.macs.coverage == 1
    assert report.alpha.macs == 1


def test_removed_channels_remove_macs_and_zeros_only_could() -> None:
    slim, pruned = (audit(f"digits_{name}.onnx", "size", "macs") for name in ("slim", "pruned"))
    assert slim.alpha.macs is not None
    assert slim.alpha.macs > 2
    assert pruned.alpha.macs == 1
    assert pruned.compressed.macs is not None
    assert pruned.compressed.macs.total is not None
    assert pruned.compressed.macs.nonzero is not None
    assert pruned.compressed.macs.nonzero / pruned.compressed.macs.total == pytest.approx(
        0.1, abs=0.1
    )


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*.onnx")))
def test_the_ledger_adds_up_to_the_file(name: str) -> None:
    (model,) = compaudit.inspect(SAMPLES / name).models
    shipped = (SAMPLES / name).stat().st_size
    external = SAMPLES / f"{name}.data"
    shipped += external.stat().st_size if external.exists() else 0
    assert model.file_bytes == shipped
    assert model.graph_bytes is not None
    assert model.graph_bytes >= 0
    assert sum(tensor.bytes for tensor in model.tensors) + model.graph_bytes == shipped
    assert model.elements_by_role.get("unclassified", 0) == 0


def test_int8_keeps_the_parameters_and_quarters_their_bytes() -> None:
    report = audit("digits_dynamic_int8.onnx", "size")
    assert report.alpha.parameters == pytest.approx(1.0, abs=0.02)
    assert report.alpha.weight_bytes == pytest.approx(4.0, rel=0.1)


def test_pruning_removes_values_but_no_bytes() -> None:
    report = audit("digits_pruned.onnx", "size")
    assert report.alpha.nonzero_parameters is not None
    assert report.alpha.nonzero_parameters > 8
    assert report.alpha.weight_bytes == pytest.approx(1.0, abs=0.02)


def test_identical_models_do_not_diverge() -> None:
    report = audit("digits.onnx", "size", "divergence", data=DATA, limit=100, task="classification")
    assert report.divergence is not None
    assert report.divergence.kl is not None
    assert report.divergence.kl.max == 0
    assert report.divergence.outputs["logits"].max_abs_error == 0
    assert report.alpha.file_bytes == 1


def test_synthetic_inputs_are_labelled_and_give_no_accuracy() -> None:
    report = audit("digits_int8.onnx")
    assert report.divergence is not None
    assert report.divergence.source == "synthetic"
    assert report.accuracy is None
    assert report.data is not None
    assert report.data.uri is None
    assert any(skipped.metric == "accuracy" for skipped in report.skipped)
    assert "CA302" in {finding.code for finding in report.findings}


def test_timing_gives_delta_and_raw_blocks() -> None:
    report = audit("digits_student.onnx", "latency", time_budget_s=3.0, raw=True)
    assert report.delta is not None
    assert report.original.latency is not None
    assert report.samples is not None
    times = [time for block in report.samples.blocks for time in block.times_s]
    assert len(times) >= 8
    assert all(time > 0 for time in times)
    elapsed = sum(block.elapsed_s for block in report.samples.blocks)
    assert elapsed == pytest.approx(sum(times), rel=1e-6)


def test_everything_that_is_null_has_a_reason() -> None:
    report = audit("digits_int8.onnx", "size")
    document = json.loads(encode_report(report))
    reasons = {skipped["metric"] for skipped in document["skipped"]}

    def unexplained(value: Any, path: str) -> list[str]:
        if value is None:
            parts = path.split(".")
            prefixes = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
            return [] if prefixes & reasons else [path]
        if isinstance(value, dict):
            return [
                found
                for key, inner in value.items()
                for found in unexplained(inner, f"{path}.{key}".lstrip("."))
            ]
        return []

    parts = ("original", "compressed", "alpha", "beta", "space_saving", "delta", "accuracy")
    more = ("divergence", "profile", "samples", "data")
    assert [path for part in parts + more for path in unexplained(document[part], part)] == []


def test_the_api_refuses_unknown_settings() -> None:
    with pytest.raises(RequestError) as caught:
        compaudit.compare("a.onnx", "b.onnx", time_budget=3)
    assert "time_budget_s" in caught.value.hint


def test_the_api_takes_options_of_one_model() -> None:
    alike = audit("digits_int8.onnx", "accuracy", data=DATA, limit=100)
    apart = audit(
        "digits_int8.onnx",
        "accuracy",
        data=DATA,
        limit=100,
        original_only={"batch_size": 7},
        compressed_only=ModelOptions(batch_size=30),
    )
    assert alike.accuracy is not None
    assert apart.accuracy is not None
    assert apart.accuracy.top1 == alike.accuracy.top1
    assert apart.accuracy.flips == alike.accuracy.flips
    assert "7 against 30" in next(f.detail for f in apart.findings if f.code == "CA303")
    with pytest.raises(RequestError, match="batchsize"):
        audit("digits_int8.onnx", original_only={"batchsize": 7})
