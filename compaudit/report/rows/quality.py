"""The wording of accuracy and divergence."""

from __future__ import annotations

from compaudit.report.rows.base import Form, Section, columns, interval, p_value, signed
from compaudit.results import Accuracy, Distribution, Divergence, PairedMetric
from compaudit.units import format_number, format_points, format_share

__all__ = ["accuracy_section", "divergence_section"]


def accuracy_section(accuracy: Accuracy, sure: str) -> Section:
    """Every metric of both, with the interval of its change; `sure` heads that column."""
    metrics: tuple[tuple[str, PairedMetric | None, Form, Form], ...] = (
        ("top-1", accuracy.top1, format_share, format_points),
        ("top-5", accuracy.top5, format_share, format_points),
        ("cross-entropy", accuracy.cross_entropy, format_number, signed),
        ("calibration error", accuracy.calibration_error, format_share, format_points),
        ("mean squared error", accuracy.mse, format_number, signed),
        ("mean absolute error", accuracy.mae, format_number, signed),
        ("r²", accuracy.r2, format_number, signed),
    )
    rows = [
        (
            label,
            form(metric.original.value),
            form(metric.compressed.value),
            change(metric.delta.value),
            interval(metric.delta, change),
            p_value(metric.delta.p_value),
        )
        for label, metric, form, change in metrics
        if metric is not None
    ]
    if accuracy.flips is not None:
        flips = accuracy.flips
        rows.append(
            (
                "flips",
                "",
                "",
                f"{flips.broken + flips.fixed}",
                f"{flips.broken} broken, {flips.fixed} fixed",
                "",
            )
        )
    return Section(
        f"Accuracy, {accuracy.samples:,} labelled samples",
        columns("", "original", "compressed", "change", sure, "p"),
        tuple(rows),
    )


def divergence_section(divergence: Divergence, sure: str) -> Section:
    """How far the outputs are apart; `sure` heads the column of intervals."""
    rows: list[tuple[str, ...]] = []
    distributions: tuple[tuple[str, Distribution | None], ...] = (
        ("KL(original‖compressed)", divergence.kl),
        ("KL(compressed‖original)", divergence.kl_reverse),
        ("Jensen–Shannon", divergence.js),
    )
    for label, distribution in distributions:
        if distribution is not None:
            rows.append(
                (
                    label,
                    format_number(distribution.mean.value),
                    format_number(distribution.p99),
                    format_number(distribution.max),
                    interval(distribution.mean, format_number),
                )
            )
    if divergence.top1_agreement is not None:
        agreement = divergence.top1_agreement
        rows.append(
            (
                "top-1 agreement",
                format_share(agreement.value),
                "",
                "",
                interval(agreement, format_share),
            )
        )
    for name, error in divergence.outputs.items():
        rows.append(
            (
                f"error of {name}",
                format_number(error.mean_abs_error),
                "",
                format_number(error.max_abs_error),
                f"SQNR {format_number(error.sqnr_db)} dB".replace("-", "−")
                if error.sqnr_db is not None
                else ("identical" if error.max_abs_error == 0 else ""),
            )
        )
    nats = ", in nats" if divergence.kl is not None else ""
    source = "synthetic inputs" if divergence.source == "synthetic" else "the data"
    return Section(
        f"Divergence on {source}, {divergence.samples:,} samples{nats}",
        columns("", "mean", "p99", "max", sure),
        tuple(rows),
    )
