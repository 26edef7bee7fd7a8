"""Findings on accuracy and outputs: each fires on a case made for it, and on nothing near it."""

from typing import Any

import canned
import canned_quality
import msgspec
import pytest

from compaudit.findings import Evidence, find
from compaudit.results import (
    Accuracy,
    Divergence,
    EntropyPair,
    Equivalence,
    Finding,
    Flips,
    SkippedSample,
)

REPORT = canned.comparison()
# top-1 −0.5 pp [−1.52, +0.47] on 400 samples, 3 broken, 1 fixed; calibration error +0.3 pp.


def accuracy(**changes: Any) -> Accuracy:
    return msgspec.structs.replace(REPORT.accuracy, **changes)


def divergence(**changes: Any) -> Divergence:
    return msgspec.structs.replace(REPORT.divergence, **changes)


def evidence(**changes: Any) -> Evidence:
    """A good audit, but for the changes."""
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
    return Evidence(**fields | changes)


def codes(**changes: Any) -> set[str]:
    return {finding.code for finding in find(evidence(**changes))}


def only(**changes: Any) -> Finding:
    (found,) = find(evidence(**changes))
    return found


# --------------------------------------------------------------------------- CA405, confidence


def entropy(original: float, compressed: float) -> Divergence:
    return divergence(entropy=EntropyPair(original=original, compressed=compressed))


def calibration(low: float | None, high: float | None, compressed: float = 0.062) -> Any:
    return canned.metric(0.012, compressed, low, high, None)


def test_surer_of_itself_and_not_more_often_right() -> None:
    worse = accuracy(calibration_error=calibration(0.03, 0.07))
    found = only(accuracy=worse, divergence=entropy(0.2, 0.1))
    assert (found.code, found.severity) == ("CA405", "warning")
    assert "from 0.200 to 0.100 nats" in found.detail
    assert "from 1.20 % to 6.20 %" in found.detail


@pytest.mark.parametrize(
    ("given", "outputs"),
    [
        (calibration(-0.01, 0.07), entropy(0.2, 0.1)),  # perhaps as well calibrated
        (calibration(0.03, 0.07), entropy(0.2, 0.195)),  # hardly surer
        (calibration(0.03, 0.07), entropy(0.1, 0.2)),  # less sure
        (calibration(None, None, 0.9), entropy(0.2, 0.1)),  # a point, of too few samples
        (None, entropy(0.2, 0.1)),
        (calibration(0.03, 0.07), None),
    ],
)
def test_what_is_not_overconfidence(given: Any, outputs: Any) -> None:
    assert codes(accuracy=accuracy(calibration_error=given), divergence=outputs) == set()


def test_a_model_that_is_more_often_right_may_be_surer() -> None:
    better = accuracy(
        calibration_error=calibration(0.03, 0.07),
        top1=canned.metric(0.97, 0.98, -0.004, 0.024, 0.2),
    )
    assert codes(accuracy=better, divergence=entropy(0.2, 0.1)) == set()


# ------------------------------------------------------------------------- CA406, one class


def per_class(p_value: float, delta: float = -0.1) -> list[Any]:
    """Of 200 samples a class, the first loses 20; 12 others lose nothing."""
    first = canned.class_accuracy(0, 0.95, 0.95 + delta)
    first = msgspec.structs.replace(first, name="tench", p_value=p_value)
    return [first, *(canned.class_accuracy(label, 0.95, 0.95) for label in range(1, 13))]


def test_one_class_that_carries_the_loss() -> None:
    flips = Flips(broken=39, fixed=19)
    found = only(accuracy=accuracy(samples=2600, per_class=per_class(0.001), flips=flips))
    assert (found.code, found.severity) == ("CA406", "warning")
    assert "'tench' (0) went from 95.00 % to 85.00 % on 200 samples" in found.detail
    assert "lost 20 of the 39 that broke" in found.detail
    assert "13 classes" in found.detail


@pytest.mark.parametrize(
    ("classes", "broken"),
    [
        (per_class(0.05), 39),  # chance explains it
        (per_class(0.001), 40),  # exactly half is not most
        (per_class(0.001, delta=0.1), 39),  # it gained
        ([], 39),
    ],
)
def test_losses_that_no_class_carries(classes: list[Any], broken: int) -> None:
    flips = Flips(broken=broken, fixed=0)
    assert codes(accuracy=accuracy(per_class=classes, flips=flips)) <= {"CA407"}


# ---------------------------------------------------------------------------- CA407, flips


def test_equal_accuracy_with_other_answers() -> None:
    found = only(accuracy=accuracy(flips=Flips(broken=11, fixed=9)))
    assert (found.code, found.severity) == ("CA407", "warning")
    assert "20 of 400 answers (5.0 %) flipped: 11 from right to wrong and 9 back" in found.detail


@pytest.mark.parametrize(
    "given",
    [
        accuracy(flips=Flips(broken=10, fixed=9)),  # less than one in twenty
        accuracy(flips=Flips(broken=10, fixed=9), samples=100),  # too few to speak of
        accuracy(flips=Flips(broken=25, fixed=5), top1=canned.metric(0.98, 0.93, -0.08, -0.01, 0)),
        accuracy(flips=None),
    ],
)
def test_flips_that_are_no_finding(given: Accuracy) -> None:
    assert codes(accuracy=given) == set()


def test_flips_of_tokens_are_counted_against_tokens() -> None:
    report = canned_quality.language()
    assert report.accuracy is not None
    # 4,285 of 81,760 tokens: 5.2 %.
    assert "CA407" in codes(accuracy=report.accuracy, divergence=None)
    some = msgspec.structs.replace(report.accuracy, flips=Flips(broken=2000, fixed=2000))
    assert codes(accuracy=some, divergence=None) == set()  # 4.9 %


# --------------------------------------------------------------------- CA408, disagreement


def kl(mean: float, floor: float | None = None) -> Divergence:
    return divergence(kl=msgspec.structs.replace(canned.distribution(mean), noise_floor=floor))


def test_outputs_that_differ_more_than_accuracy_shows() -> None:
    found = only(divergence=kl(0.06, 1e-9))
    assert (found.code, found.severity) == ("CA408", "info")
    assert "the mean KL is 0.0600 nats" in found.detail
    assert "differs from itself by 1.00e-09" in found.detail
    assert "agree on 98.50 %" in found.detail
    assert codes(divergence=kl(0.06)) == {"CA408"}


@pytest.mark.parametrize(
    "changes",
    [
        {"divergence": kl(0.055, 1e-9)},  # 0.0495 at its lowest
        {"divergence": kl(0.06, 0.0055)},  # not ten times the floor
        {"divergence": None},
        {
            "divergence": kl(0.06, 1e-9),
            "accuracy": accuracy(top1=canned.metric(0.98, 0.97, -0.015, -0.001, 0.01)),
        },
        {"divergence": kl(0.06, 1e-9), "accuracy": None},
    ],
)
def test_disagreement_that_is_no_finding(changes: dict[str, Any]) -> None:
    assert codes(**changes) == set()


# -------------------------------------------------------------------------- CA409, too few


def undecided(worst_case: float, status: Any = "undecided", samples: int | None = 9200) -> Accuracy:
    return accuracy(
        top1=canned_quality.with_worst(REPORT.accuracy.top1, worst_case),  # type: ignore[union-attr, arg-type]
        equivalence=Equivalence(metric="top1", margin=0.005, status=status, samples=samples),
    )


def test_too_few_samples_to_decide() -> None:
    found = only(accuracy=undecided(-0.0135))
    assert (found.code, found.severity) == ("CA409", "info")
    assert "400 samples leave 0.85 pp of top-1 open" in found.detail
    assert "no more than 0.50 pp are lost; about 9,200 samples would" in found.detail
    assert "no number of samples would" in only(accuracy=undecided(-0.0135, samples=None)).detail


@pytest.mark.parametrize(
    "given",
    [
        undecided(-0.0099),  # 0.49 pp: without a change they would do
        undecided(-0.0135, "no_worse", None),
        undecided(-0.0135, "worse", None),
    ],
)
def test_enough_samples(given: Accuracy) -> None:
    assert codes(accuracy=given) == set()


# ------------------------------------------------------------------- CA402 and CA410, places


def not_numbers(original: int, compressed: int) -> Divergence:
    error = msgspec.structs.replace(
        divergence().outputs["logits"],
        max_abs_error=None,
        nonfinite_original=original,
        nonfinite_compressed=compressed,
    )
    return divergence(outputs={"logits": error})


def test_values_that_are_not_numbers_are_located_in_the_network() -> None:
    trace = [
        canned_quality.traced_output(0, 30.0),
        canned_quality.traced_output(1, None, nonfinite_compressed=7, name="attn", op="Softmax"),
        canned_quality.traced_output(2, None, nonfinite_compressed=9),
    ]
    found = only(divergence=not_numbers(0, 1), trace=trace)
    assert found.code == "CA402"
    assert "holds 1 value that is not a number, the original's none" in found.detail
    assert found.detail.endswith("; the first are in the output of attn (Softmax)")
    assert "--trace" not in found.hint
    assert "--trace" in only(divergence=not_numbers(0, 3)).hint


def test_the_sample_with_the_first_value_that_is_no_number_is_named() -> None:
    reason = (
        "3 of 1200 elements are NaN or infinite in one of the models, first in sample 17, which no "
        "average may hide"
    )
    reasons = {'divergence.outputs["logits"].max_abs_error': reason}
    found = only(divergence=not_numbers(0, 3), reasons=reasons)
    assert found.detail.endswith("the original's none; first in sample 17")


def test_the_place_where_the_outputs_break() -> None:
    broken = canned_quality.traced_output(4, 3.5, name="blocks.4", op="Conv")
    harmed = divergence(top1_agreement=canned.estimate(0.89, 0.85, 0.92))
    found = only(first_break=broken, accuracy=None, divergence=harmed)
    assert (found.code, found.severity) == ("CA410", "warning")
    assert "blocks.4 (Conv)" in found.detail
    assert "an SQNR of 3.5 dB" in found.detail
    lost = canned_quality.traced_output(4, None, nonfinite_compressed=2)
    worse = accuracy(top1=canned.metric(0.98, 0.9, -0.1, -0.06, 0.0), flips=None)
    by_code = {one.code: one for one in find(evidence(first_break=lost, accuracy=worse))}
    assert "2 values that are not numbers" in by_code["CA410"].detail


def test_a_model_trained_anew_is_another_one_inside_and_may_be_good() -> None:
    broken = canned_quality.traced_output(0, 0.5)
    assert codes(first_break=broken) == set()  # top-1 is alike
    alike = divergence(top1_agreement=canned.estimate(0.95, 0.93, 0.97))
    assert codes(first_break=broken, accuracy=None, divergence=alike) == set()
    assert codes(first_break=broken, accuracy=None, divergence=None) == {"CA410"}


# --------------------------------------------------------------------------- CA411, left out


def left_out(count: int, samples: int) -> Any:
    one = SkippedSample(index=5, name="cat/5.jpg", reason="cannot be decoded")
    return canned_quality.data(samples=samples, skipped_samples=count, skipped=[one] * bool(count))


def test_samples_that_were_left_out() -> None:
    found = only(data=left_out(11, 1000))
    assert (found.code, found.severity) == ("CA411", "warning")
    assert "11 of 1,000 samples (1.1 %) could not be read" in found.detail
    assert "cat/5.jpg: cannot be decoded" in found.detail
    assert codes(data=left_out(10, 1000)) == set()
    assert codes(data=left_out(0, 1000)) == set()
