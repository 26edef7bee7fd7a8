"""Both models run: loaded, fed, compared and timed, each in a process of its own."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, ExitStack, nullcontext

import msgspec

from compaudit import interruption
from compaudit.config import Config
from compaudit.data.base import Feed
from compaudit.engines.local import LocalEngine
from compaudit.errors import CompauditError, InternalError, MeasurementError, RequestError
from compaudit.machine.lock import timing_lock
from compaudit.measure import memory
from compaudit.measure.evaluation import Evaluated, Evaluation
from compaudit.measure.latency.arms import Subject, open_arms_of
from compaudit.measure.latency.experiment import Experiment, ModelName, Trace, run_experiment
from compaudit.measure.macs.counting import count_from_run
from compaudit.measure.profile.in_worker import profile_model
from compaudit.measure.signature import (
    Samples,
    choose_samples,
    common_batch,
    feeds_of,
    require_inputs,
    require_labels,
    sizes_of_one_sample,
)
from compaudit.models.base import RunSettings
from compaudit.models.profiled import ProfiledRun
from compaudit.pair import Pair, Side
from compaudit.progress import Progress
from compaudit.units import format_seconds
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker

__all__ = ["Execution"]


class Execution:
    """Everything that runs a model; each method is a chapter.

    Attributes:
        samples: what both models were fed; None before that is known.
        evaluated: divergence and accuracy.
        profiled: where each model spends an inference; empty unless both were profiled.
        unprofiled: why they were not; empty where nobody asked, or both were.
        trace: the timed blocks.
    """

    def __init__(
        self, config: Config, pair: Pair, settings: RunSettings, limits: Limits, progress: Progress
    ) -> None:
        self._config = config
        self._pair = pair
        self._settings = settings
        self._limits = limits
        self._progress = progress
        self._comparable = False
        self.samples: Samples | None = None
        self.evaluated = Evaluated(None, None, [])
        self.profiled: dict[ModelName, ProfiledRun] = {}
        self.unprofiled = ""
        self.trace: Trace | None = None

    def run(self) -> None:
        """Load, evaluate and time both models, each in a process of its own."""
        with ExitStack() as stack:
            workers = {
                side.name: stack.enter_context(Worker(side.source.spec, self._limits))
                for side in self._pair.alive
            }
            for side in self._pair.alive:
                with self._pair.surviving(side):
                    self._load(workers[side.name], side)
            with self._pair.surviving():
                self._choose_samples()
            self._match_inputs()
            for side in self._pair.alive:
                with self._pair.surviving(side):
                    self._run_first(workers[side.name], side)
                    self._count_in_run(workers[side.name], side)
            if self._config.wants("divergence", "accuracy"):
                with self._pair.surviving():
                    self._evaluate(workers)
        if self._config.profile:
            with self._turn():
                self._profile()
        if self._config.wants("latency"):
            self._time()

    def _load(self, worker: Worker, side: Side) -> None:
        self._progress.stage(f"loading {side.source.label}")
        side.loaded, side.baseline_bytes = memory.load(worker, side.source, self._settings)

    def _choose_samples(self) -> None:
        """Open the data, or make inputs up, once for every model that loaded."""
        signatures = [
            (side.source.spec, side.loaded, side.model)
            for side in self._pair.alive
            if side.loaded is not None
        ]
        if signatures:
            self.samples = choose_samples(self._config, signatures)
            require_labels(self._config, self.samples)
            if len(signatures) == 2:
                require_inputs(self._config, [loaded for _, loaded, _ in signatures])

    def _match_inputs(self) -> None:
        """Decide what feeds which input, and how many samples one timed inference takes."""
        for side in self._pair.alive:
            with self._pair.surviving(side):
                if self.samples is not None and side.loaded is not None:
                    side.feeds = feeds_of(self._config, side.source.spec, side.loaded, self.samples)
        with self._pair.surviving():
            batch = common_batch(
                self._config,
                [(side.source.spec, side.feeds) for side in self._pair.alive if side.feeds],
            )
            for side in self._pair:
                side.batch_size = batch
            self._comparable = True

    def _run_first(self, worker: Worker, side: Side) -> None:
        if self.samples is None or side.feeds is None or not self._comparable:
            return
        self._progress.stage(f"first inference of {side.source.label}")
        side.first_run = memory.run_first(
            worker,
            self.samples.request,
            side.feeds,
            side.batch_size,
            side.baseline_bytes,
        )

    def _count_in_run(self, worker: Worker, side: Side) -> None:
        """The MACs that no graph tells: of a module, or behind sizes that were not inferred."""
        if self.samples is None or side.feeds is None or side.ledger is None:
            return
        if self._config.wants("macs"):
            side.macs = count_from_run(
                worker,
                side.source,
                side.model,
                side.ledger,
                side.macs,
                self._settings,
                self.samples.request,
                side.feeds,
                sizes_of_one_sample(self._config),
                self._limits,
            )

    def _evaluate(self, workers: dict[ModelName, Worker]) -> None:
        """Both models over the same samples, once, for divergence and accuracy together."""
        original, compressed = self._pair
        samples = self.samples
        if samples is None or original.feeds is None or compressed.feeds is None:
            return
        if original.loaded is None or compressed.loaded is None or len(self._pair.alive) < 2:
            return
        total = samples.dataset.samples
        evaluation = Evaluation(
            self._config,
            samples,
            named=original.loaded.named_outputs and compressed.loaded.named_outputs,
            on_progress=lambda done: self._progress.stage(
                f"comparing outputs, {done} of {total} samples", done / total
            ),
        )
        engine = LocalEngine(workers["original"], workers["compressed"])
        evaluation.run(engine, original.feeds, compressed.feeds)
        if evaluation.wants_floor:
            self._find_floor(evaluation, workers["original"], original, original.feeds)
        self.evaluated = evaluation.result()

    def _find_floor(
        self, evaluation: Evaluation, worker: Worker, side: Side, feeds: tuple[Feed, ...]
    ) -> None:
        """The original without optimisations beside itself; without it the figures still stand."""
        self._progress.stage("comparing the original with itself")
        settings = msgspec.structs.replace(self._settings, optimized=False)
        try:
            with Worker(side.source.spec, self._limits) as twin:
                memory.load(twin, side.source, settings)
                evaluation.run_floor(LocalEngine(worker, twin), feeds)
        except (RequestError, MeasurementError) as error:
            self._progress.note(f"no noise floor of the outputs: {error.message}")

    def _profile(self) -> None:
        """Both models under their profilers, each in a worker of its own; may fail alone."""
        runs: dict[ModelName, ProfiledRun] = {}
        for side in self._pair.alive:
            if self.samples is None or side.feeds is None or not self._comparable:
                continue
            self._progress.stage(f"finding out where the time of {side.source.label} goes")
            try:
                runs[side.name] = profile_model(
                    side.source,
                    self._settings,
                    self.samples.request,
                    side.feeds,
                    side.batch_size,
                    self._limits,
                )
            except CompauditError as error:
                interruption.raise_pending()
                # Of a bug the message is a traceback, whose last line says what happened.
                reason = (error.message.strip().splitlines() or [error.code])[-1]
                self.unprofiled = f"{side.source.label} could not be profiled: {reason}"
                self._progress.note(self.unprofiled)
                return
        if len(runs) == 2:
            self.profiled = runs
        else:
            self.unprofiled = "a profile takes both models, ready to run"

    def _time(self) -> None:
        """Time every model that still lives: both for δ, one alone for its own latency."""
        config, samples = self._config, self.samples
        subjects: dict[ModelName, Subject] = {
            side.name: Subject(
                side.source,
                self._settings,
                samples.request,
                side.feeds,
                side.batch_size,
                self._limits,
            )
            for side in self._pair.alive
            if samples is not None and side.feeds is not None and self._comparable
        }
        if not subjects:
            return
        experiment = Experiment(
            models=tuple(subjects),
            time_budget_s=config.time_budget_s,
            resolution=config.resolution,
            confidence=config.confidence,
            seed=config.seed,
        )
        try:
            with self._turn():
                self.trace = run_experiment(
                    experiment,
                    open_arms_of(subjects),
                    time.monotonic,
                    lambda what, share: self._progress.stage(f"timing, {what}", share),
                    self._announce_budget,
                )
        except InternalError:
            raise
        except CompauditError as error:
            dead = self._pair.record(error)
            if dead is not None and len(subjects) == 2:
                self._time()

    def _turn(self) -> AbstractContextManager[None]:
        """Wait for other audits that are timing; no budget and no limit runs meanwhile."""
        if not self._config.lock:
            return nullcontext()
        return timing_lock(
            lambda: self._progress.stage("waiting for another audit that is timing"),
            self._progress.note,
        )

    def _announce_budget(self, seconds: float) -> None:
        self._progress.note(f"these models are slow: timing them takes {format_seconds(seconds)}")
