"""From timed blocks to δ, its verdict, and each model's latency. Pure: no clock, no process."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np

from compaudit.measure.latency.epochs import cpu_epoch_values, epoch_values
from compaudit.measure.latency.experiment import ModelName, Trace
from compaudit.results import Delta, Estimate, RawSamples, TimedBlock
from compaudit.theory.statistics import (
    Interval,
    minimal_detectable_effect,
    noise_floor,
    ratio_interval,
    standard_error,
    two_look_quantile,
    verdict,
)

__all__ = ["LatencyFigures", "delta_from_raw", "estimate_delta", "summarise", "trace_from_raw"]

# From so many calls on, at least two lie beyond the percentile with 99 % probability (rule 10).
LEAST_CALLS_P90 = 64
LEAST_CALLS_P99 = 662


class LatencyFigures:
    """What the calls of one model say; seconds.

    On a GPU the percentiles are those of the end-to-end blocks too: each of their calls ends when
    its result is in main memory, and so is synchronised. `device` is None elsewhere.
    """

    def __init__(self, trace: Trace, model: ModelName, confidence: float) -> None:
        mine = [block for block in trace.blocks if block.model == model]
        times = np.array([time for block in mine for time in block.times_s])
        by_epoch: dict[int, list[float]] = {}
        for block in mine:
            by_epoch.setdefault(block.epoch, []).extend(block.times_s)
        self.calls = len(times)
        self.median = _between_epochs([statistics.median(t) for t in by_epoch.values()], confidence)
        self.mean = _between_epochs([statistics.fmean(t) for t in by_epoch.values()], confidence)
        self.p90 = _percentile(times, 90, LEAST_CALLS_P90)
        self.p99 = _percentile(times, 99, LEAST_CALLS_P99)
        self.device = _device_time(trace.device, model, confidence)


def summarise(trace: Trace, model: ModelName, confidence: float) -> LatencyFigures | None:
    """The latency of one model over all its blocks; None where it has none."""
    if not any(block.model == model for block in trace.blocks):
        return None
    return LatencyFigures(trace, model, confidence)


def estimate_delta(trace: Trace, confidence: float, resolution: float, *, cpu_time: bool) -> Delta:
    """δ = exp(mean of epoch values) with its t interval, and what may be concluded.

    Args:
        trace: blocks of both models.
        confidence: two-sided coverage.
        resolution: the half-width that was aimed at.
        cpu_time: whether processor time is comparable (one thread each, and no GPU).
    """
    probability = two_look_quantile(confidence) if trace.two_looks else None
    values = epoch_values(trace.blocks)
    interval = ratio_interval(values, confidence, probability)
    sentinel = ratio_interval(epoch_values(trace.sentinel), confidence) if trace.sentinel else None
    error = standard_error(values)
    cpu = cpu_epoch_values(trace.blocks) if cpu_time else []
    device = epoch_values(trace.device)
    return Delta(
        value=interval.value,
        low=interval.low,
        high=interval.high,
        confidence=confidence,
        verdict=verdict(interval, sentinel, target_half_width=resolution),
        epochs=len(values),
        minimal_detectable_effect=(
            minimal_detectable_effect(error, len(values) - 1, confidence)
            if error is not None and interval.low is not None
            else None
        ),
        noise_floor=None if sentinel is None else noise_floor(sentinel),
        cpu_time_ratio=_estimate(ratio_interval(cpu, confidence, probability)) if cpu else None,
        device_ratio=_estimate(ratio_interval(device, confidence, probability)) if device else None,
    )


def delta_from_raw(
    samples: RawSamples, confidence: float, resolution: float, *, cpu_time: bool
) -> Delta:
    """δ again from the raw blocks that a report keeps: nothing is run, and it is the very same.

    Args:
        samples: as the report holds them; blocks of both models.
        confidence: two-sided, as in the report's `config`, or another.
        resolution: likewise.
        cpu_time: whether processor time is comparable; the report's `cpu_time_ratio` tells.
    """
    return estimate_delta(trace_from_raw(samples), confidence, resolution, cpu_time=cpu_time)


def trace_from_raw(samples: RawSamples) -> Trace:
    """The trace that a report keeps; its budget is not known any more, and 0."""
    return Trace(
        samples.blocks, samples.sentinel, 0.0, samples.two_looks, (), device=samples.device
    )


def _device_time(
    blocks: Sequence[TimedBlock], model: ModelName, confidence: float
) -> Estimate | None:
    """Time of a call on the device; of an epoch it is the mean over its blocks."""
    by_epoch: dict[int, list[float]] = {}
    for block in blocks:
        if block.model == model:
            by_epoch.setdefault(block.epoch, []).append(block.elapsed_s / block.calls)
    if not by_epoch:
        return None
    return _between_epochs([statistics.fmean(t) for t in by_epoch.values()], confidence)


def _between_epochs(values: Sequence[float], confidence: float) -> Estimate:
    """A typical time with the interval between epochs: the geometric mean, as for δ."""
    return _estimate(ratio_interval([math.log(value) for value in values], confidence))


def _estimate(interval: Interval) -> Estimate:
    return Estimate(value=interval.value, low=interval.low, high=interval.high)


def _percentile(
    times: np.ndarray[tuple[int], np.dtype[np.float64]], q: int, least: int
) -> float | None:
    return float(np.percentile(times, q)) if len(times) >= least else None
