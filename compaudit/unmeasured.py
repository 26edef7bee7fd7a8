"""Why a figure is null: a reason for every part of a report that was not measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compaudit.results import Comparison, Delta, Latency, ModelResult, Skipped

if TYPE_CHECKING:
    from compaudit.config import Config
    from compaudit.measure.signature import Samples
    from compaudit.pair import Pair, Side

__all__ = ["unmeasured", "unmeasured_parts"]

_NOT_YET = "this version of compaudit does not measure it"
_NO_GPU = "measured on a GPU only"
_NO_ROOM_ON_DEVICE = "the time budget had no room for calls on the device alone"
_NO_FLOOR = "the original could not be compared with itself at another optimisation level"


def unmeasured_parts(
    report: Comparison,
    pair: Pair,
    samples: Samples | None,
    config: Config,
) -> list[Skipped]:
    """A reason for every part of the report that is null or empty."""
    died = pair.errors[0].message if pair.errors else None

    def reason(measurement: str, otherwise: str) -> str:
        if measurement not in config.measurements:
            return "left out by --only or --skip"
        return died or otherwise

    skipped = []
    for side, result in zip(pair, (report.original, report.compressed), strict=True):
        skipped += unmeasured(side.name, result, side, reason("memory", "it was not run"))
        if result.latency is None:
            why = reason("latency", "it was not timed")
            skipped.append(Skipped(metric=f"{side.name}.latency", reason=why))
        else:
            skipped += _missing_from_latency(side, result.latency)
    for rate in ("alpha", "beta", "space_saving"):
        if getattr(report, rate).macs is None:
            why = reason("macs", _why_no_alpha_macs(pair))
            skipped.append(Skipped(metric=f"{rate}.macs", reason=why))
        if report.original.file_bytes is None or report.compressed.file_bytes is None:
            why = "a bare factory ships no file"
            skipped.append(Skipped(metric=f"{rate}.file_bytes", reason=why))
    if report.alpha.coding_limit is None:
        why = "some values of the compressed model cannot be read"
        skipped.append(Skipped(metric="alpha.coding_limit", reason=why))
    if report.delta is None:
        skipped.append(Skipped(metric="delta", reason=reason("latency", "it was not timed")))
    else:
        skipped += _missing_from_delta(report.delta, pair)
    if report.divergence is None:
        why = reason("divergence", "the models were not run together")
        skipped.append(Skipped(metric="divergence", reason=why))
    else:
        skipped += [
            Skipped(metric=f"divergence.{name}.noise_floor", reason=_NO_FLOOR)
            for name in ("kl", "kl_reverse", "js")
            if (found := getattr(report.divergence, name)) and found.noise_floor is None
        ]
    if report.accuracy is None:
        skipped.append(
            Skipped(metric="accuracy", reason=reason("accuracy", _why_no_accuracy(samples, config)))
        )
    if not report.layers:
        one = "one of the models could not be read, or holds no layers"
        skipped.append(Skipped(metric="layers", reason=reason("layers", one)))
    skipped.append(Skipped(metric="trace", reason=_NOT_YET))
    if report.profile is None and not config.profile:
        skipped.append(Skipped(metric="profile", reason="measured with --profile only"))
    if report.data is None:
        skipped.append(Skipped(metric="data", reason=died or "the models were not run"))
    if report.samples is None:
        skipped.append(Skipped(metric="samples", reason="kept with --raw only"))
    return skipped


def _why_no_alpha_macs(pair: Pair) -> str:
    for side in pair:
        if side.macs is None:
            return f"the MACs of {side.source.label} could not be counted"
        if side.macs.uncounted_contractions:
            ops = ", ".join(side.macs.uncounted_contractions)
            return f"{side.source.label} has operators that no rule covers: {ops}"
    return "there are none"


def unmeasured(prefix: str, result: ModelResult, side: Side, not_run: str) -> list[Skipped]:
    """A reason for every figure of one model that is null."""
    uncounted = side.ledger.uncounted if side.ledger else "the model could not be read"
    counted = {
        "parameters": uncounted or "it has none",
        "nonzero_parameters": uncounted or "some values cannot be read",
        "sparsity": uncounted or "it has no parameters",
        "bits_per_weight": uncounted or "it has no parameters",
        "entropy_bytes": "some values cannot be read",
        "entropy_bits_per_weight": uncounted
        or ("some values cannot be read" if result.parameters else "it has no parameters"),
        "macs": _why_no_macs(side),
        "file_bytes": "a bare factory ships no file",
        "graph_bytes": "a bare factory ships no file",
        "sha256": "a bare factory ships no file",
        "load_s": not_run,
        "first_inference_s": not_run,
        **_why_no_memory(side, not_run),
    }
    return [
        Skipped(metric=f"{prefix}.{key}", reason=reason)
        for key, reason in counted.items()
        if getattr(result, key) is None
    ]


def _why_no_memory(side: Side, not_run: str) -> dict[str, str]:
    untold = "this system does not tell it"
    on_gpu = side.loaded is not None and side.loaded.on_gpu
    reasons = {
        "peak_memory_bytes": untold,
        "resident_anonymous_bytes": untold,
        "resident_file_bytes": untold,
        "peak_device_memory_bytes": "its framework does not tell it" if on_gpu else _NO_GPU,
    }
    return {
        key: reason if side.first_run and getattr(side.first_run, key) is None else not_run
        for key, reason in reasons.items()
    }


def _why_no_macs(side: Side) -> str:
    if side.model is not None and side.model.graph is None:
        return "it holds tensors and no operators"
    return "its operations are not known, or were not asked for"


def _missing_from_latency(side: Side, latency: Latency) -> list[Skipped]:
    on_gpu = side.loaded is not None and side.loaded.on_gpu
    reasons = {
        "p90_s": f"{latency.calls} calls were timed, and it takes 64",
        "p99_s": f"{latency.calls} calls were timed, and it takes 662",
        "device_s": _NO_ROOM_ON_DEVICE if on_gpu else _NO_GPU,
    }
    return [
        Skipped(metric=f"{side.name}.latency.{key}", reason=reason)
        for key, reason in reasons.items()
        if getattr(latency, key) is None
    ]


def _missing_from_delta(delta: Delta, pair: Pair) -> list[Skipped]:
    reasons = {
        "low": f"an interval takes 3 epochs, and there was time for {delta.epochs}",
        "high": f"an interval takes 3 epochs, and there was time for {delta.epochs}",
        "minimal_detectable_effect": "there is no interval",
        "noise_floor": "the time budget had no room for the original against itself",
        "cpu_time_ratio": _why_no_cpu_time(pair),
        "device_ratio": _NO_ROOM_ON_DEVICE if pair.on_gpu else _NO_GPU,
    }
    return [
        Skipped(metric=f"delta.{key}", reason=reason)
        for key, reason in reasons.items()
        if getattr(delta, key) is None
    ]


def _why_no_cpu_time(pair: Pair) -> str:
    if pair.on_gpu:
        return "a GPU does the work, and processor time says nothing of it"
    if not pair.compares_cpu_time:
        return "compared with one thread only"
    return "the processor clock of this system is too coarse for such short blocks"


def _why_no_accuracy(samples: Samples | None, config: Config) -> str:
    if config.data is None:
        return "no data was given; synthetic inputs have no right answers"
    if samples is not None and samples.labels is None:
        return f"{config.data} holds no array named 'labels'"
    return f"the task {config.task!r} is not measured by this version of compaudit"
