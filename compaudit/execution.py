"""Both models run: loaded, fed, compared and timed, each in a process of its own."""

from __future__ import annotations

from contextlib import ExitStack

import msgspec

from compaudit import interruption
from compaudit.config import Config
from compaudit.data.base import Feed
from compaudit.engines.local import LocalEngine
from compaudit.errors import CompauditError, MeasurementError, RequestError
from compaudit.feeding import choose_inputs, match_inputs
from compaudit.measure import memory
from compaudit.measure.evaluation import Evaluated, Evaluation
from compaudit.measure.latency.trace import ModelName, Trace
from compaudit.measure.macs.counting import count_from_run
from compaudit.measure.profile.fallback import fallback_of, falls_back
from compaudit.measure.profile.in_worker import profile_model
from compaudit.measure.signature import Samples, sizes_of_one_sample
from compaudit.models.profiled import ProfiledRun
from compaudit.pair import Pair, Side
from compaudit.progress import Progress
from compaudit.results.placement import Fallback
from compaudit.timing import Timing, turn
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
        fallbacks: what of each model runs elsewhere than asked for; by model, mostly empty.
        trace: the timed blocks.
    """

    def __init__(self, config: Config, pair: Pair, limits: Limits, progress: Progress) -> None:
        self._config = config
        self._pair = pair
        self._limits = limits
        self._progress = progress
        self.samples: Samples | None = None
        self.evaluated = Evaluated(None, None, [])
        self.profiled: dict[ModelName, ProfiledRun] = {}
        self.unprofiled = ""
        self.fallbacks: dict[str, Fallback] = {}
        self._runs: dict[ModelName, ProfiledRun] = {}
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
            self.samples = choose_inputs(self._config, self._pair)
            if self.samples is not None:
                match_inputs(self._config, self._pair, self.samples)
            for side in self._pair.alive:
                with self._pair.surviving(side):
                    self._run_first(workers[side.name], side)
                    self._count_in_run(workers[side.name], side)
            if self._config.wants("divergence", "accuracy"):
                with self._pair.surviving():
                    self._evaluate(workers)
        if any(side.loaded and falls_back(side.loaded) for side in self._pair.alive):
            with turn(self._config, self._progress):
                self._share_fallbacks()
        if not self._pair.takes_same_batch:
            self.unprofiled = "the models do not take equally many samples at once"
            return
        if self._config.profile:
            with turn(self._config, self._progress):
                self._profile()
        if self._config.wants("latency"):
            self._time()

    def _load(self, worker: Worker, side: Side) -> None:
        self._progress.stage(f"loading {side.source.label}")
        side.loaded, side.baseline = memory.load(worker, side.source, side.settings)

    def _run_first(self, worker: Worker, side: Side) -> None:
        if self.samples is None or side.feeds is None or side.baseline is None:
            return
        self._progress.stage(f"first inference of {side.source.label}")
        side.first_run = memory.run_first(
            worker,
            self.samples.request,
            side.feeds,
            side.batch_size,
            side.baseline,
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
                side.settings,
                self.samples.request,
                side.feeds,
                sizes_of_one_sample(self._config, side.name),
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
        settings = msgspec.structs.replace(side.settings, optimized=False, compiled=False)
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
            if self.samples is None or side.feeds is None:
                continue
            self._progress.stage(f"finding out where the time of {side.source.label} goes")
            try:
                runs[side.name] = self._profiled(side, self.samples, side.feeds)
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

    def _profiled(self, side: Side, samples: Samples, feeds: tuple[Feed, ...]) -> ProfiledRun:
        """One model's profile, run once however often it is needed."""
        if side.name not in self._runs:
            self._runs[side.name] = profile_model(
                side.source, side.settings, samples.request, feeds, side.batch_size, self._limits
            )
        return self._runs[side.name]

    def _share_fallbacks(self) -> None:
        """How much of a model runs elsewhere than asked for; its share of the time may be lacking.

        It takes a profile of that model, whether one was asked for or not.
        """
        for side in self._pair.alive:
            if side.loaded is None or not falls_back(side.loaded):
                continue
            run = None
            if self.samples is not None and side.feeds is not None:
                self._progress.stage(f"finding out what of {side.source.label} fell back")
                try:
                    run = self._profiled(side, self.samples, side.feeds)
                except CompauditError as error:
                    interruption.raise_pending()
                    self._progress.note(f"no time share of what fell back: {error.code}")
            self.fallbacks[side.name] = fallback_of(side.loaded, run)

    def _time(self) -> None:
        """Time every model that still lives."""
        if self.samples is not None:
            timing = Timing(self._config, self._pair, self.samples, self._limits, self._progress)
            self.trace = timing.run()
