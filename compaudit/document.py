"""From measurements to the documents of the report: every key filled, or null with its reason."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from compaudit.config import Config
from compaudit.envelope import envelope
from compaudit.errors import CompauditError, ExitCode, most_serious
from compaudit.measure.latency.estimate import summarise
from compaudit.measure.latency.experiment import Trace
from compaudit.measure.layers.grouping import layers_of, places_of
from compaudit.measure.macs.count import MacCount
from compaudit.measure.signature import Samples
from compaudit.pair import Pair, Side
from compaudit.results import (
    Accuracy,
    Comparison,
    Data,
    Delta,
    Divergence,
    Environment,
    Finding,
    Gate,
    InspectedModel,
    Inspection,
    Latency,
    Layer,
    Macs,
    ModelResult,
    Rates,
    RatesWithLimit,
    RawSamples,
    Skipped,
)
from compaudit.unmeasured import unmeasured, unmeasured_parts

__all__ = [
    "comparison",
    "inspection",
    "model_result",
    "with_gate",
]

_NEVER_RUN = "inspect never executes a model"


def with_gate(report: Comparison, gate: Gate) -> Comparison:
    """The report with the gate's outcome in it."""
    return msgspec.structs.replace(report, gate=gate)


def inspection(sides: Sequence[Side], environment: Environment, command: str) -> Inspection:
    """The document of `inspect`."""
    inspected = []
    skipped = []
    for place, side in enumerate(sides):
        assert side.ledger is not None, "inspect raises where it cannot read"
        result = model_result(side, None, None, 0)
        fields = {name: getattr(result, name) for name in result.__struct_fields__}
        tensors = side.ledger.tensors
        inspected.append(
            InspectedModel(
                **fields,
                tensors=tensors,
                layers=layers_of(tensors, side.macs, places_of(side.model)),
            )
        )
        skipped += unmeasured(f"models[{place}]", result, side, _NEVER_RUN)
    return Inspection(
        **envelope(command, None), models=inspected, skipped=skipped, environment=environment
    )


def model_result(
    side: Side, trace: Trace | None, config: Config | None, threads: int
) -> ModelResult:
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
        precision=counted.precision if counted else {},
        computed_precision=counted.computed_precision if counted else {},
        schemes=counted.schemes if counted else {},
        macs=_macs(side.macs),
        load_s=side.loaded.load_s if side.loaded and first_run else None,
        first_inference_s=first_run.first_inference_s if first_run else None,
        peak_memory_bytes=first_run.peak_memory_bytes if first_run else None,
        peak_device_memory_bytes=None,
        latency=_latency(side, trace, config, threads) if trace and config else None,
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


def comparison(
    *,
    pair: Pair,
    models: tuple[ModelResult, ModelResult],
    rates: tuple[RatesWithLimit, Rates, Rates],
    delta: Delta | None,
    divergence: Divergence | None,
    accuracy: Accuracy | None,
    layers: list[Layer],
    trace: Trace | None,
    samples: Samples | None,
    findings: list[Finding],
    skipped: list[Skipped],
    config: Config,
    environment: Environment,
    command: str,
) -> Comparison:
    """The document of `compare`, its gate still empty."""
    original, compressed = models
    alpha, beta, space_saving = rates
    used = [name for side in pair if side.loaded for name in side.loaded.providers]
    report = Comparison(
        **envelope(command, _gravest(pair.errors)),
        original=original,
        compressed=compressed,
        alpha=alpha,
        beta=beta,
        space_saving=space_saving,
        delta=delta,
        accuracy=accuracy,
        divergence=divergence,
        layers=layers,
        trace=[],
        profile=None,
        samples=(
            RawSamples(blocks=trace.blocks, sentinel=trace.sentinel)
            if trace is not None and config.raw
            else None
        ),
        findings=findings,
        gate=Gate(status="none", checks=[]),
        skipped=[],
        data=None
        if samples is None
        else Data(
            uri=samples.request.uri,
            digest=samples.dataset.digest(),
            samples=samples.dataset.samples,
            seed=config.seed,
        ),
        environment=msgspec.structs.replace(
            environment, devices=[config.device], providers=list(dict.fromkeys(used))
        ),
        config=config.as_json(),
    )
    reasons = [*skipped, *unmeasured_parts(report, pair, samples, config)]
    return msgspec.structs.replace(report, skipped=reasons)


def _latency(side: Side, trace: Trace, config: Config, threads: int) -> Latency | None:
    figures = summarise(trace, side.name, config.confidence)
    if figures is None or side.loaded is None:
        return None
    batch = side.batch_size
    return Latency(
        median_s=figures.median,
        mean_s=figures.mean,
        p90_s=figures.p90,
        p99_s=figures.p99,
        device_s=None,
        throughput_per_s=batch / figures.mean.value,
        calls=figures.calls,
        batch_size=batch,
        threads=threads,
        device=config.device,
        providers=list(side.loaded.providers),
    )


def _gravest(errors: Sequence[CompauditError]) -> CompauditError | None:
    """The error whose exit code wins; the earliest of several."""
    worst: ExitCode = most_serious(error.exit_code for error in errors)
    return next((error for error in errors if error.exit_code == worst), None)
