"""The invented audit with raw blocks: three epochs of one quad, all figures by SciPy."""

import math
import statistics
from collections.abc import Sequence

import canned
import msgspec
from scipy import stats

from compaudit.results import Comparison, Delta, Estimate, Latency, RawBlock, RawSamples

COMPRESSED_S = 0.01
RATIOS = (1.9, 2.0, 2.2)


def comparison(ratios: Sequence[float] = RATIOS, confidence: float = 0.95) -> Comparison:
    """An audit whose epochs have these ratios, of one thread, without a sentinel."""
    report = canned.comparison()
    rate = interval([math.log(ratio) for ratio in ratios], confidence)
    original, compressed = (
        msgspec.structs.replace(model, latency=_latency(model.latency, times, confidence))
        for model, times in (
            (report.original, [ratio * COMPRESSED_S for ratio in ratios]),
            (report.compressed, [COMPRESSED_S] * len(ratios)),
        )
    )
    return msgspec.structs.replace(
        report,
        original=original,
        compressed=compressed,
        delta=Delta(
            value=rate.value,
            low=rate.low,
            high=rate.high,
            confidence=confidence,
            verdict="faster",
            epochs=len(ratios),
            minimal_detectable_effect=detectable([math.log(r) for r in ratios], confidence),
            noise_floor=None,
            cpu_time_ratio=rate,
            device_ratio=None,
        ),
        samples=RawSamples(blocks=blocks(ratios), sentinel=[], device=[], two_looks=False),
        config={
            **report.config,
            "confidence": confidence,
            "resolution": 0.03,
            "requirements": ["alpha.file_bytes >= 2.5", "delta >= 1.5"],
            "inconclusive": "fail",
        },
    )


def blocks(ratios: Sequence[float]) -> list[RawBlock]:
    """One quad an epoch in the order ABBA, three equal calls a block."""
    return [
        RawBlock(
            epoch=epoch,
            quad=0,
            position=position,
            model=model,
            calls=3,
            elapsed_s=3 * call_s,
            cpu_s=3 * call_s,
            times_s=[call_s] * 3,
            compilations=0,
            resident_bytes=None,
        )
        for epoch, ratio in enumerate(ratios)
        for position, (model, call_s) in enumerate(
            (
                ("original", ratio * COMPRESSED_S),
                ("compressed", COMPRESSED_S),
                ("compressed", COMPRESSED_S),
                ("original", ratio * COMPRESSED_S),
            )
        )
    ]


def interval(logs: Sequence[float], confidence: float) -> Estimate:
    """exp(mean ± t·s/√n), by SciPy."""
    mean, error = statistics.fmean(logs), statistics.stdev(logs) / math.sqrt(len(logs))
    margin = float(stats.t.ppf((1 + confidence) / 2, len(logs) - 1)) * error
    return Estimate(value=math.exp(mean), low=math.exp(mean - margin), high=math.exp(mean + margin))


def detectable(logs: Sequence[float], confidence: float) -> float:
    """exp((t₀.₉₇₅ + t₀.₈)·se) − 1."""
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    quantiles = [stats.t.ppf(p, len(logs) - 1) for p in ((1 + confidence) / 2, 0.8)]
    return math.expm1(float(sum(quantiles)) * error)


def _latency(latency: Latency | None, times_s: Sequence[float], confidence: float) -> Latency:
    assert latency is not None
    typical = interval([math.log(time) for time in times_s], confidence)
    return msgspec.structs.replace(
        latency,
        median_s=typical,
        mean_s=typical,
        p90_s=None,
        p99_s=None,
        device_s=None,
        throughput_per_s=1 / typical.value,
        calls=6 * len(times_s),
    )
