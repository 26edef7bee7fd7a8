import math
from typing import Any

import canned
import canned_quality
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compaudit.gate import exit_code_of, judge, parse_requirement
from compaudit.gate.sample_size import samples_to_decide
from compaudit.results import Comparison, Estimate, OutputError, Skipped

REPORT: Comparison = canned.comparison()
# In it: alpha.file_bytes 3, delta 2 [1.95, 2.05], top-1 delta −0.005 [−0.0152, 0.0047].


def status(requirement: str, report: Comparison = REPORT) -> str:
    (check,) = judge([parse_requirement(requirement)], report).checks
    return check.status


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("alpha.file_bytes >= 3", "passed"),
        ("alpha.file_bytes > 3", "failed"),
        ("alpha.file_bytes == 3", "passed"),
        ("alpha.file_bytes != 3", "failed"),
        ("compressed.file_bytes <= 140 kB", "passed"),
        ("compressed.file_bytes <= 136 KiB", "failed"),  # 139,264 bytes
        ("compressed.file_bytes<=0.14MB", "passed"),
        ("delta >= 1.95", "passed"),
        ("delta >= 1.96", "inconclusive"),
        ("delta > 2.05", "failed"),
        ("delta.value >= 2", "passed"),
        ("delta.low >= 1.95", "passed"),
        ("accuracy.top1.delta >= -2 pp", "passed"),
        ("accuracy.top1.delta >= -1 pp", "inconclusive"),
        ("accuracy.top1.delta >= 1 pp", "failed"),
        ("accuracy.top1.delta.p_value < 0.05", "failed"),
        ("divergence.kl.mean <= 0.0044", "passed"),
        ('divergence.outputs["logits"].sqnr_db >= 30', "passed"),
        ("divergence.outputs['logits'].cosine >= 0.9999", "failed"),
        ("compressed.latency.median_s <= 3 ms", "passed"),
        ("compressed.latency.median_s <= 2 ms", "inconclusive"),
    ],
)
def test_requirements_are_judged_by_value_or_by_interval(requirement: str, expected: str) -> None:
    assert status(requirement) == expected


def test_an_estimate_without_an_interval_decides_nothing() -> None:
    assert status("accuracy.calibration_error.delta <= 1") == "inconclusive"
    assert status("accuracy.calibration_error.delta.value <= 1") == "passed"


def test_what_was_not_measured_is_inconclusive_and_says_why() -> None:
    skipped = [Skipped(metric="accuracy", reason="no data was given")]
    report = msgspec.structs.replace(REPORT, accuracy=None, skipped=skipped)
    (check,) = judge([parse_requirement("accuracy.top1.delta >= -1")], report).checks
    assert (check.status, check.observed) == ("not_measured", None)
    assert check.reason == "not measured: no data was given"


def test_names_with_dots_go_in_brackets() -> None:
    error = OutputError(
        max_abs_error=0.0,
        mean_abs_error=0.0,
        sqnr_db=None,
        cosine=1.0,
        nonfinite_original=0,
        nonfinite_compressed=0,
    )
    divergence = msgspec.structs.replace(REPORT.divergence, outputs={'a.b"c': error})
    report = msgspec.structs.replace(REPORT, divergence=divergence)
    assert status(r'divergence.outputs["a.b\"c"].cosine >= 0.99', report) == "passed"
    assert status('divergence.outputs["absent"].cosine >= 0.99', report) == "not_measured"


def test_the_worst_check_is_the_gates_status() -> None:
    def gate(*requirements: str) -> Any:
        return judge([parse_requirement(text) for text in requirements], REPORT)

    good, open_, bad = "alpha.file_bytes >= 3", "delta >= 2", "alpha.file_bytes >= 4"
    gone = "accuracy.mse.delta <= 1"
    assert gate().status == "none"
    assert gate(good).status == "passed"
    assert gate(good, open_).status == "inconclusive"
    assert gate(good, gone).status == "inconclusive"
    assert gate(good, open_, bad).status == "failed"
    assert exit_code_of(gate(), "fail") == 0
    assert exit_code_of(gate(good), "fail") == 0
    assert exit_code_of(gate(good, open_, bad), "pass") == 1
    assert exit_code_of(gate(good, open_), "fail") == 3
    assert exit_code_of(gate(good, open_), "warn") == 0
    assert exit_code_of(gate(good, open_), "pass") == 0


@pytest.mark.parametrize("only_warns", ["alpha.file_bytes >= 4", "delta >= 2", "delta >= 1"])
def test_what_only_warns_is_shown_and_decides_nothing(only_warns: str) -> None:
    warning = parse_requirement(f"warn: {only_warns} # ask Ada")
    plain = parse_requirement(only_warns)
    (check,) = judge([plain], REPORT).checks
    for wanted, expected in (([], "none"), (["delta >= 1"], "passed"), (["delta >= 9"], "failed")):
        gate = judge([warning, *map(parse_requirement, wanted)], REPORT)
        assert gate.status == expected
        assert gate.checks[0].status == check.status
        assert (gate.checks[0].severity, gate.checks[0].message) == ("warn", "ask Ada")
        assert gate.checks[0].requirement == only_warns


def test_estimates_are_estimates_for_the_gate() -> None:
    """Every subclass of Estimate is judged by its interval."""
    assert issubclass(type(REPORT.delta), Estimate)
    assert REPORT.accuracy is not None
    assert REPORT.accuracy.top1 is not None
    assert isinstance(REPORT.accuracy.top1.delta, Estimate)


# ----------------------------------------------------------------------- what would decide it

# top-1 −0.5 pp [−1.52, +0.47] on 400 samples.


def reason(requirement: str, report: Comparison = REPORT) -> str:
    (check,) = judge([parse_requirement(requirement)], report).checks
    assert check.status in ("inconclusive", "not_measured")
    return check.reason


@pytest.mark.parametrize(
    ("requirement", "samples"),
    [
        # 1.02 pp below the value, the limit 0.5 pp below: 400 · (1.02 / 0.5)² = 1,665.
        ("accuracy.top1.delta >= -1 pp", "1,700"),
        # 0.97 pp above, 0.4 pp above: 400 · 2.425² = 2,352.
        ("accuracy.top1.delta <= -0.1 pp", "2,400"),
        # KL 0.004 [0.0036, 0.0044]: 400 · (0.0004 / 0.0001)² = 6,400.
        ("divergence.kl.mean <= 0.0041", "6,400"),
        # Hardly more than there are: 400 · (1.02 / 1.019)² = 400.8.
        ("accuracy.top1.delta >= -1.519 pp", "410"),
    ],
)
def test_an_undecided_requirement_says_how_many_samples_would_decide_it(
    requirement: str, samples: str
) -> None:
    assert f"about {samples} samples would decide it" in reason(requirement)


@pytest.mark.parametrize("limit", ["-0.5 pp", "-0.5000001 pp"])
def test_a_figure_at_its_limit_is_decided_by_no_number(limit: str) -> None:
    assert "more samples would not decide it" in reason(f"accuracy.top1.delta >= {limit}")


def test_what_no_samples_decide_does_not_speak_of_them() -> None:
    assert reason("delta >= 2") == "the interval has the limit inside it"


@settings(deadline=None)
@given(
    value=st.floats(-1, 1),
    below=st.floats(1e-6, 1),
    above=st.floats(1e-6, 1),
    share=st.floats(-0.999, 0.999),
    samples=st.integers(1, 10**6),
)
def test_so_many_samples_do_decide_it(
    value: float, below: float, above: float, share: float, samples: int
) -> None:
    """With half-widths that shrink with √n, the limit is outside at n samples."""
    limit = value + share * (above if share > 0 else below)
    estimate = Estimate(value=value, low=value - below, high=value + above)
    needed = samples_to_decide(estimate, limit, samples)
    if needed is None:
        return
    assert needed > samples
    shrunk = math.sqrt(samples / needed)
    slack = 1 + 1e-9
    assert not value - below * shrunk > limit * slack > value + above * shrunk
    width = below if limit < value else above
    assert width * shrunk <= abs(limit - value) * slack + 1e-12


# ------------------------------------------------------------------------------- new figures


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("accuracy.language.perplexity_ratio <= 1.02", "passed"),
        ("accuracy.language.perplexity_ratio <= 1.01", "inconclusive"),
        ("accuracy.language.perplexity_ratio <= 1.005", "failed"),
        ("accuracy.language.perplexity_ratio.value <= 1.0137", "passed"),
        ("accuracy.perplexity.delta <= 0.24", "passed"),
        ("accuracy.perplexity.delta.worst_case <= 0.23", "passed"),
        ("accuracy.language.probability_change.mean >= -0.31 pp", "passed"),
        ("accuracy.language.probability_change.p1 >= -10 pp", "failed"),
        ("accuracy.language.correlation >= 0.99", "passed"),
        ("accuracy.top1.delta >= -0.31 pp", "passed"),
        ("accuracy.mse.delta <= 1", "not_measured"),
    ],
)
def test_figures_of_a_language_model(requirement: str, expected: str) -> None:
    assert status(requirement, canned_quality.language()) == expected


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("accuracy.custom.within_a_tenth.delta >= -3 pp", "passed"),
        ("accuracy.custom.within_a_tenth.delta >= 0", "inconclusive"),
        ('accuracy.custom["within_a_tenth"].original >= 0.5', "inconclusive"),
        ("accuracy.custom.absent.delta >= 0", "not_measured"),
    ],
)
def test_figures_of_the_users_own(requirement: str, expected: str) -> None:
    assert status(requirement, canned_quality.regression()) == expected


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("divergence.embeddings.cosine >= 0.999", "passed"),
        ("divergence.embeddings.cosine >= 0.9991", "inconclusive"),
        ("divergence.embeddings.cosine_p1 >= 0.99", "passed"),
        ("divergence.embeddings.neighbour_overlap >= 98 %", "failed"),
    ],
)
def test_figures_of_embeddings(requirement: str, expected: str) -> None:
    assert status(requirement, canned_quality.embedding()) == expected


def test_sequences_are_what_decides_figures_of_tokens() -> None:
    """1.0137 [1.0081, 1.0193] on 160 sequences; 160 · (0.0056 / 0.0037)² = 366.5."""
    text = reason("accuracy.language.perplexity_ratio <= 1.01", canned_quality.language())
    assert "about 370 sequences would decide it" in text


def test_a_reason_is_found_however_its_name_is_quoted() -> None:
    name = 'divergence.outputs["logits"].sqnr_db'
    skipped = [Skipped(metric=name, reason="the outputs are identical")]
    errors = {"logits": msgspec.structs.replace(REPORT.divergence.outputs["logits"], sqnr_db=None)}  # type: ignore[union-attr]
    divergence = msgspec.structs.replace(REPORT.divergence, outputs=errors)
    report = msgspec.structs.replace(REPORT, divergence=divergence, skipped=skipped)
    for path in (name, "divergence.outputs.logits.sqnr_db"):
        assert reason(f"{path} >= 1", report) == "not measured: the outputs are identical"


# ------------------------------------------------------------------------- synthetic inputs


@pytest.mark.parametrize(
    "requirement",
    [
        "accuracy.top1.delta >= -1",
        "accuracy.top1.compressed.value >= 0",
        "accuracy.flips.broken <= 1000",
        "accuracy.samples >= 1",
        "accuracy.top1.delta >= 1",
    ],
)
def test_nothing_about_accuracy_is_decided_on_made_up_inputs(requirement: str) -> None:
    made_up = canned_quality.data(uri=None, kind="synthetic")
    divergence = msgspec.structs.replace(REPORT.divergence, source="synthetic")
    for changes in ({"data": made_up}, {"divergence": divergence}):
        report = msgspec.structs.replace(REPORT, **changes)
        assert "synthetic" in reason(requirement, report)
    assert status("divergence.kl.mean <= 1", msgspec.structs.replace(REPORT, data=made_up)) == (
        "passed"
    )
