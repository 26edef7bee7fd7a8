"""A report against an earlier one: noise of both, machines, data, models."""

from typing import Any

import canned
import canned_quality
import msgspec
import pytest

from compaudit.errors import ExitCode, RequestError
from compaudit.gate import judge, parse_requirement, regressions, require_comparable
from compaudit.results import Check, Comparison, Estimate, Skipped

NOW = canned.comparison()  # δ 2 [1.95, 2.05], file 140 kB, top-1 98.0 → 97.5 %


def check(requirement: str, baseline: Comparison | None = NOW, report: Comparison = NOW) -> Check:
    (found,) = judge([parse_requirement(requirement)], report, baseline).checks
    return found


def with_delta(value: float, low: float | None, high: float | None, **others: Any) -> Comparison:
    delta = msgspec.structs.replace(NOW.delta, value=value, low=low, high=high, **others)
    return msgspec.structs.replace(NOW, delta=delta)


def with_file(size: int) -> Comparison:
    return msgspec.structs.replace(
        NOW, compressed=msgspec.structs.replace(NOW.compressed, file_bytes=size)
    )


# --------------------------------------------------------------------------------- both intervals


@pytest.mark.parametrize(
    ("requirement", "baseline", "expected"),
    [
        # The same again: 2 − 1.8 = 0.2, and √(0.05² + 0.045²) = 0.067.
        ("delta >= baseline - 10 %", (2.0, 1.95, 2.05), "passed"),
        # 2 − 1.96 = 0.04, and √(0.05² + 0.049²) = 0.070: either may be the case.
        ("delta >= baseline - 2 %", (2.0, 1.95, 2.05), "inconclusive"),
        # 2 − 2.25 = −0.25, and √(0.05² + 0.045²) = 0.067.
        ("delta >= baseline - 10 %", (2.5, 2.45, 2.55), "failed"),
        # 0.08 > √(0.05² + 0.05²) = 0.0707, though the intervals overlap; and 0.07 is not.
        ("delta >= baseline", (1.92, 1.87, 1.97), "passed"),
        ("delta >= baseline", (1.93, 1.88, 1.98), "inconclusive"),
        ("delta >= baseline", (2.07, 2.02, 2.12), "inconclusive"),
        ("delta >= baseline", (2.08, 2.03, 2.13), "failed"),
        # The side of each interval that faces the other counts: √(0.05² + 0.02²) = 0.0539 < 0.06.
        ("delta >= baseline", (1.94, 1.5, 1.96), "passed"),
        ("delta <= baseline", (1.94, 1.5, 1.96), "failed"),
        # An exact limit against an interval, and the reverse.
        ("delta >= baseline.delta.value - 2.5 %", (2.0, 1.95, 2.05), "passed"),
        ("delta >= baseline.delta.value - 2.4 %", (2.0, 1.95, 2.05), "inconclusive"),
        ("delta.value >= baseline.delta", (1.99, 1.9, 2.0), "passed"),
        ("delta.value >= baseline.delta", (1.99, 1.9, 2.01), "inconclusive"),
        ("delta.value >= baseline", (2.0, 1.95, 2.05), "passed"),
        # Without an interval nothing is known of the noise.
        ("delta >= baseline - 50 %", (2.0, None, None), "inconclusive"),
        ("delta.value >= baseline.delta.value", (2.0, None, None), "passed"),
    ],
)
def test_the_noise_of_both_counts(
    requirement: str, baseline: tuple[float, float | None, float | None], expected: str
) -> None:
    assert check(requirement, with_delta(*baseline)).status == expected


def test_figures_of_one_report_are_compared_likewise() -> None:
    """4 ms ± 2 % and 2 ms ± 2 %: 2 − 0.52 · 4 = −0.08 ms; √(0.04² + 0.0416²) = 0.058."""
    latency = "compressed.latency.median_s <= {} * original.latency.median_s"
    assert check(latency.format(0.52), None).status == "passed"
    assert check(latency.format(0.51), None).status == "inconclusive"
    assert check(latency.format(0.45), None).status == "failed"
    found = check(latency.format(0.5), None)
    assert found.limit == pytest.approx(0.002)
    assert found.reference == Estimate(value=0.004, low=0.004 * 0.98, high=0.004 * 1.02)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(150_000, "passed"), (150_001, "failed"), (130_000, "passed")],
)
def test_a_small_file_may_grow_by_a_few_bytes(size: int, expected: str) -> None:
    """Of 140 kB, 2 % are 2.8 kB and less than 10 kB; both have to be exceeded."""
    wanted = "compressed.file_bytes <= baseline + max(2 %, 10 kB)"
    found = check(wanted, NOW, with_file(size))
    assert found.status == expected
    assert found.limit == 150_000
    assert found.reference == Estimate(value=140_000, low=None, high=None)


def test_a_large_file_by_a_share() -> None:
    wanted = "compressed.file_bytes <= baseline + max(2 %, 10 kB)"
    before = with_file(10_000_000)
    assert check(wanted, before, with_file(10_200_000)).status == "passed"
    assert check(wanted, before, with_file(10_200_001)).status == "failed"


# ------------------------------------------------------------------------------- what is not there


def test_without_a_baseline_nothing_is_measured_against_it() -> None:
    found = check("delta >= baseline - 2 %", None)
    assert (found.status, found.limit, found.reference) == ("not_measured", None, None)
    assert "--baseline" in found.reason


def test_a_baseline_without_the_figure() -> None:
    skipped = [Skipped(metric="delta", reason="left out by --only or --skip")]
    before = msgspec.structs.replace(NOW, delta=None, skipped=skipped)
    found = check("delta >= baseline - 2 %", before)
    assert found.status == "not_measured"
    assert found.reason == ("in the baseline, delta is not measured: left out by --only or --skip")
    assert check("delta >= baseline - 2 %", NOW, before).status == "not_measured"


# ------------------------------------------------------------------------------------ circumstances


def elsewhere(**changes: Any) -> Comparison:
    environment = msgspec.structs.replace(NOW.environment, **changes)
    return msgspec.structs.replace(NOW, environment=environment)


def with_latency(**changes: Any) -> Comparison:
    latency = msgspec.structs.replace(NOW.compressed.latency, **changes)
    compressed = msgspec.structs.replace(NOW.compressed, latency=latency)
    return msgspec.structs.replace(NOW, compressed=compressed)


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        (elsewhere(cpu="Another"), "processor Another → A processor"),
        (elsewhere(usable_cores=8), "usable cores 8 → 2"),
        (elsewhere(cpu_quota=1.5), "CPU quota 1.5 → none"),
        (elsewhere(instruction_sets=["avx2", "avx512_vnni"]), "avx512_vnni → avx2"),
        (elsewhere(packages={"onnxruntime": "1.1"}), "onnxruntime 1.1 → none"),
        (with_latency(threads=4), "threads 4 → 1 (compressed)"),
        (with_latency(batch_size=8), "batch size 8 → 1"),
        (with_latency(device="cuda"), "device cuda → cpu"),
        (with_latency(settings={"graph_optimization_level": "none"}), "none → all"),
    ],
)
def test_times_of_other_machines_and_settings_are_not_compared(
    baseline: Comparison, said: str
) -> None:
    for wanted in (
        "delta >= baseline - 50 %",
        "delta.value >= baseline - 99 %",
        "compressed.latency.median_s <= 2 * baseline",
        "compressed.latency.p90_s <= 2 * baseline",
        "compressed.load_s <= 2 * baseline",
        "compressed.peak_memory_bytes <= 2 * baseline",
    ):
        found = check(wanted, baseline)
        assert found.status == "inconclusive"
        assert said in found.reason
        assert check(wanted, NOW).status == "passed"
    for wanted in (
        "compressed.file_bytes <= baseline",
        "alpha.weight_bytes >= baseline",
        "accuracy.top1.compressed.value >= baseline",
        "compressed.macs.total <= baseline",
    ):
        assert check(wanted, baseline).status == "passed"


@pytest.mark.parametrize(
    "same",
    [
        elsewhere(load_average=[9.0, 9.0, 9.0], steal_percent=3.0, memory_bytes=1),
        elsewhere(packages={"numpy": "1.0", "torch": "2.9"}),  # which ran neither model
        elsewhere(os="Linux-6.2"),
    ],
)
def test_what_does_not_matter_to_times_is_let_pass(same: Comparison) -> None:
    assert check("delta >= baseline - 50 %", same).status == "passed"


def test_outputs_on_other_data_are_not_compared() -> None:
    others = msgspec.structs.replace(NOW.data, digest="2" * 64, uri="train.npz")
    before = msgspec.structs.replace(NOW, data=others)
    for wanted in (
        "accuracy.top1.compressed.value >= baseline - 50 pp",
        "divergence.kl.max <= baseline",
    ):
        found = check(wanted, before)
        assert found.status == "inconclusive"
        assert "other data: train.npz" in found.reason
        assert check(wanted, NOW).status == "passed"
    fewer = msgspec.structs.replace(NOW, data=msgspec.structs.replace(NOW.data, samples=10))
    assert check("divergence.kl.max <= baseline", fewer).status == "inconclusive"
    unknown = msgspec.structs.replace(NOW, data=None)
    assert check("divergence.kl.max <= baseline", unknown).status == "inconclusive"


def test_an_interval_of_lower_confidence_is_too_narrow() -> None:
    before = with_delta(2.0, 1.99, 2.01, confidence=0.8)
    found = check("delta >= baseline - 50 %", before)
    assert found.status == "inconclusive"
    assert "80 % confidence" in found.reason
    assert check("delta >= baseline - 50 %", with_delta(2.0, 1.9, 2.1, confidence=0.99)).status == (
        "passed"
    )


# ------------------------------------------------------------------------------------------ models


def original(**changes: Any) -> Comparison:
    return msgspec.structs.replace(NOW, original=msgspec.structs.replace(NOW.original, **changes))


def test_a_baseline_of_the_same_original_is_taken() -> None:
    for before in (
        NOW,
        original(path="models/digits.onnx"),
        original(path="renamed.onnx"),  # the same contents
        original(sha256="1" * 64),  # trained again
        canned.comparison(compressed="digits_int4.onnx"),
    ):
        require_comparable(before, NOW.original, "classification")


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (original(path="resnet.onnx", sha256="1" * 64), "resnet.onnx, not digits.onnx"),
        (original(parameters=7, sha256="1" * 64), "of 7 parameters, not of 100000"),
        (original(path="m:resnet", sha256=None), "m:resnet, not digits.onnx"),
    ],
)
def test_a_baseline_of_another_original_is_refused(before: Comparison, said: str) -> None:
    with pytest.raises(RequestError, match="another original") as caught:
        require_comparable(before, NOW.original)
    assert said in caught.value.message
    assert "--baseline" in caught.value.hint
    assert caught.value.exit_code is ExitCode.BAD_REQUEST


def test_a_baseline_of_another_task_is_refused() -> None:
    require_comparable(NOW, NOW.original, None)
    with pytest.raises(RequestError, match="task is classification, and this audit's is embedding"):
        require_comparable(NOW, NOW.original, "embedding")


# ----------------------------------------------------------------------- what goes without saying


def defaults(baseline: Comparison) -> list[str]:
    return [one.text for one in regressions(baseline)]


@pytest.mark.parametrize(
    "report",
    [
        NOW,
        canned_quality.classification(),
        canned_quality.language(),
        canned_quality.regression(),
        canned_quality.embedding(),
        msgspec.structs.replace(NOW, accuracy=None),
    ],
)
def test_no_audit_is_worse_than_itself(report: Comparison) -> None:
    wanted = list(regressions(report))
    assert len(wanted) >= 2
    assert all(one.needs_baseline for one in wanted)
    gate = judge(wanted, report, report)
    assert [one.status for one in gate.checks] == ["passed"] * len(wanted), gate


def test_what_is_required_by_default() -> None:
    assert defaults(NOW) == [
        "compressed.file_bytes <= baseline + max(2 %, 10 kB)",
        "compressed.macs.total <= baseline + 2 %",
        "delta >= baseline - 10 %",
        "accuracy.top1.compressed.value >= baseline - 0.5 pp",
    ]
    compressed = msgspec.structs.replace(NOW.compressed, file_bytes=None, macs=None)
    bare = msgspec.structs.replace(NOW, compressed=compressed, accuracy=None, delta=None)
    assert defaults(bare) == [
        "compressed.weight_bytes <= baseline + max(2 %, 10 kB)",
        "divergence.kl.mean.value <= baseline + max(10 %, 0.001)",
    ]


@pytest.mark.parametrize(
    "worse",
    [
        with_file(151_000),
        with_delta(1.6, 1.55, 1.65),
        msgspec.structs.replace(
            NOW,
            accuracy=msgspec.structs.replace(
                NOW.accuracy, top1=canned.metric(0.98, 0.969, -0.02, 0.0, 0.1)
            ),
        ),
    ],
)
def test_each_default_notices_a_regression(worse: Comparison) -> None:
    assert judge(regressions(NOW), worse, NOW).status == "failed"
    assert judge(regressions(NOW), NOW, worse).status == "passed"
