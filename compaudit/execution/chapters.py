"""Everything that runs a model: each method of `Execution` is a chapter."""

from __future__ import annotations

from compaudit.config import Config
from compaudit.engines.ray.cluster import Cluster
from compaudit.errors import MeasurementError
from compaudit.execution.crew import Crew, Subject
from compaudit.execution.evaluating import evaluate
from compaudit.execution.keeping import Keeper
from compaudit.execution.profiling import Profiling
from compaudit.feeding import choose_inputs, match_inputs
from compaudit.measure import memory
from compaudit.measure.evaluation import Evaluated
from compaudit.measure.latency.trace import ModelName, Trace
from compaudit.measure.macs.counting import count_from_run
from compaudit.measure.profile.fallback import falls_back
from compaudit.measure.signature import Samples, sizes_of_one_sample
from compaudit.models.profiled import ProfiledRun
from compaudit.pair import Pair, Side
from compaudit.progress import Progress
from compaudit.results.placement import Fallback
from compaudit.timing import Timing, turn
from compaudit.units import format_count
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker

__all__ = ["Execution"]


class Execution:
    """Both models run: loaded, fed, compared and timed, each in a process of its own.

    Args:
        config: what was asked for.
        pair: both models.
        limits: of each worker.
        progress: told what is going on.
        keeper: finds and keeps the original's outputs; None for what the user's audits have kept.
        cluster: where outputs are compared; None for this machine.

    Attributes:
        samples: what both models were fed; set before `run` where data was given, None before it
            is known otherwise.
        evaluated: divergence and accuracy.
        profiled: where each model spends an inference; empty unless both were profiled.
        unprofiled: why they were not; empty where nobody asked, or both were.
        fallbacks: what of each model runs elsewhere than asked for; by model, mostly empty.
        trace: the timed blocks.
    """

    def __init__(
        self,
        config: Config,
        pair: Pair,
        limits: Limits,
        progress: Progress,
        keeper: Keeper | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        self._keeper = keeper or Keeper.of_user(config.cache, progress)
        self._cluster = cluster
        self._config = config
        self._pair = pair
        self._limits = limits
        self._progress = progress
        self.samples: Samples | None = None
        self.evaluated = Evaluated(None, None, [])
        self.profiled: dict[ModelName, ProfiledRun] = {}
        self.unprofiled = ""
        self.fallbacks: dict[str, Fallback] = {}
        self.trace: Trace | None = None

    @property
    def is_timed(self) -> bool:
        """Whether times were asked for, and would compare."""
        return self._config.wants("latency") and self._pair.takes_same_batch

    def run_untimed(self) -> None:
        """Load and evaluate both; what is known of one from another audit is not found again."""
        with Crew(self._pair, self._limits, self._progress) as crew:
            self._load(crew)
            self._feed()
            self._run_first(crew)
            self._evaluate(crew)
        self._profile()

    def _load(self, crew: Crew) -> None:
        """Load both: what they take and give is known then, and what they need."""
        for side in self._pair.alive:
            if side.loaded is None:
                with self._pair.surviving(side):
                    crew.worker(Subject.of(side))
                    crew.make_room()

    def _feed(self) -> None:
        """Choose the samples, and what of them feeds which input."""
        self.samples = choose_inputs(self._config, self._pair, self.samples)
        if self.samples is not None:
            match_inputs(self._config, self._pair, self.samples)

    def _run_first(self, crew: Crew) -> None:
        """The first inference of each, with its time and memory, and the MACs that take a run."""
        if self.samples is None:
            return
        # Where only one fits into memory, the one that is there goes first.
        running = sorted(self._pair.running, key=lambda side: not crew.holds(Subject.of(side)))
        for side in running:
            if side.first_run is not None:
                continue
            with self._pair.surviving(side):
                worker = crew.worker(Subject.of(side))
                self._run_once(worker, side, self.samples)
                self._count_in_run(worker, side, self.samples)
        crew.make_room()

    def _run_once(self, worker: Worker, side: Side, samples: Samples) -> None:
        assert side.feeds is not None
        assert side.baseline is not None
        self._progress.stage(f"first inference of {side.source.label}")
        side.first_run = memory.run_first(
            worker, samples.request, side.feeds, side.batch_size, side.baseline
        )

    def _count_in_run(self, worker: Worker, side: Side, samples: Samples) -> None:
        """The MACs that no graph tells: of a module, or behind sizes that were not inferred."""
        assert side.feeds is not None
        if side.ledger is not None and self._config.wants("macs"):
            side.macs = count_from_run(
                worker,
                side.source,
                side.model,
                side.ledger,
                side.macs,
                side.settings,
                samples.request,
                side.feeds,
                sizes_of_one_sample(self._config, side.name, samples),
                self._limits,
            )

    def _evaluate(self, crew: Crew) -> None:
        """Compare their outputs."""
        if self.samples is None or not self._config.wants("divergence", "accuracy"):
            return
        with self._pair.surviving():
            evaluated = evaluate(
                self._config,
                self._pair,
                self.samples,
                crew,
                self._limits,
                self._progress,
                self._keeper,
                self._cluster,
            )
            self.evaluated = evaluated or self.evaluated
        self._fail_where_not_numbers()

    def _fail_where_not_numbers(self) -> None:
        """An output of NaN fails the audit; all that can be measured in spite of it still is.

        Unless the inputs were made up, and the original gives no numbers for them either.
        """
        found = self.evaluated.not_numbers
        if found is None or self.samples is None:
            return
        if self.samples.request.uri is None and not found.worse:
            return
        source = self._pair.original.source if not found.worse else self._pair.compressed.source
        first = "" if found.sample is None else f", first for sample {found.sample}"
        values = "1 value" if found.count == 1 else f"{format_count(found.count)} values"
        self._pair.errors.append(
            MeasurementError(
                f"{source.label} gave {values} in output {found.output!r} that are no numbers "
                f"(NaN or infinite){first}",
                hint="finding CA402 says more; no figure is averaged over them",
                code="outputs-not-numbers",
                model=source.spec,
                stage="evaluate",
            )
        )

    def _profile(self) -> None:
        """Find out where their time goes, where that was asked for or something fell back."""
        profiling = Profiling(self._pair, self.samples, self._limits, self._progress)
        if any(side.loaded and falls_back(side.loaded) for side in self._pair.alive):
            with turn(self._config, self._progress):
                self.fallbacks = profiling.fallbacks()
        if not self._pair.takes_same_batch:
            self.unprofiled = "the models do not take equally many samples at once"
        elif self._config.profile:
            with turn(self._config, self._progress):
                self.profiled, self.unprofiled = profiling.both()

    def time(self) -> None:
        """Time every model that still lives."""
        if self.samples is not None:
            timing = Timing(self._config, self._pair, self.samples, self._limits, self._progress)
            self.trace = timing.run()
