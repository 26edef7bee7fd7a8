"""Every part of a comparison that is null or empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compaudit.results import Comparison, Skipped
from compaudit.unmeasured.models import unmeasured
from compaudit.unmeasured.quality import (
    missing_from_accuracy,
    missing_from_divergence,
    why_no_accuracy,
    why_no_worst,
)
from compaudit.unmeasured.times import missing_from_delta, missing_from_latency

if TYPE_CHECKING:
    from compaudit.config import Config
    from compaudit.measure.signature import Samples
    from compaudit.pair import Pair

__all__ = ["unmeasured_parts"]

_LEFT_OUT = "left out by --only or --skip"
_NOT_TRACED = "the outputs inside of the models could not be compared"


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
            return _LEFT_OUT
        return died or otherwise

    skipped = []
    for side, result in zip(pair, (report.original, report.compressed), strict=True):
        no_macs = "" if config.wants("macs") else _LEFT_OUT
        not_run = reason("memory", "it was not run")
        skipped += unmeasured(side.name, result, side, not_run, no_macs)
        if result.latency is None:
            why = reason("latency", "it was not timed")
            skipped.append(Skipped(metric=f"{side.name}.latency", reason=why))
        else:
            skipped += missing_from_latency(side, result.latency)
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
        skipped += missing_from_delta(report.delta, pair)
    if report.divergence is None:
        why = reason("divergence", "the models were not run together")
        skipped.append(Skipped(metric="divergence", reason=why))
    else:
        skipped += missing_from_divergence(report.divergence)
    if report.accuracy is None:
        skipped.append(
            Skipped(metric="accuracy", reason=reason("accuracy", why_no_accuracy(samples, config)))
        )
    else:
        skipped += missing_from_accuracy(report.accuracy, config)
    if not report.layers:
        one = "one of the models could not be read, or holds no layers"
        skipped.append(Skipped(metric="layers", reason=reason("layers", one)))
    if not report.worst:
        skipped.append(Skipped(metric="worst", reason=died or why_no_worst(report, config)))
    if not report.trace:
        why = (died or _NOT_TRACED) if config.trace else "measured with --trace only"
        skipped.append(Skipped(metric="trace", reason=why))
    if report.profile is None and not config.profile:
        skipped.append(Skipped(metric="profile", reason="measured with --profile only"))
    if report.data is None:
        skipped.append(Skipped(metric="data", reason=died or "the models were not run"))
    elif report.data.labels is None:
        skipped.append(Skipped(metric="data.labels", reason="the data holds no right answers"))
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
