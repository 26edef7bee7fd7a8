"""Recorded times, computed again: δ and the latencies of a saved report from its raw blocks.

Nothing runs, no clock is read. The blocks also tell whether the figures beside them were altered.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec

from compaudit.errors import RequestError
from compaudit.measure.latency.estimate import (
    LatencyFigures,
    delta_from_raw,
    trace_from_raw,
)
from compaudit.measure.latency.experiment import ModelName
from compaudit.results import Comparison, Delta, Latency, RawSamples

__all__ = ["require_unaltered", "timed_again"]

_AS_GOOD_AS_EQUAL = 1e-6
"""Relative; another version of a mathematical library may round otherwise."""


def timed_again(report: Comparison, confidence: float, resolution: float) -> Comparison:
    """The report with its δ and latencies at this confidence, from its raw blocks.

    Args:
        report: with `samples`. What it does not have, such as the δ of a model that died, it does
            not get.
        confidence: two-sided, of every interval of a time or of δ.
        resolution: the half-width of δ's interval that the verdict takes for aimed at.

    Raises:
        RequestError: no experiment gives such blocks.
    """
    samples = report.samples
    assert samples is not None, "there are no raw blocks"
    try:
        return msgspec.structs.replace(
            report,
            delta=_delta(report.delta, samples, confidence, resolution),
            original=msgspec.structs.replace(
                report.original,
                latency=_latency(report.original.latency, samples, "original", confidence),
            ),
            compressed=msgspec.structs.replace(
                report.compressed,
                latency=_latency(report.compressed.latency, samples, "compressed", confidence),
            ),
        )
    except (ValueError, ArithmeticError) as error:
        raise RequestError(
            f"the raw blocks of the report are not those of an experiment: {error}",
            hint="write it again: compaudit compare ORIGINAL COMPRESSED --raw -o REPORT.json",
            code="altered-report",
        ) from error


def require_unaltered(report: Comparison, confidence: float, resolution: float) -> None:
    """Refuse a report whose times do not follow from its own raw blocks.

    Args:
        report: with `samples`.
        confidence: that its times were computed at.
        resolution: likewise.

    Raises:
        RequestError: a figure was altered, or a block.
    """
    recorded = dict(_figures(report))
    computed = dict(_figures(timed_again(report, confidence, resolution)))
    for where in {**recorded, **computed}:
        found, expected = recorded.get(where), computed.get(where)
        if not _is_same(found, expected):
            raise RequestError(
                f"the report was altered: its {where} is {_shown(found)}, and its own raw blocks "
                f"give {_shown(expected)}",
                hint="judge the report as compaudit wrote it; another version than "
                f"{report.tool.version} may also compute otherwise",
                code="altered-report",
            )


def _delta(
    recorded: Delta | None, samples: RawSamples, confidence: float, resolution: float
) -> Delta | None:
    if recorded is None:
        return None
    # Whether processor time could be compared, the audit has decided: it knew the device.
    comparable = recorded.cpu_time_ratio is not None
    return delta_from_raw(samples, confidence, resolution, cpu_time=comparable)


def _latency(
    recorded: Latency | None, samples: RawSamples, model: ModelName, confidence: float
) -> Latency | None:
    if recorded is None:
        return None
    figures = LatencyFigures(trace_from_raw(samples), model, confidence)
    return msgspec.structs.replace(
        recorded,
        median_s=figures.median,
        mean_s=figures.mean,
        p90_s=figures.p90,
        p99_s=figures.p99,
        device_s=figures.device,
        throughput_per_s=recorded.batch_size / figures.mean.value,
        calls=figures.calls,
    )


def _figures(report: Comparison) -> Iterator[tuple[str, Any]]:
    """Everything about times, as paths and plain values."""
    yield from _leaves("delta", msgspec.to_builtins(report.delta))
    for side, model in (("original", report.original), ("compressed", report.compressed)):
        yield from _leaves(f"{side}.latency", msgspec.to_builtins(model.latency))


def _leaves(where: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{where}.{key}", inner)
    else:
        yield where, value


def _is_same(recorded: Any, computed: Any) -> bool:
    if isinstance(recorded, float) and isinstance(computed, float):
        return math.isclose(recorded, computed, rel_tol=_AS_GOOD_AS_EQUAL)
    return bool(recorded == computed)


def _shown(value: Any) -> str:
    return (
        f"{value:.6g}" if isinstance(value, float) else "missing" if value is None else str(value)
    )
