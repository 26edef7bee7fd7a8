"""From timed blocks to the document of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compaudit import machine
from compaudit.config import Config, Sweep
from compaudit.document import data_of
from compaudit.envelope import envelope, gravest
from compaudit.errors import CompauditError
from compaudit.figures import latency_of, model_result
from compaudit.measure.latency.crossover import crossovers
from compaudit.measure.latency.estimate import estimate_delta
from compaudit.measure.latency.experiment import ModelName, Trace
from compaudit.measure.signature import Samples
from compaudit.pair import Side
from compaudit.results import Benchmark, Delta, SettingResult, Skipped, TimedModel
from compaudit.sweep.subjects import Subject
from compaudit.unmeasured import unmeasured

__all__ = ["document_of", "timed_models"]

_NEVER_RUN_ONCE = "bench times many inferences; compare and rank measure the first"
_NEVER_COUNTED = "bench counts no operations; compare, rank and inspect do"
_TIMED_BY_SETTING = "what it takes at each setting is in settings"


def timed_models(
    names: Sequence[ModelName],
    sides: Mapping[ModelName, Side],
    trace: Trace | None,
    reasons: Mapping[str, str],
    common: Config,
) -> list[TimedModel]:
    """Every model at one setting.

    Args:
        names: of all models; the first is what the others are compared with.
        sides: those that could be timed, as they were run.
        trace: their blocks; None where not a single epoch was finished.
        reasons: why a model was not timed, or not to the end.
        common: confidence and resolution.
    """
    found = []
    for name in names:
        latency = None
        if trace is not None and name in sides:
            latency = latency_of(sides[name], trace, name, common.confidence)
        found.append(
            TimedModel(
                model=name,
                latency=latency,
                delta=_delta(names[0], name, sides, trace, common),
                reason="" if latency else reasons.get(name, "it was not timed"),
            )
        )
    return found


def _delta(
    first: ModelName,
    name: ModelName,
    sides: Mapping[ModelName, Side],
    trace: Trace | None,
    common: Config,
) -> Delta | None:
    """How much faster than the first model, where both have epochs in common."""
    if trace is None or name == first or not {name, first} <= {*sides}:
        return None
    both = trace.between(first, name)
    if not both.blocks:
        return None
    one_thread = all(
        sides[one].settings.threads == 1 and not _on_gpu(sides[one]) for one in (first, name)
    )
    return estimate_delta(both, common.confidence, common.resolution, cpu_time=one_thread)


def _on_gpu(side: Side) -> bool:
    return side.loaded is not None and side.loaded.on_gpu


def document_of(
    sweep: Sweep,
    subjects: Sequence[Subject],
    settings: Sequence[SettingResult],
    samples: Samples,
    errors: Sequence[CompauditError],
    command: str,
) -> Benchmark:
    """The document of `bench`: every figure, and why one is null."""
    counted = [model_result(subject.side, None, None) for subject in subjects]
    skipped: list[Skipped] = []
    for place, (subject, result) in enumerate(zip(subjects, counted, strict=True)):
        where = f"models[{place}]"
        skipped += unmeasured(where, result, subject.side, _NEVER_RUN_ONCE, _NEVER_COUNTED)
        skipped.append(Skipped(metric=f"{where}.latency", reason=_TIMED_BY_SETTING))
    for place, one in enumerate(settings):
        skipped += [
            Skipped(metric=f"settings[{place}].models[{number}].latency", reason=timed.reason)
            for number, timed in enumerate(one.models)
            if timed.latency is None
        ]
    return Benchmark(
        **envelope(command, gravest(errors)),
        models=counted,
        settings=list(settings),
        crossovers=crossovers(settings),
        skipped=skipped,
        data=data_of(samples, (), {}, sweep.common),
        environment=machine.describe(),
        config=sweep.as_json(),
    )
