"""The story of ``compaudit bench``: open, load, feed, time at every setting, find the crossovers.

Every setting is one experiment in which all models take turns, by the same protocol as in an audit.
A model that cannot run at a setting has a reason there, and the others go on.
"""

from __future__ import annotations

import dataclasses
import time

from compaudit import interruption, machine
from compaudit.audit import count, count_operations
from compaudit.config import Setting, Sweep
from compaudit.errors import CompauditError, InternalError
from compaudit.feeding import open_given
from compaudit.measure import memory
from compaudit.measure.latency import arms
from compaudit.measure.latency.trace import ModelName, Trace
from compaudit.measure.signature import (
    Samples,
    Signature,
    choose_samples,
    feeds_of,
    require_inputs,
)
from compaudit.pair import Side
from compaudit.progress import Progress, Silent
from compaudit.results import Benchmark, SettingResult
from compaudit.sweep.document import document_of, timed_models
from compaudit.sweep.subjects import Subject, recognised
from compaudit.timing.several import time_together
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker

__all__ = ["bench"]


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


class _Sweeping:
    """The state of one sweep; each method is a chapter of it."""

    def __init__(self, sweep: Sweep, limits: Limits, progress: Progress, folder: str) -> None:
        self._sweep = sweep
        self._common = sweep.common
        self._limits = limits
        self._progress = progress
        self._folder = folder
        self._given = open_given(self._common, limits, folder, progress)
        self._errors: list[CompauditError] = []
        self._subjects = recognised(sweep.models)

    def run(self, command: str) -> Benchmark:
        """Everything, from reading to the document."""
        self._read()
        self._load()
        samples = self._feed()
        settings = [
            self._time(setting, place, samples) for place, setting in enumerate(self._sweep)
        ]
        return document_of(self._sweep, self._subjects, settings, samples, self._errors, command)

    def _read(self) -> None:
        """What each is made of; none of it depends on a setting."""
        common, limits, progress = self._common, self._limits, self._progress
        for subject in self._subjects:
            count(subject.side, common, limits, self._folder, progress)
            count_operations(subject.side, common, self._given, limits, progress)

    def _load(self) -> None:
        """Load each model on each device once: what it takes is known then, and what fails."""
        for device in self._sweep.devices:
            for subject in self._subjects:
                self._progress.stage(f"loading {subject.name} on {device}")
                settings = subject.settings(self._common, device, 1)
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
            if (reason := subject.why_not(setting.device, setting.batch_size))
        }
        sides = {
            subject.name: dataclasses.replace(
                subject.on[setting.device],
                settings=subject.settings(self._common, setting.device, threads),
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
            models=timed_models(
                [subject.name for subject in self._subjects], sides, trace, reasons, self._common
            ),
            used_s=used_s,
        )

    def _experiment(
        self, sides: dict[ModelName, Side], samples: Samples, reasons: dict[str, str], place: int
    ) -> Trace | None:
        """Time them; those that die get a reason. None where not a single epoch was finished."""
        by_name = {subject.name: subject for subject in self._subjects}

        def died(name: ModelName, error: CompauditError) -> None:
            self._note(error, by_name[name])
            reasons[name] = error.message

        def show(what: str, share: float) -> None:
            of = f"setting {place + 1} of {len(self._sweep)}, {what}"
            self._progress.stage(f"timing, {of}", (place + share) / len(self._sweep))

        return time_together(
            self._common,
            {name: self._arm(side, samples) for name, side in sides.items()},
            self._common.time_budget_s,
            self._progress,
            show,
            died,
        )

    def _arm(self, side: Side, samples: Samples) -> arms.Subject:
        assert side.feeds is not None, "only what is fed is timed"
        return arms.Subject(
            side.source, side.settings, samples.request, side.feeds, side.batch_size, self._limits
        )

    def _note(self, error: CompauditError, subject: Subject) -> None:
        error.model = subject.side.source.spec
        self._errors.append(error)
