"""Each finding fires on a case made for it, and is silent on a good audit."""

from typing import Any

import canned
import msgspec
import pytest

from compaudit.findings import RULES, Evidence, find
from compaudit.models.base import Graph, Model, Node, Role, Source, Tensor

REPORT = canned.comparison()


def evidence(**changes: Any) -> Evidence:
    """A good audit, but for the changes: 4× smaller, 2× faster, −0.5 pp [−1.52, +0.47]."""
    fields: dict[str, Any] = {
        "original": REPORT.original,
        "compressed": REPORT.compressed,
        "original_model": None,
        "compressed_model": None,
        "runtimes": ("onnxruntime", "onnxruntime"),
        "alpha": REPORT.alpha,
        "delta": REPORT.delta,
        "accuracy": REPORT.accuracy,
        "divergence": REPORT.divergence,
        "never_steady": (),
    }
    return Evidence(**fields | changes)


def codes(**changes: Any) -> set[str]:
    return {finding.code for finding in find(evidence(**changes))}


def test_a_good_audit_has_no_findings() -> None:
    assert codes() == set()


def test_an_audit_without_evidence_has_no_findings() -> None:
    assert codes(delta=None, accuracy=None, divergence=None) == set()


def test_codes_are_unique_and_documented_in_their_rule() -> None:
    documented = [(rule.__doc__ or "").partition(":")[0] for rule in RULES]
    assert all(len(code) == 5 and code.startswith("CA") for code in documented)
    assert len(set(documented)) == len(documented)


def quantised_model(dtype: str, quantised: str) -> Model:
    """A convolution weight of one type; QuantizeLinear reads the named value."""
    weight = Tensor("w", Role.WEIGHT, dtype, (2, 2), 4, 16)
    nodes = (
        Node("q", "QuantizeLinear", (quantised, "s", "z"), ("wq",)),
        Node("d", "DequantizeLinear", ("wq", "s", "z"), ("wd",)),
    )
    return Model(Source("m", "onnx"), (weight,), Graph(nodes, (), ()), ())


def test_fake_quantisation() -> None:
    assert codes(compressed_model=quantised_model("float32", "w")) == {"CA101"}
    assert codes(compressed_model=quantised_model("float32", "activation")) == set()
    assert codes(compressed_model=quantised_model("int8", "w")) == set()


def test_zeros_that_are_still_stored() -> None:
    sparse = msgspec.structs.replace(REPORT.compressed, sparsity=0.9)
    dense = msgspec.structs.replace(REPORT.alpha, nonzero_parameters=10.0, weight_bytes=1.0)
    packed = msgspec.structs.replace(REPORT.alpha, nonzero_parameters=10.0, weight_bytes=9.0)
    assert codes(compressed=sparse, alpha=dense) == {"CA102"}
    assert codes(compressed=sparse, alpha=packed) == set()
    assert codes(alpha=dense) == set()  # hardly anything is zero


def test_a_file_that_grew() -> None:
    assert codes(alpha=msgspec.structs.replace(REPORT.alpha, file_bytes=0.99)) == {"CA103"}
    assert codes(alpha=msgspec.structs.replace(REPORT.alpha, file_bytes=None)) == set()


def test_smaller_but_slower() -> None:
    slower = msgspec.structs.replace(REPORT.delta, value=0.5, low=0.48, high=0.52, verdict="slower")
    (finding,) = find(evidence(delta=slower))
    assert finding.code == "CA201"
    assert "2.00×" in finding.detail  # takes twice as long
    same = msgspec.structs.replace(REPORT.alpha, weight_bytes=1.0)
    assert codes(delta=slower, alpha=same) == set()


def test_a_speed_up_within_the_noise() -> None:
    delta = msgspec.structs.replace(
        REPORT.delta, value=1.04, low=1.01, high=1.07, noise_floor=0.08, verdict="inconclusive"
    )
    assert codes(delta=delta) == {"CA202"}
    unsure = msgspec.structs.replace(delta, low=0.98)
    assert codes(delta=unsure) == set()


def test_never_steady() -> None:
    assert codes(never_steady=("original",)) == {"CA203"}


@pytest.mark.parametrize(
    ("runtimes", "expected"),
    [
        (("torch", "onnxruntime"), {"CA301"}),
        (("torch", "torch"), set()),
        (("torch", None), set()),
    ],
)
def test_different_runtimes(runtimes: tuple[str | None, str | None], expected: set[str]) -> None:
    assert codes(runtimes=runtimes) == expected


def test_synthetic_inputs() -> None:
    made_up = msgspec.structs.replace(REPORT.divergence, source="synthetic")
    assert codes(divergence=made_up, accuracy=None) == {"CA302"}


def test_collapsed_accuracy() -> None:
    def with_delta(value: float, low: float | None, high: float | None) -> Any:
        delta = msgspec.structs.replace(REPORT.accuracy.top1.delta, value=value, low=low, high=high)
        top1 = msgspec.structs.replace(REPORT.accuracy.top1, delta=delta)
        return msgspec.structs.replace(REPORT.accuracy, top1=top1)

    assert codes(accuracy=with_delta(-0.6, -0.65, -0.55)) == {"CA401"}
    assert codes(accuracy=with_delta(-0.03, -0.05, -0.01)) == set()  # perhaps not two points
    assert codes(accuracy=with_delta(-0.6, None, None)) == set()


def test_outputs_that_are_not_numbers() -> None:
    error = msgspec.structs.replace(REPORT.divergence.outputs["logits"], nonfinite_compressed=3)
    broken = msgspec.structs.replace(REPORT.divergence, outputs={"logits": error})
    assert codes(divergence=broken) == {"CA402"}


def test_the_gravest_comes_first() -> None:
    error = msgspec.structs.replace(REPORT.divergence.outputs["logits"], nonfinite_compressed=3)
    broken = msgspec.structs.replace(REPORT.divergence, outputs={"logits": error})
    found = find(evidence(divergence=broken, never_steady=("original",)))
    assert [finding.severity for finding in found] == ["error", "info"]
