"""The story of ``compaudit bench``: open, load, feed, time at every setting, find the crossovers.

Every setting is one experiment in which all models take turns, by the same protocol as in an audit.
A model that cannot run at a setting has a reason there, and the others go on.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from compaudit import interruption, machine
from compaudit.config import Setting, Sweep
from compaudit.data.base import Feed
from compaudit.document import data_of
from compaudit.envelope import envelope, gravest
from compaudit.errors import CompauditError, InternalError
from compaudit.feeding import open_given
from compaudit.figures import latency_of, model_result
from compaudit.measure import memory
from compaudit.measure.batches import Fed
from compaudit.measure.latency.arms import Subject, open_arms_of
from compaudit.measure.latency.crossover import crossovers
from compaudit.measure.latency.estimate import estimate_delta
from compaudit.measure.latency.experiment import Experiment, ModelName, Trace, run_experiment
from compaudit.measure.macs.counting import count_from_graph
from compaudit.measure.signature import (
    Samples,
    Signature,
    choose_samples,
    feeds_of,
    require_inputs,
    sizes_of_one_sample,
)
from compaudit.models import open as models
from compaudit.models.base import RunSettings
from compaudit.pair import Side
from compaudit.progress import Progress, Silent
from compaudit.reading import read
from compaudit.results import Benchmark, Delta, SettingResult, Skipped, TimedModel
from compaudit.timing import turn
from compaudit.units import format_seconds
from compaudit.unmeasured import unmeasured
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker

__all__ = ["bench"]

_NEVER_RUN_ONCE = "bench times many inferences; compare and rank measure the first"
_TIMED_BY_SETTING = "what it takes at each setting is in settings"


def bench(sweep: Sweep, progress: Progress | None = None, command: str = "") -> Benchmark:
    """Time models at every setting, in turns.

    Args:
        sweep: the models, the settings, and what holds at all of them.
        progress: told what is going on; silent by default.
        command: the command line, for the report.

    Raises:
        RequestError: a model cannot be opened or read, data cannot, or none of the models can run.
        MeasurementError: reading a model killed its worker.
    """
    with interruption.temporary_folder("compaudit-") as folder:
        common = sweep.common
        limits = Limits(common.timeout_s, common.memory_limit_bytes, str(folder))
        return _Sweeping(sweep, limits, progress or Silent(), str(folder)).run(command)


@dataclass(slots=True)
class _Subject:
    """A model of the sweep.

    Attributes:
        name: its own in the report.
        side: what is known of it, whatever the setting.
        on: the side as a device runs it.
        broken: why a device does not.
        feeds: what feeds its inputs; None where that is not known.
    """

    name: str
    side: Side
    on: dict[str, Side] = field(default_factory=dict)
    broken: dict[str, CompauditError] = field(default_factory=dict)
    feeds: tuple[Feed, ...] | None = None


class _Sweeping:
    """The state of one sweep; each method is a chapter of it."""

    def __init__(self, sweep: Sweep, limits: Limits, progress: Progress, folder: str) -> None:
        self._sweep = sweep
        self._common = sweep.common
        self._limits = limits
        self._progress = progress
        self._given = open_given(self._common, limits, folder, progress)
        self._errors: list[CompauditError] = []
        sides = [Side("original", models.recognise(spec)) for spec in sweep.models]
        names = _names(side.source.label for side in sides)
        self._subjects = [_Subject(*one) for one in zip(names, sides, strict=True)]

    def run(self, command: str) -> Benchmark:
        """Everything, from reading to the document."""
        self._read()
        self._load()
        samples = self._feed()
        settings = [
            self._time(setting, place, samples) for place, setting in enumerate(self._sweep)
        ]
        return self._document(settings, samples, command)

    def _read(self) -> None:
        for subject in self._subjects:
            self._progress.stage(f"reading {subject.name}")
            side = subject.side
            read(side, self._common.trust_model_code, self._limits)
            if side.model is not None and side.ledger is not None:
                sizes = sizes_of_one_sample(self._common, side.name, self._given)
                side.macs = count_from_graph(side.model, side.ledger, sizes, self._limits)

    def _load(self) -> None:
        """Load each model on each device once: what it takes is known then, and what fails."""
        for device in self._sweep.devices:
            for subject in self._subjects:
                self._progress.stage(f"loading {subject.name} on {device}")
                settings = self._settings(subject, device, 1)
                try:
                    with Worker(subject.side.source.spec, self._limits) as worker:
                        loaded, _ = memory.load(worker, subject.side.source, settings)
                    subject.on[device] = dataclasses.replace(
                        subject.side, settings=settings, loaded=loaded
                    )
                except InternalError:
                    raise
                except CompauditError as error:
                    interruption.raise_pending()
                    self._note(error, subject)
                    subject.broken[device] = error
        if not any(subject.on for subject in self._subjects):
            raise self._errors[0]

    def _feed(self) -> Samples:
        """Choose the samples once, and match them to each model's inputs."""
        signatures = {
            subject.name: Signature(
                "original",
                subject.side.source.spec,
                self._common.of("original"),
                side.loaded,
                subject.side.model,
            )
            for subject in self._subjects
            for side in list(subject.on.values())[:1]
            if side.loaded is not None
        }
        require_inputs(self._common, list(signatures.values()), len(self._subjects))
        samples = choose_samples(self._common, list(signatures.values()), self._given)
        for subject in self._subjects:
            if subject.name not in signatures:
                continue
            try:
                subject.feeds = feeds_of(signatures[subject.name], samples)
            except CompauditError as error:
                self._note(error, subject)
                subject.broken.update(dict.fromkeys(self._sweep.devices, error))
        if not any(subject.feeds for subject in self._subjects):
            raise self._errors[0]
        return samples

    def _time(self, setting: Setting, place: int, samples: Samples) -> SettingResult:
        """All models that can run at this setting, in turns."""
        threads = setting.threads or machine.default_threads()
        reasons = {
            subject.name: reason
            for subject in self._subjects
            if (reason := self._why_not(subject, setting))
        }
        sides = {
            subject.name: dataclasses.replace(
                subject.on[setting.device],
                settings=self._settings(subject, setting.device, threads),
                feeds=subject.feeds,
                batch_size=setting.batch_size,
            )
            for subject in self._subjects
            if subject.name not in reasons
        }
        began = time.monotonic()
        trace = self._experiment(sides, samples, reasons, place) if sides else None
        used_s = time.monotonic() - began if sides else 0.0
        return SettingResult(
            device=setting.device,
            threads=threads,
            batch_size=setting.batch_size,
            models=[self._timed(subject.name, sides, trace, reasons) for subject in self._subjects],
            used_s=used_s,
        )

    def _why_not(self, subject: _Subject, setting: Setting) -> str:
        """Why a model cannot be timed at a setting; empty where it can."""
        broken = subject.broken.get(setting.device)
        if broken is not None:
            return broken.message
        fixed = Fed("original", subject.side.source.spec, subject.feeds or ()).fixed
        if fixed not in (None, setting.batch_size):
            return f"it takes {fixed} {'sample' if fixed == 1 else 'samples'} at once and no more"
        return ""

    def _experiment(
        self, sides: dict[ModelName, Side], samples: Samples, reasons: dict[str, str], place: int
    ) -> Trace | None:
        """Time them; those that die get a reason. None where not a single epoch was finished."""
        kept: list[Trace] = []
        common = self._common
        experiment = Experiment(
            models=tuple(sides),
            time_budget_s=common.time_budget_s,
            resolution=common.resolution,
            confidence=common.confidence,
            seed=common.seed,
        )
        by_name = {subject.name: subject for subject in self._subjects}

        def died(name: ModelName, error: CompauditError) -> None:
            self._note(error, by_name[name])
            reasons[name] = error.message

        def show(what: str, share: float) -> None:
            of = f"setting {place + 1} of {len(self._sweep)}, {what}"
            self._progress.stage(f"timing, {of}", (place + share) / len(self._sweep))

        try:
            with turn(common, self._progress):
                return run_experiment(
                    experiment,
                    open_arms_of({name: self._arm(side, samples) for name, side in sides.items()}),
                    time.monotonic,
                    show,
                    lambda seconds: self._progress.note(
                        f"these models are slow: a setting takes {format_seconds(seconds)}"
                    ),
                    kept.append,
                    died,
                )
        except InternalError:
            raise
        except CompauditError:
            interruption.raise_pending()
            return kept[-1] if kept else None

    def _arm(self, side: Side, samples: Samples) -> Subject:
        assert side.feeds is not None, "only what is fed is timed"
        return Subject(
            side.source, side.settings, samples.request, side.feeds, side.batch_size, self._limits
        )

    def _timed(
        self,
        name: ModelName,
        sides: dict[ModelName, Side],
        trace: Trace | None,
        reasons: dict[str, str],
    ) -> TimedModel:
        common = self._common
        latency = None
        if trace is not None and name in sides:
            latency = latency_of(sides[name], trace, name, common.confidence)
        reason = "" if latency else reasons.get(name, "it was not timed")
        return TimedModel(
            model=name, latency=latency, delta=self._delta(name, sides, trace), reason=reason
        )

    def _delta(
        self, name: ModelName, sides: dict[ModelName, Side], trace: Trace | None
    ) -> Delta | None:
        """How much faster than the first model, where both have epochs in common."""
        first = self._subjects[0].name
        if trace is None or name == first or not {name, first} <= {*sides}:
            return None
        both = trace.between(first, name)
        if not both.blocks:
            return None
        comparable = all(
            sides[one].settings.threads == 1 and not _on_gpu(sides[one]) for one in (first, name)
        )
        return estimate_delta(
            both, self._common.confidence, self._common.resolution, cpu_time=comparable
        )

    def _settings(self, subject: _Subject, device: str, threads: int) -> RunSettings:
        options = self._common.of("original")
        return RunSettings(
            device=device,
            threads=threads,
            compiled=self._common.compile and models.runtime_of(subject.side.source) == "torch",
            trust_model_code=self._common.trust_model_code,
            provider_options=options.provider_options,
            session_options=options.session_options,
            custom_op_libraries=options.custom_op_libraries,
        )

    def _note(self, error: CompauditError, subject: _Subject) -> None:
        error.model = subject.side.source.spec
        self._errors.append(error)

    def _document(
        self, settings: Sequence[SettingResult], samples: Samples, command: str
    ) -> Benchmark:
        counted = [model_result(subject.side, None, None) for subject in self._subjects]
        skipped: list[Skipped] = []
        for place, (subject, result) in enumerate(zip(self._subjects, counted, strict=True)):
            where = f"models[{place}]"
            skipped += unmeasured(where, result, subject.side, _NEVER_RUN_ONCE)
            skipped.append(Skipped(metric=f"{where}.latency", reason=_TIMED_BY_SETTING))
        for place, one in enumerate(settings):
            skipped += [
                Skipped(metric=f"settings[{place}].models[{number}].latency", reason=timed.reason)
                for number, timed in enumerate(one.models)
                if timed.latency is None
            ]
        return Benchmark(
            **envelope(command, gravest(self._errors)),
            models=counted,
            settings=list(settings),
            crossovers=crossovers(settings),
            skipped=skipped,
            data=data_of(samples, (), {}, self._common),
            environment=machine.describe(),
            config=self._sweep.as_json(),
        )


def _on_gpu(side: Side) -> bool:
    return side.loaded is not None and side.loaded.on_gpu


def _names(labels: Iterable[str]) -> list[str]:
    """A name of its own for each: a label that comes again is counted."""
    names: list[str] = []
    for label in labels:
        name, number = label, 1
        while name in names:
            number += 1
            name = f"{label} ({number})"
        names.append(name)
    return names
