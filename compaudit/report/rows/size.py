"""The wording of sizes: what both models hold, and the rates."""

from __future__ import annotations

from compaudit.report.rows.base import (
    Form,
    Section,
    columns,
    format_beta,
    macs_sure,
)
from compaudit.results import Comparison
from compaudit.units import (
    format_bytes,
    format_count,
    format_number,
    format_rate,
    format_share,
    format_si,
)

__all__ = ["size_section"]


def size_section(report: Comparison) -> Section:
    """What is counted of both, by every basis that α has."""

    def row(label: str, key: str, form: Form, sure: str = "exact") -> tuple[str, ...]:
        return (
            label,
            form(getattr(report.original, key)),
            form(getattr(report.compressed, key)),
            format_rate(getattr(report.alpha, key, None)),
            format_beta(getattr(report.beta, key, None)),
            format_share(getattr(report.space_saving, key, None), 1).replace("-", "−"),
            sure if getattr(report.compressed, key) is not None else "not counted",
        )

    return Section(
        "Size",
        columns("", "original", "compressed", "α", "β", "saved", "how sure", words="last"),
        (
            row("parameters", "parameters", format_count),
            row("nonzero parameters", "nonzero_parameters", format_count),
            row("weight bytes", "weight_bytes", format_bytes),
            row("file bytes", "file_bytes", format_bytes),
            row("entropy bytes", "entropy_bytes", format_bytes, "estimate"),
            (
                "bits per weight",
                format_number(report.original.bits_per_weight),
                format_number(report.compressed.bits_per_weight),
                "",
                "",
                "",
                "exact",
            ),
            (
                "MACs at batch 1",
                format_si(report.original.macs.total if report.original.macs else None),
                format_si(report.compressed.macs.total if report.compressed.macs else None),
                format_rate(report.alpha.macs),
                format_beta(report.beta.macs),
                format_share(report.space_saving.macs, 1).replace("-", "−"),
                macs_sure(report.original, report.compressed),
            ),
        ),
    )
