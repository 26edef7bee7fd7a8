"""A reason for every figure of time and memory that is null, and the right one."""

from collections.abc import Callable

import canned
import canned_gpu
import canned_quality
import msgspec
import pytest

from compaudit.config import Config
from compaudit.measure.memory import FirstRun
from compaudit.models.base import RunSettings, Source
from compaudit.pair import Pair, Side
from compaudit.results import Comparison
from compaudit.unmeasured import unmeasured_parts
from compaudit.workers.workspace import Loaded

TOLD = FirstRun(0.01, 10, 5, 5, None)


def side(
    name: str, *, on_gpu: bool = False, threads: int = 1, first_run: FirstRun | None = TOLD
) -> Side:
    loaded = Loaded(0.1, (), (), True, ("CPUExecutionProvider",), on_gpu=on_gpu)
    settings = RunSettings(threads=threads)
    return Side(name, Source(name, "onnx"), settings, loaded=loaded, first_run=first_run)  # type: ignore[arg-type]


def reasons(
    report: Comparison, original: Side, compressed: Side, **options: object
) -> dict[str, str]:
    config = Config(original="original", compressed="compressed", **options)  # type: ignore[arg-type]
    skipped = unmeasured_parts(report, Pair(original, compressed), None, config)
    return {one.metric: one.reason for one in skipped}


def nothing_of_delta() -> Comparison:
    report = canned.comparison()
    return msgspec.structs.replace(
        report, delta=msgspec.structs.replace(report.delta, cpu_time_ratio=None)
    )


def test_on_a_cpu() -> None:
    told = reasons(canned.comparison(), side("original"), side("compressed"))
    for key in ("delta.device_ratio", "original.latency.device_s"):
        assert told[key] == "measured on a GPU only"
    assert told["compressed.peak_device_memory_bytes"] == "measured on a GPU only"
    assert told["original.latency.p99_s"] == "480 calls were timed, and it takes 662"
    assert "delta.cpu_time_ratio" not in told
    assert "original.peak_memory_bytes" not in told


def test_processor_time_needs_one_thread_each_and_a_fine_clock() -> None:
    def why(original: Side, compressed: Side) -> str:
        return reasons(nothing_of_delta(), original, compressed)["delta.cpu_time_ratio"]

    assert why(side("original", threads=2), side("compressed", threads=2)) == (
        "compared with one thread only"
    )
    assert "too coarse" in why(side("original"), side("compressed"))
    assert why(side("original", on_gpu=True), side("compressed", on_gpu=True)) == (
        "a GPU does the work, and processor time says nothing of it"
    )


@pytest.mark.parametrize(
    ("on_gpu", "threads", "compares"),
    [(False, (1, 1), True), (False, (1, 2), False), (True, (1, 1), False)],
)
def test_processor_time_is_not_compared_on_a_gpu(
    on_gpu: bool, threads: tuple[int, int], compares: bool
) -> None:
    sides = (
        side(name, on_gpu=on_gpu, threads=count)
        for name, count in zip(("original", "compressed"), threads, strict=True)
    )
    assert Pair(*sides).compares_cpu_time is compares


def test_on_a_gpu_whose_blocks_the_budget_did_not_hold() -> None:
    sides = side("original", on_gpu=True), side("compressed", on_gpu=True)
    told = reasons(nothing_of_delta(), *sides)
    for key in ("delta.device_ratio", "original.latency.device_s", "compressed.latency.device_s"):
        assert told[key] == "the time budget had no room for calls on the device alone"
    assert told["original.peak_device_memory_bytes"] == "its framework does not tell it"


def test_on_a_gpu_nothing_that_was_measured_is_explained() -> None:
    told = reasons(
        canned_gpu.comparison(), side("original", on_gpu=True), side("compressed", on_gpu=True)
    )
    assert not {key for key in told if "device" in key}


@pytest.mark.parametrize(
    ("first_run", "measured", "reason"),
    [
        (None, ("memory", "latency"), "it was not run"),
        (FirstRun(0.01, None), ("memory", "latency"), "this system does not tell it"),
        (TOLD, ("latency",), "left out by --only or --skip"),
    ],
)
def test_memory_that_is_not_told(
    first_run: FirstRun | None, measured: tuple[str, ...], reason: str
) -> None:
    keys = ("peak_memory_bytes", "resident_anonymous_bytes", "resident_file_bytes")
    report = canned.comparison()
    report = msgspec.structs.replace(
        report, original=msgspec.structs.replace(report.original, **dict.fromkeys(keys))
    )
    sides = side("original", first_run=first_run), side("compressed")
    told = reasons(report, *sides, measurements=measured)
    assert {told[f"original.{key}"] for key in keys} == {reason}


def test_operations_that_nobody_counted() -> None:
    report = canned.comparison()
    original = msgspec.structs.replace(report.original, macs=None)
    report = msgspec.structs.replace(
        report, original=original, alpha=msgspec.structs.replace(report.alpha, macs=None)
    )
    sides = side("original"), side("compressed")
    left_out = reasons(report, *sides, measurements=("size",))
    assert left_out["original.macs"] == "left out by --only or --skip" == left_out["alpha.macs"]
    assert reasons(report, *sides)["original.macs"] == "its operations are not known"


# ------------------------------------------------------------------------- outputs and accuracy


def told_of(report: Comparison, **options: object) -> dict[str, str]:
    return reasons(report, side("original"), side("compressed"), **options)


@pytest.mark.parametrize(
    ("make", "asked"),
    [
        (canned_quality.classification, {"mse", "mae", "r2", "perplexity", "language"}),
        (
            canned_quality.regression,
            {"top1", "top5", "cross_entropy", "calibration_error", "flips", "perplexity"}
            | {"language", "per_class"},
        ),
        (canned_quality.language, {"calibration_error", "mse", "mae", "r2", "per_class"}),
    ],
)
def test_what_another_task_measures_says_which(
    make: Callable[[], Comparison], asked: set[str]
) -> None:
    told = told_of(make())
    for key in asked:
        assert told[f"accuracy.{key}"].startswith("measured with --task ")


@pytest.mark.parametrize(
    "make",
    [
        canned_quality.classification,
        canned_quality.regression,
        canned_quality.language,
        canned_quality.embedding,
        canned_quality.traced,
    ],
)
def test_every_null_of_quality_has_a_reason(make: Callable[[], Comparison]) -> None:
    """Of these reports nothing is null for a reason that only a measurement knows."""
    report = make()
    told = told_of(report)
    for group in ("accuracy", "divergence"):
        part = getattr(report, group)
        if part is None:
            assert group in told
            continue
        for name in part.__struct_fields__:
            if getattr(part, name) is None and name not in MEASURED_REASONS:
                assert f"{group}.{name}" in told, name
    for key in ("worst", "trace"):
        assert (key in told) == (not getattr(report, key))


MEASURED_REASONS = {
    *("kl", "kl_reverse", "js", "cross_entropy", "entropy", "top1_agreement", "top5_agreement"),
    *("output", "floored"),
}
"""What `DivergenceMeter` gives a reason for, which knows the outputs."""


def test_lists_of_samples_and_of_outputs_inside() -> None:
    report = canned.comparison()
    told = told_of(report)
    assert told["trace"] == "measured with --trace only"
    assert told["divergence.embeddings"] == "measured with --task embedding only"
    assert told["accuracy.custom"] == "measured with --metric only"
    assert "compared" in told_of(report, trace=True)["trace"]
    assert told_of(report, worst=0)["worst"] == "left out by --worst 0"


def test_labels_that_are_not_there() -> None:
    report = canned.comparison()
    unlabelled = msgspec.structs.replace(report, data=canned_quality.data(labels=None))
    assert "no right answers" in told_of(unlabelled)["data.labels"]
    assert "data.labels" not in told_of(report)
