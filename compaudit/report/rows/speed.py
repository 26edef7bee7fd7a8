"""The wording of times and memory, and of what ran the models."""

from __future__ import annotations

from collections.abc import Iterator

from compaudit.report.rows.base import Form, Section, columns, interval, quotient
from compaudit.results import Comparison, Delta, Estimate, Latency
from compaudit.units import NOT_MEASURED, format_bytes, format_count, format_rate, format_seconds

__all__ = ["epochs", "speed_section"]

_Row = tuple[str, ...]
_PLAIN = (["CPUExecutionProvider"], ["torch-cpu"])
"""What runs a model where nothing else was asked for."""


def speed_section(report: Comparison) -> Section | None:
    """Times and memory of both; None where nothing was run."""
    rows = (*_latency_rows(report), *_single_run_rows(report))
    if not rows:
        return None
    return Section(
        "Speed and memory",
        columns("", "original", "compressed", "rate", "how sure", words="last"),
        rows,
        note=_what_ran_them(report),
    )


def epochs(delta: Delta) -> str:
    """``1 epoch``, ``6 epochs``."""
    return "1 epoch" if delta.epochs == 1 else f"{delta.epochs} epochs"


def _latency_rows(report: Comparison) -> Iterator[_Row]:
    """From end to end; and on a GPU the device's part apart."""
    before, after = report.original.latency, report.compressed.latency
    timed = [side for side in (before, after) if side is not None]
    if not timed:
        return
    on_device = [side.device_s if side else None for side in (before, after)]
    what = "end to end" if any(on_device) else "latency"
    medians = [side.median_s if side else None for side in (before, after)]
    yield (
        f"{what}, median",
        *map(_seconds, medians),
        f"δ {format_rate(report.delta.value)}" if report.delta else NOT_MEASURED,
        _how_sure(report.delta),
    )
    for label, key in (("p90", "p90_s"), ("p99", "p99_s")):
        values = [getattr(side, key) if side else None for side in (before, after)]
        if any(value is not None for value in values):
            calls = min(side.calls for side in timed)
            how_sure = f"{format_count(calls)} calls"
            yield (f"{what}, {label}", *map(format_seconds, values), quotient(*values), how_sure)
    if any(on_device):
        ratio = report.delta.device_ratio if report.delta else None
        yield (
            "on the device, mean",
            *map(_seconds, on_device),
            format_rate(ratio.value if ratio else None),
            interval(ratio, format_rate),
        )


def _single_run_rows(report: Comparison) -> Iterator[_Row]:
    figures: tuple[tuple[str, str, Form], ...] = (
        ("load", "load_s", format_seconds),
        ("first inference", "first_inference_s", format_seconds),
        ("peak memory", "peak_memory_bytes", format_bytes),
        ("peak device memory", "peak_device_memory_bytes", format_bytes),
    )
    for label, key, form in figures:
        values = [getattr(side, key) for side in (report.original, report.compressed)]
        if any(value is not None for value in values):
            yield (label, *map(form, values), quotient(*values), "one run")


def _what_ran_them(report: Comparison) -> str:
    """Providers and settings of each model, where they are not a CPU's usual ones."""
    sides = {"original": report.original.latency, "compressed": report.compressed.latency}
    told = {name: _ran_by(side) for name, side in sides.items() if side is not None}
    if all(side is None or side.providers in _PLAIN for side in sides.values()):
        return ""
    if len(set(told.values())) == 1 < len(told):
        return f"Both are run by {next(iter(told.values()))}."
    return " ".join(f"The {name} model is run by {what}." for name, what in told.items())


def _ran_by(latency: Latency) -> str:
    nodes = latency.nodes_by_provider
    providers = [
        f"{name} ({format_count(nodes[name])} nodes)" if name in nodes else name
        for name in latency.providers
    ]
    settings = [f"{name}={value}" for name, value in latency.settings.items()]
    return "; ".join([", ".join(providers), *([", ".join(settings)] if settings else [])])


def _seconds(estimate: Estimate | None) -> str:
    return format_seconds(estimate.value if estimate else None)


def _how_sure(delta: Delta | None) -> str:
    if delta is None:
        return ""
    return interval(delta, format_rate) or f"no interval from {epochs(delta)}"
