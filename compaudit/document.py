"""From measurements to the documents of the report: every key filled, or null with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from compaudit.config import Config
from compaudit.data.base import Feed
from compaudit.envelope import envelope
from compaudit.errors import CompauditError, ExitCode, most_serious
from compaudit.measure.latency.estimate import summarise
from compaudit.measure.latency.experiment import ModelName, Trace
from compaudit.measure.ledger import Ledger
from compaudit.measure.macs.count import MacCount
from compaudit.measure.memory import FirstRun
from compaudit.measure.signature import Samples
from compaudit.models.base import Model, Source
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
    Macs,
    ModelResult,
    Rates,
    RatesWithLimit,
    RawSamples,
    Skipped,
)
from compaudit.workers.workspace import Loaded

__all__ = [
    "Side",
    "comparison",
    "inspection",
    "model_result",
    "with_gate",
]

_NOT_YET = "this version of compaudit does not measure it"
_NO_FLOOR = "the original could not be compared with itself at another optimisation level"
_NEVER_RUN = "inspect never executes a model"


@dataclass(slots=True)
class Side:
    """One of the two models, and what is known of it so far."""

    name: ModelName
    source: Source
    model: Model | None = None
    ledger: Ledger | None = None
    loaded: Loaded | None = None
    baseline_bytes: int = 0
    feeds: tuple[Feed, ...] | None = None
    batch_size: int = 1
    first_run: FirstRun | None = None
    macs: MacCount | None = None
    alive: bool = True


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
        inspected.append(InspectedModel(**fields, tensors=side.ledger.tensors))
        skipped += _unmeasured(f"models[{place}]", result, side, _NEVER_RUN)
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
    sides: Sequence[Side],
    models: tuple[ModelResult, ModelResult],
    rates: tuple[RatesWithLimit, Rates, Rates],
    delta: Delta | None,
    divergence: Divergence | None,
    accuracy: Accuracy | None,
    trace: Trace | None,
    samples: Samples | None,
    findings: list[Finding],
    skipped: list[Skipped],
    errors: list[CompauditError],
    config: Config,
    environment: Environment,
    command: str,
) -> Comparison:
    """The document of `compare`, its gate still empty."""
    original, compressed = models
    alpha, beta, space_saving = rates
    used = [name for side in sides if side.loaded for name in side.loaded.providers]
    report = Comparison(
        **envelope(command, _gravest(errors)),
        original=original,
        compressed=compressed,
        alpha=alpha,
        beta=beta,
        space_saving=space_saving,
        delta=delta,
        accuracy=accuracy,
        divergence=divergence,
        layers=[],
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
    reasons = [*skipped, *_unmeasured_parts(report, sides, samples, config, errors)]
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


# ------------------------------------------------------------------------- what is null, and why


def _unmeasured_parts(
    report: Comparison,
    sides: Sequence[Side],
    samples: Samples | None,
    config: Config,
    errors: Sequence[CompauditError],
) -> list[Skipped]:
    """A reason for every part of the report that is null or empty."""
    died = errors[0].message if errors else None

    def reason(measurement: str, otherwise: str) -> str:
        if measurement not in config.measurements:
            return "left out by --only or --skip"
        return died or otherwise

    skipped = []
    for side, result in zip(sides, (report.original, report.compressed), strict=True):
        skipped += _unmeasured(side.name, result, side, reason("memory", "it was not run"))
        if result.latency is None:
            why = reason("latency", "it was not timed")
            skipped.append(Skipped(metric=f"{side.name}.latency", reason=why))
        else:
            skipped += _short_tails(side.name, result.latency)
    for rate in ("alpha", "beta", "space_saving"):
        if getattr(report, rate).macs is None:
            why = reason("macs", _why_no_alpha_macs(sides))
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
        skipped += _missing_from_delta(report.delta)
    if report.divergence is None:
        why = reason("divergence", "the models were not run together")
        skipped.append(Skipped(metric="divergence", reason=why))
    else:
        skipped += [
            Skipped(metric=f"divergence.{name}.noise_floor", reason=_NO_FLOOR)
            for name in ("kl", "kl_reverse", "js")
            if (found := getattr(report.divergence, name)) and found.noise_floor is None
        ]
    if report.accuracy is None:
        skipped.append(
            Skipped(metric="accuracy", reason=reason("accuracy", _why_no_accuracy(samples, config)))
        )
    for part in ("layers", "trace", "profile"):
        skipped.append(Skipped(metric=part, reason=_NOT_YET))
    if report.data is None:
        skipped.append(Skipped(metric="data", reason=died or "the models were not run"))
    if report.samples is None:
        skipped.append(Skipped(metric="samples", reason="kept with --raw only"))
    return skipped


def _why_no_alpha_macs(sides: Sequence[Side]) -> str:
    for side in sides:
        if side.macs is None:
            return f"the MACs of {side.source.label} could not be counted"
        if side.macs.uncounted_contractions:
            ops = ", ".join(side.macs.uncounted_contractions)
            return f"{side.source.label} has operators that no rule covers: {ops}"
    return "there are none"


def _unmeasured(prefix: str, result: ModelResult, side: Side, not_run: str) -> list[Skipped]:
    """A reason for every figure of one model that is null."""
    skipped = [
        Skipped(metric=f"{prefix}.{key}", reason=_NOT_YET) for key in ("peak_device_memory_bytes",)
    ]
    uncounted = side.ledger.uncounted if side.ledger else "the model could not be read"
    counted = {
        "parameters": uncounted or "it has none",
        "nonzero_parameters": uncounted or "some values cannot be read",
        "sparsity": uncounted or "it has no parameters",
        "bits_per_weight": uncounted or "it has no parameters",
        "entropy_bytes": "some values cannot be read",
        "entropy_bits_per_weight": uncounted or "some values cannot be read",
        "macs": "its operations are not known, or were not asked for",
        "file_bytes": "a bare factory ships no file",
        "graph_bytes": "a bare factory ships no file",
        "sha256": "a bare factory ships no file",
        "load_s": not_run,
        "first_inference_s": not_run,
        "peak_memory_bytes": not_run,
    }
    skipped += [
        Skipped(metric=f"{prefix}.{key}", reason=reason)
        for key, reason in counted.items()
        if getattr(result, key) is None
    ]
    return skipped


def _short_tails(prefix: str, latency: Latency) -> list[Skipped]:
    needed = {"p90_s": 64, "p99_s": 662}
    skipped = [
        Skipped(
            metric=f"{prefix}.latency.{key}",
            reason=f"{latency.calls} calls were timed, and it takes {calls}",
        )
        for key, calls in needed.items()
        if getattr(latency, key) is None
    ]
    skipped.append(Skipped(metric=f"{prefix}.latency.device_s", reason="measured on a GPU only"))
    return skipped


def _missing_from_delta(delta: Delta) -> list[Skipped]:
    reasons = {
        "low": f"an interval takes 3 epochs, and there was time for {delta.epochs}",
        "high": f"an interval takes 3 epochs, and there was time for {delta.epochs}",
        "minimal_detectable_effect": "there is no interval",
        "noise_floor": "the time budget had no room for the original against itself",
        "cpu_time_ratio": "compared with one thread only",
    }
    return [
        Skipped(metric=f"delta.{key}", reason=reason)
        for key, reason in reasons.items()
        if getattr(delta, key) is None
    ]


def _why_no_accuracy(samples: Samples | None, config: Config) -> str:
    if config.data is None:
        return "no data was given; synthetic inputs have no right answers"
    if samples is not None and samples.labels is None:
        return f"{config.data} holds no array named 'labels'"
    return f"the task {config.task!r} is not measured by this version of compaudit"
