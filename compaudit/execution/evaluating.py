"""The chapter that compares outputs: both models over the same samples, then the noise floor."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from compaudit.config import Config
from compaudit.data.base import Feed
from compaudit.engines.base import Engine
from compaudit.engines.ray.cluster import Cluster
from compaudit.errors import MeasurementError, RequestError
from compaudit.execution.cluster import OnCluster
from compaudit.execution.crew import Crew, Subject
from compaudit.execution.keeping import Keeper
from compaudit.execution.outputs import AuditEngine, KeptOutputs, LiveOutputs
from compaudit.measure.evaluation import Evaluated, Evaluation
from compaudit.measure.final_softmax import logits_in_front
from compaudit.measure.recipe import NO_TAPS, Taps
from compaudit.measure.signature import Samples
from compaudit.pair import Pair, Side
from compaudit.progress import Progress
from compaudit.workers.limits import Limits

__all__ = ["evaluate"]


def evaluate(
    config: Config,
    pair: Pair,
    samples: Samples,
    crew: Crew,
    limits: Limits,
    progress: Progress,
    keeper: Keeper,
    cluster: Cluster | None,
) -> Evaluated | None:
    """Both models over the same samples, once, for divergence and accuracy together.

    On a cluster, where there is one and the models fit into this machine beside one another.

    Returns:
        What came of it; None where one of the models is not ready to run.

    Raises:
        RequestError: outputs, labels or data do not fit.
        MeasurementError: a model died.
    """
    original, compressed = pair
    if len(pair.running) < 2 or original.feeds is None or compressed.feeds is None:
        return None
    feeds = original.feeds, compressed.feeds
    comparing = _Comparing(config, pair, feeds, samples, crew, limits, progress, keeper, cluster)
    taps = _taps_of(original), _taps_of(compressed)
    try:
        return comparing.run(taps)
    except (RequestError, MeasurementError) as error:
        if error.stage != "load" or taps == (NO_TAPS, NO_TAPS):
            raise
        progress.note(f"no logits in front of the softmax: {error.message}")
        return comparing.run((NO_TAPS, NO_TAPS))


@dataclass(frozen=True, slots=True)
class _Comparing:
    """Both models over the same samples, with or without values from inside of them."""

    config: Config
    pair: Pair
    feeds: tuple[tuple[Feed, ...], tuple[Feed, ...]]
    samples: Samples
    crew: Crew
    limits: Limits
    progress: Progress
    keeper: Keeper
    cluster: Cluster | None

    def run(self, taps: tuple[Taps, Taps]) -> Evaluated:
        first, second = (_subject(side, of) for side, of in zip(self.pair, taps, strict=True))
        evaluation = Evaluation(
            self.config,
            self.samples,
            named=all(side.loaded and side.loaded.named_outputs for side in self.pair),
            on_progress=self._show,
            taps=taps,
        )
        cluster = self._usable_cluster()
        # What a cluster computes stays there.
        keeper = self.keeper if cluster is None else Keeper(None, self.progress)
        outputs = self._kept(first, keeper, self.samples.dataset.samples)
        self._dismiss_but(first, second)
        pairs = self.crew.pairs(self.config.workers or 1) if cluster is None else 1
        here = AuditEngine(outputs, LiveOutputs(second, self.crew), pairs)
        elsewhere = None if cluster is None else self._elsewhere(cluster, first, second)
        evaluation.run(here, *self.feeds, elsewhere)
        if evaluation.wants_floor:
            # Without optimisations, beside itself with them. The compressed model is done.
            self.crew.dismiss(but=first)
            settings = msgspec.structs.replace(first.settings, optimized=False, compiled=False)
            twin = self._kept(Subject("twin", first.side, settings), keeper, None)
            self._find_floor(evaluation, AuditEngine(outputs, twin))
        return evaluation.result()

    def _usable_cluster(self) -> Cluster | None:
        """Where the pass over all samples runs, if not here."""
        if self.cluster is None:
            return None
        if self.crew.apart and self.cluster.address is None:
            self.progress.note("both models at once do not fit into this machine: without Ray")
            return None
        return self.cluster

    def _elsewhere(self, cluster: Cluster, *subjects: Subject) -> Engine:
        """The same models on a Ray cluster; their outputs stay there, and are not kept."""
        if self.config.cache:
            self.progress.note("with --engine ray, no outputs are kept for the next audit")
        return OnCluster(self.config, subjects, self.crew, self.limits, self.progress, cluster)

    def _kept(self, subject: Subject, keeper: Keeper, whole: int | None) -> KeptOutputs:
        scratch, digest = self.limits.scratch, self.samples.dataset.digest
        return KeptOutputs(subject, self.crew, keeper, whole, scratch, digest, self.progress)

    def _dismiss_but(self, *wanted: Subject) -> None:
        """End the workers that ran the first inference and will not evaluate."""
        staying = [subject for subject in wanted if self.crew.holds(subject)]
        if len(staying) < 2:
            self.crew.dismiss(but=staying[0] if staying else None)

    def _find_floor(self, evaluation: Evaluation, engine: AuditEngine) -> None:
        """What rounding alone does to the outputs; without it the figures still stand."""
        self.progress.stage("comparing the original with itself")
        try:
            evaluation.run_floor(engine, self.feeds[0])
        except (RequestError, MeasurementError) as error:
            self.progress.note(f"no noise floor of the outputs: {error.message}")

    def _show(self, done: int) -> None:
        total = self.samples.dataset.samples
        self.progress.stage(f"comparing outputs, {done} of {total} samples", done / total)


def _taps_of(side: Side) -> Taps:
    """The logits in front of a final Softmax, which underflows; none where there is none."""
    logits = {} if side.settings.compiled else logits_in_front(side.model)
    outputs = side.loaded.outputs if side.loaded is not None else ()
    return Taps(logits, tuple(value.name for value in outputs)) if logits else NO_TAPS


def _subject(side: Side, taps: Taps) -> Subject:
    """The model with the values that are no outputs of its own as further outputs."""
    beside = tuple(sorted({*taps.logits.values()} - {*taps.outputs}))
    if not beside:
        return Subject.of(side)
    settings = msgspec.structs.replace(side.settings, taps=beside)
    return Subject(f"{side.name} with its logits", side, settings)
