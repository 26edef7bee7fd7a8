"""What was counted and measured of one model, as the reports show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compaudit.results import Latency, Macs, ModelResult

if TYPE_CHECKING:
    from compaudit.config import Config
    from compaudit.measure.latency.trace import ModelName, Trace
    from compaudit.measure.macs.count import MacCount
    from compaudit.pair import Side

__all__ = ["latency_of", "model_result"]


def model_result(side: Side, trace: Trace | None, config: Config | None) -> ModelResult:
    """What was counted and measured of one model."""
    counted = side.ledger
    first_run = side.first_run if config is None or config.wants("memory") else None
    return ModelResult(
        path=side.source.spec,
        format=side.source.format,
        sha256=counted.sha256 if counted else None,
        parameters=counted.parameters if counted else None,
        nonzero_parameters=counted.nonzero_parameters if counted else None,
        sparsity=counted.sparsity if counted else None,
        weight_bytes=counted.weight_bytes if counted else None,
        file_bytes=counted.file_bytes if counted else None,
        graph_bytes=counted.graph_bytes if counted else None,
        entropy_bytes=counted.entropy_bytes if counted else None,
        entropy_bits_per_weight=counted.entropy_bits_per_weight if counted else None,
        bits_per_weight=counted.bits_per_weight if counted else None,
        elements_by_role=counted.elements_by_role if counted else {},
        bytes_by_role=counted.bytes_by_role if counted else {},
        precision=counted.precision if counted else {},
        computed_precision=counted.computed_precision if counted else {},
        schemes=counted.schemes if counted else {},
        macs=_macs(side.macs),
        load_s=side.loaded.load_s if side.loaded and first_run else None,
        first_inference_s=first_run.first_inference_s if first_run else None,
        peak_memory_bytes=first_run.peak_memory_bytes if first_run else None,
        resident_anonymous_bytes=first_run.resident_anonymous_bytes if first_run else None,
        resident_file_bytes=first_run.resident_file_bytes if first_run else None,
        peak_device_memory_bytes=first_run.peak_device_memory_bytes if first_run else None,
        latency=latency_of(side, trace, side.name, config.confidence) if trace and config else None,
    )


def _macs(counted: MacCount | None) -> Macs | None:
    if counted is None:
        return None
    return Macs(
        total=counted.total,
        nonzero=counted.nonzero,
        coverage=counted.coverage,
        uncounted_ops=counted.uncounted_ops,
    )


def latency_of(side: Side, trace: Trace, name: ModelName, confidence: float) -> Latency | None:
    """The times of one model; None where it was not timed.

    Args:
        side: the model, loaded and fed as it was timed.
        trace: the experiment.
        name: what that calls the model.
        confidence: of the intervals.
    """
    from compaudit.measure.latency.estimate import summarise

    figures = summarise(trace, name, confidence)
    if figures is None or side.loaded is None:
        return None
    batch = side.batch_size
    return Latency(
        median_s=figures.median,
        mean_s=figures.mean,
        p90_s=figures.p90,
        p99_s=figures.p99,
        device_s=figures.device,
        throughput_per_s=batch / figures.mean.value,
        calls=figures.calls,
        batch_size=batch,
        threads=side.settings.threads,
        device=side.settings.device,
        providers=list(side.loaded.providers),
        nodes_by_provider=dict(side.loaded.nodes_by_provider),
        settings=dict((side.first_run or side.loaded).settings),
    )
