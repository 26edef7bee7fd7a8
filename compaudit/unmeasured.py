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
            skipped += _short_tails(side.name, result.latency)
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
        skipped += _missing_from_delta(report.delta)
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
    skipped = [
        Skipped(metric=f"{prefix}.{key}", reason=_NOT_YET) for key in ("peak_device_memory_bytes",)
    ]
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
        "peak_memory_bytes": not_run,
    }
    skipped += [
        Skipped(metric=f"{prefix}.{key}", reason=reason)
        for key, reason in counted.items()
        if getattr(result, key) is None
    ]
    return skipped


def _why_no_macs(side: Side) -> str:
    if side.model is not None and side.model.graph is None:
        return "it holds tensors and no operators"
    return "its operations are not known, or were not asked for"


def _short_tails(prefix: str, latency: Latency) -> list[Skipped]:
    needed = {"p90_s": 64, "p99_s": 662}
    skipped = [
        Skipped(
            metric=f"{prefix}.latency.{key}",
            reason=f"{latency.calls} calls were timed, and it takes {calls}",
        )
        for key, calls in needed.items()
        if getattr(latency, key) is None
    ]
    skipped.append(Skipped(metric=f"{prefix}.latency.device_s", reason="measured on a GPU only"))
    return skipped


def _missing_from_delta(delta: Delta) -> list[Skipped]:
    reasons = {
        "low": f"an interval takes 3 epochs, and there was time for {delta.epochs}",
        "high": f"an interval takes 3 epochs, and there was time for {delta.epochs}",
        "minimal_detectable_effect": "there is no interval",
        "noise_floor": "the time budget had no room for the original against itself",
        "cpu_time_ratio": "compared with one thread only",
        "device_ratio": "measured on a GPU only",
    }
    return [
        Skipped(metric=f"delta.{key}", reason=reason)
        for key, reason in reasons.items()
        if getattr(delta, key) is None
    ]


def _why_no_accuracy(samples: Samples | None, config: Config) -> str:
    if config.data is None:
        return "no data was given; synthetic inputs have no right answers"
    if samples is not None and samples.labels is None:
        return f"{config.data} holds no array named 'labels'"
    return f"the task {config.task!r} is not measured by this version of compaudit"
