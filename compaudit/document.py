"""From measurements to the documents of the report: every key filled, or null with its reason."""

from __future__ import annotations

import msgspec

from compaudit.config import Config
from compaudit.envelope import envelope, gravest
from compaudit.measure.latency.experiment import Trace
from compaudit.measure.signature import Samples
from compaudit.pair import Pair
from compaudit.results import (
    Accuracy,
    Comparison,
    Data,
    Delta,
    Divergence,
    Environment,
    Finding,
    Gate,
    Layer,
    ModelResult,
    Profile,
    Rates,
    RatesWithLimit,
    RawSamples,
    Skipped,
)
from compaudit.unmeasured import unmeasured_parts

__all__ = [
    "comparison",
    "with_gate",
]


def with_gate(report: Comparison, gate: Gate) -> Comparison:
    """The report with the gate's outcome in it."""
    return msgspec.structs.replace(report, gate=gate)


def comparison(
    *,
    pair: Pair,
    models: tuple[ModelResult, ModelResult],
    rates: tuple[RatesWithLimit, Rates, Rates],
    delta: Delta | None,
    divergence: Divergence | None,
    accuracy: Accuracy | None,
    layers: list[Layer],
    profile: Profile | None,
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
        **envelope(command, gravest(pair.errors)),
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
        profile=profile,
        samples=(
            RawSamples(
                blocks=trace.blocks,
                sentinel=trace.sentinel,
                device=trace.device,
                two_looks=trace.two_looks,
            )
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
