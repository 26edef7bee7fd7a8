"""Findings about what is stored, and in which numbers: each fires where it should, or not."""

from pathlib import Path
from typing import Any

import canned
import msgspec
import pytest

from compaudit.findings import Evidence, find
from compaudit.models.base import Model, Source
from compaudit.results import Cause, Finding, Latency, Macs, ModelProfile, Profile
from compaudit.results.behaviour import Degenerate, Extremes

REPORT = canned.comparison()


def found(**changes: Any) -> list[Finding]:
    """The findings of a good audit, but for the changes."""
    fields: dict[str, Any] = {
        "original": REPORT.original,
        "compressed": REPORT.compressed,
        "original_model": None,
        "compressed_model": None,
        "compressed_tensors": (),
        "layers": (),
        "runtimes": ("onnxruntime", "onnxruntime"),
        "alpha": REPORT.alpha,
        "delta": REPORT.delta,
        "accuracy": REPORT.accuracy,
        "divergence": REPORT.divergence,
        "never_steady": (),
    }
    return find(Evidence(**fields | changes))


def only(**changes: Any) -> Finding:
    (finding,) = found(**changes)
    return finding


def compressed(**changes: Any) -> Any:
    return msgspec.structs.replace(REPORT.compressed, **changes)


def tensor(name: str, role: str = "weight", **changes: Any) -> Any:
    return msgspec.structs.replace(canned.tensor(name, role, [100], 400, 90), **changes)


# ------------------------------------------------------------------------------ CA107 scales


def test_scales_that_are_degenerate() -> None:
    finding = only(
        degenerate=[
            Degenerate(name="fc.weight", what="lost", count=1200),
            Degenerate(name="in_scale", what="zero", count=1),
            Degenerate(name="act_scale", what="not finite", count=1),
        ]
    )
    assert (finding.code, finding.severity) == ("CA107", "error")
    assert finding.detail == (
        "fc.weight: 1,200 weights lost to a scale of zero; in_scale: 1 scale is zero; "
        "act_scale: 1 scale or zero point is NaN or infinite"
    )


def test_of_many_degenerate_scales_three_are_named() -> None:
    many = [Degenerate(name=f"s{i}", what="not finite", count=2) for i in range(5)]
    assert only(degenerate=many).detail.endswith(
        "s2: 2 scales or zero points are NaN or infinite; and 2 more"
    )


# ----------------------------------------------------------------------------- CA108 float64


def test_tensors_in_float64() -> None:
    finding = only(compressed_tensors=[tensor("a"), tensor("mean", "buffer", dtype="float64")])
    assert (finding.code, finding.severity) == ("CA108", "warning")
    assert finding.detail == "1 tensor is stored in float64 and takes 400 B: mean"


def test_products_in_float64() -> None:
    finding = only(compressed=compressed(computed_precision={"float32": 9, "float64": 1000}))
    assert finding.code == "CA108"
    assert finding.detail == "1,000 parameters are computed with in float64"


def test_constants_in_float64_decide_nothing() -> None:
    assert found(compressed_tensors=[tensor("eps", "constant", dtype="float64")]) == []


# ----------------------------------------------------------------------- CA109 external data


def of_files(*names: str) -> Model:
    return Model(Source(names[0], "onnx"), (), None, tuple(Path(name) for name in names))


BESIDE = [tensor("a", location="small.onnx.data"), tensor("b")]


def test_a_model_of_several_files() -> None:
    finding = only(
        compressed_tensors=BESIDE,
        original_model=of_files("large.onnx", "large.onnx.data"),
        compressed_model=of_files("small.onnx", "small.onnx.data"),
    )
    assert (finding.code, finding.severity) == ("CA109", "info")
    assert "400 B of its tensors lie beside it, in small.onnx.data" in finding.detail
    assert finding.detail.endswith("file_bytes counts both files")


def test_a_model_that_leans_on_the_originals_file() -> None:
    finding = only(
        compressed_tensors=[tensor("a", location="large.onnx.data")],
        original_model=of_files("large.onnx", "large.onnx.data"),
        compressed_model=of_files("small.onnx", "large.onnx.data"),
    )
    assert (finding.code, finding.severity) == ("CA109", "warning")
    assert finding.detail.startswith("large.onnx.data holds weights of both models")


def test_a_model_against_itself_shares_nothing_with_another() -> None:
    both = of_files("large.onnx", "large.onnx.data")
    finding = only(compressed_tensors=BESIDE, original_model=both, compressed_model=both)
    assert finding.severity == "info"


def test_one_file_and_the_shards_of_a_folder_are_no_finding() -> None:
    assert found(compressed_tensors=[tensor("a")], compressed_model=of_files("small.onnx")) == []
    shards = compressed(format="hugging-face")
    assert found(compressed=shards, compressed_tensors=BESIDE) == []


# --------------------------------------------------------------------------------- CA110 MACs


def macs(coverage: float | None, *uncounted: str) -> Macs:
    return Macs(total=10, nonzero=10, coverage=coverage, uncounted_ops=list(uncounted))


def test_few_operations_with_a_count() -> None:
    finding = only(compressed=compressed(macs=macs(0.89, "a.Custom")))
    assert (finding.code, finding.severity) == ("CA110", "info")
    assert finding.detail == (
        "in the compressed model 89.0 % of the operations are counted, and not: a.Custom"
    )
    assert found(compressed=compressed(macs=macs(0.9, "a.Custom"))) == []
    assert found(compressed=compressed(macs=None)) == []


def test_macs_that_cannot_be_compared() -> None:
    finding = only(
        compressed=compressed(macs=macs(0.99, "Attention", "b", "c", "d")),
        alpha=msgspec.structs.replace(REPORT.alpha, macs=None),
    )
    assert finding.detail.startswith("in the compressed model 99.0 %")
    assert "not: Attention, b, c and 1 more, and α(macs) is left out" in finding.detail


# -------------------------------------------------------------------------------- CA207 halves

HALF = {"float16": 900, "float32": 100}
X86, ARM = frozenset({"avx2", "avx512_fp16"}), frozenset({"neon", "fp16"})


def float_fallback(detail: str) -> Profile:
    side = ModelProfile(
        runs=20, total_s=0.002, overhead_share=0.0, operators=[], unattributed_share=0.0
    )
    cause = Cause(kind="float_fallback", detail=detail, seconds=0.001, extra_s=0.0, nodes=1)
    return Profile(original=side, compressed=side, layers=[], causes=[cause])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"computed": {"float32": 1000}}, "the graph converts them to float32"),
        ({"sets": X86}, "ONNX Runtime has no float16 arithmetic on this processor"),
        (
            {"sets": frozenset({"avx2"}), "runtime": "torch"},
            "PyTorch has no float16 arithmetic on this processor",
        ),
        (
            {"sets": ARM, "profile": float_fallback("weights stored as float16 are computed …")},
            "the profile shows float32 operators",
        ),
    ],
)
def test_halves_that_are_computed_in_float32(changes: dict[str, Any], said: str) -> None:
    finding = only(**halves(**changes))
    assert (finding.code, finding.severity) == ("CA207", "info")
    assert finding.detail.startswith("90.0 % of the parameters are stored as float16, and " + said)


@pytest.mark.parametrize(
    "changes",
    [
        {"sets": ARM},
        {"sets": X86, "runtime": "torch"},
        {},  # a GPU, or never loaded: nothing tells
        {"sets": X86, "precision": {"float16": 10, "float32": 90}},
        {"sets": ARM, "profile": float_fallback("weights stored as int8 are computed …")},
    ],
)
def test_halves_that_are_no_finding(changes: dict[str, Any]) -> None:
    assert found(**halves(**changes)) == []


def halves(
    computed: dict[str, int] = HALF,
    sets: frozenset[str] = frozenset(),
    profile: Profile | None = None,
    precision: dict[str, int] = HALF,
    runtime: str = "onnxruntime",
) -> dict[str, Any]:
    return {
        "compressed": compressed(precision=precision, computed_precision=computed),
        "instruction_sets": sets,
        "profile": profile,
        "runtimes": (runtime, runtime),
    }


# ------------------------------------------------------------------------- CA307 precisions


def test_an_original_that_is_reduced_itself() -> None:
    original = msgspec.structs.replace(REPORT.original, precision={"float16": 99, "float32": 1})
    finding = only(original=original)
    assert (finding.code, finding.severity) == ("CA307", "info")
    assert "99.0 % of its parameters are float16 or less" in finding.detail
    mixed = msgspec.structs.replace(original, precision={"float16": 49, "float32": 51})
    assert found(original=mixed) == []


def with_settings(side: Any, **settings: str) -> Any:
    latency: Latency = msgspec.structs.replace(side.latency, settings=settings)
    return msgspec.structs.replace(side, latency=latency)


def test_float32_that_means_another_thing_in_each() -> None:
    """ONNX Runtime multiplies in TF32 on CUDA unless told otherwise, PyTorch does not."""
    by_torch = with_settings(REPORT.original, float32_matmul="ieee")
    by_onnx = with_settings(REPORT.compressed, **{"cuda.use_tf32": "1"})
    finding = only(original=by_torch, compressed=by_onnx)
    assert finding.code == "CA307"
    assert finding.detail == (
        "float32 is multiplied in float32 in the original and in tf32 in the compressed model"
    )
    alike = with_settings(REPORT.compressed, **{"cuda.use_tf32": "0"})
    assert found(original=by_torch, compressed=alike) == []
    assert found(original=by_torch) == []  # of the other nothing is known


# ------------------------------------------------------------------------- CA412 saturation


def ends(at_lowest: int, at_highest: int, lowest: float = -3.5, highest: float = 6.5) -> Extremes:
    return Extremes(
        elements=9000,
        lowest=lowest,
        at_lowest=at_lowest,
        highest=highest,
        at_highest=at_highest,
    )


def test_outputs_that_are_saturated() -> None:
    finding = only(extremes={"logits": (ends(1, 1), ends(855, 2))})
    assert (finding.code, finding.severity) == ("CA412", "warning")
    assert finding.detail == (
        "9.5 % of the values of its output 'logits' are exactly the smallest there is, −3.50; "
        "of the original's <0.1 %"
    )
    assert "largest there is, 6.50" in only(extremes={"y": (ends(1, 1), ends(1, 90))}).detail


@pytest.mark.parametrize(
    ("original", "after"),
    [
        (ends(4000, 1, lowest=0), ends(4600, 1, lowest=0)),  # a ReLU in both
        (ends(1, 1), ends(89, 1)),  # below one in a hundred
        (ends(80, 1), ends(300, 1)),  # not ten times the original's
    ],
)
def test_ends_that_are_no_finding(original: Extremes, after: Extremes) -> None:
    assert found(extremes={"y": (original, after)}) == []


def test_few_values_at_an_end_are_no_finding() -> None:
    """With ten values in all, one of them is a tenth."""
    few = msgspec.structs.replace(ends(10, 1), elements=100)
    many = msgspec.structs.replace(few, elements=100_000, at_lowest=1)
    assert found(extremes={"y": (many, few)}) == []


def test_an_output_that_is_one_number() -> None:
    constant = ends(9000, 9000, lowest=0.0, highest=0.0)
    finding = only(extremes={"y": (ends(1, 1), constant)})
    assert finding.detail == "every value of its output 'y' is 0"
    assert found(extremes={"y": (constant, constant)}) == []


def test_probabilities_of_zero_are_in_order_in_float16() -> None:
    """What is below 6e-8 is zero there, and a thousand classes mostly are."""
    clipped = {"logits": (ends(1, 1, lowest=1e-30, highest=1), ends(6000, 2, lowest=0, highest=1))}
    assert {finding.code for finding in found(extremes=clipped)} == {"CA412", "CA413"}
    kinds = msgspec.structs.replace(
        REPORT.divergence.scores, original="probabilities", compressed="probabilities"
    )
    probabilities = msgspec.structs.replace(REPORT.divergence, scores=kinds)
    assert found(extremes=clipped, divergence=probabilities) == []


# ------------------------------------------------------- CA413, numbers from 0 to 1 as logits


def test_sigmoids_are_read_as_logits() -> None:
    """Of three classes that are decided each for itself, the shares do not sum to one."""
    between = {"logits": (ends(1, 1, lowest=0.01, highest=0.99), ends(1, 1, lowest=0, highest=1))}
    finding = only(extremes=between)
    assert (finding.code, finding.severity) == ("CA413", "warning")
    assert "the output 'logits' of both models lie between 0 and 1" in finding.detail
    one = {"logits": (ends(1, 1), ends(1, 1, lowest=0, highest=1))}
    assert "of the compressed model lie" in only(extremes=one).detail


@pytest.mark.parametrize("kind", ["probabilities", "logits before the softmax"])
def test_what_was_read_as_probabilities_is_in_order(kind: str) -> None:
    between = {"logits": (ends(1, 1, lowest=0, highest=1), ends(1, 1, lowest=0, highest=1))}
    kinds = msgspec.structs.replace(REPORT.divergence.scores, original=kind, compressed=kind)
    read = msgspec.structs.replace(REPORT.divergence, scores=kinds)
    assert found(extremes=between, divergence=read) == []


def test_numbers_beyond_0_and_1_may_be_logits() -> None:
    for lowest, highest in ((-0.01, 0.9), (0.0, 1.01), (0.5, 0.5)):
        some = ends(1, 1, lowest=lowest, highest=highest)
        assert found(extremes={"logits": (some, some)}) == []
    # Another output than that with the class scores.
    other = ends(1, 1, lowest=0, highest=1)
    assert found(extremes={"boxes": (other, other)}) == []
