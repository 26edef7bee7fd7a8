"""From measurements to the documents of the report: every key filled, or null with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import msgspec

from compaudit.config import Config
from compaudit.envelope import envelope, gravest
from compaudit.errors import CompauditError
from compaudit.measure.latency.experiment import Trace
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
    Layer,
    ModelResult,
    Profile,
    Rates,
    RatesWithLimit,
    Skipped,
    SkippedSample,
    TracedOutput,
    WorstSample,
)
from compaudit.unmeasured import unmeasured_parts

__all__ = [
    "accuracy_of",
    "comparison",
    "data_of",
    "judged",
]

_MOST_LISTED = 100
"""So many samples that could not be read are told by name."""


def judged(report: Comparison, gate: Gate, misfit: CompauditError | None = None) -> Comparison:
    """The report with the gate's outcome in it, and with what made a part of the request wrong."""
    error = report.error
    if error is None and misfit is not None:
        error = envelope(report.command, misfit)["error"]
    return msgspec.structs.replace(report, gate=gate, error=error)


def comparison(
    *,
    pair: Pair,
    models: tuple[ModelResult, ModelResult],
    rates: tuple[RatesWithLimit, Rates, Rates],
    delta: Delta | None,
    divergence: Divergence | None,
    accuracy: Accuracy | None,
    layers: list[Layer],
    worst: list[WorstSample],
    inside: list[TracedOutput],
    profile: Profile | None,
    trace: Trace | None,
    data: Data | None,
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
        worst=worst,
        trace=inside,
        profile=profile,
        samples=trace.as_raw() if trace is not None and config.raw else None,
        findings=findings,
        gate=Gate(status="none", checks=[]),
        skipped=[],
        data=data,
        environment=msgspec.structs.replace(
            environment, devices=[config.device], providers=list(dict.fromkeys(used))
        ),
        config=config.as_json(),
    )
    known = {one.metric for one in skipped}
    others = [
        one
        for one in unmeasured_parts(report, pair, samples, config)
        # The measurement knows better why.
        if one.metric not in known
    ]
    return msgspec.structs.replace(report, skipped=[*skipped, *others])


def accuracy_of(accuracy: Accuracy | None, data: Data | None) -> Accuracy | None:
    """The figures, with how many samples they do not speak of."""
    if accuracy is None or data is None:
        return accuracy
    return msgspec.structs.replace(accuracy, skipped_samples=data.skipped_samples)


def data_of(
    samples: Samples, sides: Iterable[Side], broken: Mapping[int, str], config: Config
) -> Data:
    """What the models were fed, what could not be, and what became of the values on the way.

    Args:
        samples: what both models were fed.
        sides: the models, with what feeds their inputs.
        broken: why samples could not be read, by index.
        config: what was asked for.
    """
    sides = list(sides)
    dataset = samples.dataset
    unread = dict(sorted({**dataset.broken, **broken}.items()))
    return Data(
        uri=samples.request.uri,
        kind=dataset.kind,
        digest=dataset.digest(),
        samples=dataset.samples,
        seed=config.seed,
        labels=samples.labels,
        skipped_samples=len(unread),
        skipped=[
            SkippedSample(index=index, name=dataset.name_of(index), reason=reason)
            for index, reason in islice(unread.items(), _MOST_LISTED)
        ],
        notes=[
            *_conversions(samples, sides),
            *_other_names(sides),
            *_left_out(samples),
            *_unused(samples, sides),
            *dataset.notes,
        ],
    )


def _conversions(samples: Samples, sides: Iterable[Side]) -> Iterator[str]:
    """Arrays that a model takes as another type than the data holds them in."""
    held = {array.name: array.dtype for array in samples.dataset.arrays}
    converted: dict[str, list[str]] = {}
    for side in sides:
        for feed in side.feeds or ():
            if held.get(feed.array, feed.dtype) != feed.dtype:
                change = f"{feed.array}: {held[feed.array]} → {feed.dtype}"
                converted.setdefault(change, []).append(side.name)
    for change, names in converted.items():
        yield f"{change} for {'both models' if len(names) == 2 else f'the {names[0]} model'}"


def _other_names(sides: Iterable[Side]) -> Iterator[str]:
    """Arrays that feed an input of another name."""
    renamed: dict[str, list[str]] = {}
    for side in sides:
        for feed in side.feeds or ():
            if feed.array != feed.input:
                fed = f"{feed.array}: feeds the input {feed.input!r}"
                renamed.setdefault(fed, []).append(side.name)
    for fed, names in renamed.items():
        yield f"{fed} of {'both models' if len(names) == 2 else f'the {names[0]} model'}"


def _unused(samples: Samples, sides: Iterable[Side]) -> Iterator[str]:
    """Arrays that no model takes; known where all of them were matched with the data."""
    feeds = [side.feeds for side in sides]
    if not feeds or None in feeds or samples.request.uri is None:
        return
    used = {feed.array for fed in feeds for feed in fed or ()}
    for array in samples.inputs:
        if array.name not in used and array.name != samples.mask:
            yield f"{array.name}: left out, no model takes an input of that name"


def _left_out(samples: Samples) -> Iterator[str]:
    """What the data holds beside numbers."""
    for name, kind in samples.dataset.left_out.items():
        yield f"{name}: left out, it holds {kind}"
