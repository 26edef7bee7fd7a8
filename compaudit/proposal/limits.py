"""Limits from an audit: close enough to notice a change, and with room for what is noise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from compaudit.results import Accuracy, Comparison, Delta, Estimate, PairedMetric
from compaudit.units import (
    format_bytes,
    format_interval,
    format_number,
    format_points,
    format_rate,
    format_share,
)

__all__ = ["Limit", "limits_of"]

_ROOM = 0.02
"""Of exact figures: another export of the same model differs by less."""
_WIDER = 1.5
"""Half-widths below the interval of δ. A second run's interval lies above the limit when its value
is at most 1.5 half-widths lower; of two estimates of one figure, each with a half-width of 1.96
standard errors, that is so in 98 of 100 pairs: Φ(1.5 · 1.96 / √2) = 0.981."""
_OTHER_PROCESSORS = 1.25
"""Of KL: what another kernel for the same operator may round otherwise."""
_MEMORY = 1.25


@dataclass(frozen=True, slots=True)
class Limit:
    """A requirement, and why it is what it is.

    Attributes:
        that: the requirement without severity and message.
        why: what was measured.
        severity: ``fail`` or ``warn``.
        message: for whoever breaks it.
    """

    that: str
    why: str
    severity: str = "fail"
    message: str = ""


def limits_of(report: Comparison) -> Iterator[Limit]:
    """What may be required of a model that is as good as the one audited."""
    yield from _size_limits(report)
    if report.delta is not None:
        yield _delta_limit(report.delta)
    if report.accuracy is not None:
        yield from _accuracy_limits(report.accuracy)
    yield from _divergence_limits(report)
    memory = report.compressed.peak_memory_bytes
    if memory is not None and memory > 0:
        yield Limit(
            f"compressed.peak_memory_bytes <= {_bytes_above(_tidy(memory * _MEMORY))}",
            f"{format_bytes(memory)} in one run",
            "warn",
            "memory is measured once, so this only warns",
        )


def _size_limits(report: Comparison) -> Iterator[Limit]:
    basis = "file_bytes" if report.alpha.file_bytes is not None else "weight_bytes"
    alpha, size = getattr(report.alpha, basis), getattr(report.compressed, basis)
    if alpha is not None:
        limit = _below(_tidy(alpha * (1 - _ROOM)))
        yield Limit(f"alpha.{basis} >= {limit}", f"was {format_rate(alpha)}")
    if size is not None:
        limit = _bytes_above(_tidy(size * (1 + _ROOM)))
        yield Limit(f"compressed.{basis} <= {limit}", f"was {format_bytes(size)}")


def _delta_limit(delta: Delta) -> Limit:
    was = f"was {format_rate(delta.value)}"
    if delta.low is None or delta.high is None:
        return Limit(f"delta >= {_below(delta.value * 0.9)}", was)
    bounds = format_interval(format_rate(delta.low), format_rate(delta.high))
    room = _WIDER * max(delta.value - delta.low, (delta.noise_floor or 0.0) * delta.value)
    limit = _below(_tidy(max(delta.low - room, delta.low * 0.5)))
    return Limit(f"delta >= {limit}", f"{was} {bounds}; an equal model passes again")


def _accuracy_limits(accuracy: Accuracy) -> Iterator[Limit]:
    """The metric that says most of the task."""
    counted = f"on {accuracy.samples:,} samples"
    language = accuracy.language
    if language is not None:
        ratio = language.perplexity_ratio
        limit = _above(ratio.high if ratio.high is not None else ratio.value)
        yield Limit(f"accuracy.language.perplexity_ratio <= {limit}", _was(ratio, counted))
    elif accuracy.top1 is not None:
        change = accuracy.top1.delta
        low = change.low if change.low is not None else change.value
        points = math.floor(low * 1000 + 1e-9) / 10  # of 0.1 pp
        ends = (None if end is None else format_points(end) for end in (change.low, change.high))
        bounds = format_interval(*ends)
        yield Limit(
            f"accuracy.top1.delta >= {points:.1f} pp",
            f"was {format_points(change.value)} {bounds} {counted}; more would allow a closer one",
        )
    for name in ("mse", "mae"):
        pair: PairedMetric | None = getattr(accuracy, name)
        if pair is not None and language is None:
            high = pair.delta.high if pair.delta.high is not None else pair.delta.value
            limit = _above(high, least=1e-9)
            yield Limit(f"accuracy.{name}.delta <= {limit}", _was(pair.delta, counted))


def _divergence_limits(report: Comparison) -> Iterator[Limit]:
    found = report.divergence
    if found is None:
        return
    what = "SYNTHETIC inputs" if found.source == "synthetic" else "samples"
    where = f"on {found.samples:,} {what}"
    if found.embeddings is not None and found.embeddings.cosine is not None:
        cosine = found.embeddings.cosine
        low = cosine.low if cosine.low is not None else cosine.value
        limit = _below(low - 0.1 * (1 - low))
        yield Limit(f"divergence.embeddings.cosine >= {limit}", _was(cosine, where))
    if found.kl is not None:
        mean = found.kl.mean
        high = mean.high if mean.high is not None else mean.value
        limit = _above(_tidy(max(high * _OTHER_PROCESSORS, 1e-6)))
        yield Limit(f"divergence.kl.mean <= {limit}", _was(mean, where))
    if found.top1_agreement is not None and found.kl is not None:
        agreement = found.top1_agreement
        low = agreement.low if agreement.low is not None else agreement.value
        yield Limit(
            f"divergence.top1_agreement >= {math.floor(low * 1000 + 1e-9) / 10:.1f} %",
            f"was {format_share(agreement.value)} {where}",
        )


def _was(estimate: Estimate, counted: str) -> str:
    bounds = ""
    if estimate.low is not None and estimate.high is not None:
        bounds = f" [{format_number(estimate.low)}, {format_number(estimate.high)}]"
    return f"was {format_number(estimate.value)}{bounds} {counted}"


def _rounded(value: float, up: bool) -> str:
    """Three significant digits, never beyond the value on the other side; plain decimals."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value))) - 2
    step = 10.0**exponent
    count = math.ceil(value / step - 1e-9) if up else math.floor(value / step + 1e-9)
    text = f"{count * step:.{max(0, -exponent)}f}"
    outside = float(text) < value if up else float(text) > value
    return f"{(count + (1 if up else -1)) * step:.{max(0, -exponent)}f}" if outside else text


def _tidy(value: float) -> float:
    """Without what binary fractions add: 1.25 · 0.0044 is 0.0055."""
    return float(f"{value:.12g}")


def _below(value: float) -> str:
    return _rounded(value, up=False)


def _above(value: float, least: float = 0.0) -> str:
    return _rounded(max(value, least), up=True)


def _bytes_above(size: float) -> str:
    """With a unit, rounded up: ``218 kB``."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{_rounded(size / unit, up=True)} {name}"
    return f"{math.ceil(size)} B"
