"""Both models of an audit timed; what is left where one of them dies."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext

from compaudit.config import DEFAULT_TIME_BUDGET_S, Config
from compaudit.errors import CompauditError, InternalError
from compaudit.machine.lock import timing_lock
from compaudit.measure.latency.arms import Subject, open_arms_of
from compaudit.measure.latency.experiment import Experiment, run_experiment
from compaudit.measure.latency.plan import LEAST_EPOCHS
from compaudit.measure.latency.trace import ModelName, Trace
from compaudit.measure.signature import Samples
from compaudit.pair import Pair, Side
from compaudit.progress import Progress
from compaudit.units import format_seconds
from compaudit.workers.limits import Limits

__all__ = ["Timing", "subject_of", "turn"]


def turn(config: Config, progress: Progress) -> AbstractContextManager[None]:
    """Wait for other audits that are timing; no budget and no limit runs meanwhile."""
    if not config.lock:
        return nullcontext()
    return timing_lock(
        lambda: progress.stage("waiting for another audit that is timing"), progress.note
    )


def subject_of(side: Side, samples: Samples, limits: Limits) -> Subject:
    """A model as it is timed; what it is fed is known."""
    assert side.feeds is not None, "it is ready to run"
    return Subject(side.source, side.settings, samples.request, side.feeds, side.batch_size, limits)


class Timing:
    """The timing of one pair of models."""

    def __init__(
        self, config: Config, pair: Pair, samples: Samples, limits: Limits, progress: Progress
    ) -> None:
        self._config = config
        self._pair = pair
        self._samples = samples
        self._limits = limits
        self._progress = progress
        self._trace: Trace | None = None
        self._budget_s = 0.0

    def run(self) -> Trace | None:
        """Time every model that still lives: both for δ, one alone for its own latency.

        Where one dies, which the pair is told, the epochs that both finished stay. If those are too
        few for an interval, the other goes on alone, for which half the time is as good.

        Returns:
            The timed blocks; None where not a single epoch was finished.
        """
        subjects = self._subjects()
        error = self._experiment(subjects, self._config.time_budget_s) if subjects else None
        if error is None:
            return self._trace
        dead, kept = self._pair.record(error), self._trace
        if dead is None or len(subjects) == 1 or (kept and kept.epochs >= LEAST_EPOCHS):
            return kept
        self._trace = None
        alone_s = (self._config.time_budget_s or DEFAULT_TIME_BUDGET_S) / 2
        if (error := self._experiment(self._subjects(), alone_s)) is not None:
            self._pair.record(error)
        alone = self._trace
        return kept.followed_by(alone) if kept and alone else kept or alone

    def _subjects(self) -> dict[ModelName, Subject]:
        """The models that live and can be timed."""
        return {
            side.name: subject_of(side, self._samples, self._limits)
            for side in self._pair.alive
            if side.feeds is not None
        }

    def _experiment(
        self, subjects: dict[ModelName, Subject], budget_s: float | None
    ) -> CompauditError | None:
        """Run one; `_trace` is what was finished, also where the error it returns ended it."""
        config = self._config
        self._budget_s = budget_s or DEFAULT_TIME_BUDGET_S
        experiment = Experiment(
            models=tuple(subjects),
            time_budget_s=budget_s,
            resolution=config.resolution,
            confidence=config.confidence,
            seed=config.seed,
        )
        try:
            with turn(config, self._progress):
                self._trace = run_experiment(
                    experiment,
                    open_arms_of(subjects),
                    time.monotonic,
                    self._show,
                    self._announce_budget,
                    self._keep,
                )
        except InternalError:
            raise
        except CompauditError as error:
            return error
        return None

    def _keep(self, trace: Trace) -> None:
        self._trace = trace

    def _show(self, what: str, share: float) -> None:
        names = " and ".join(side.source.label for side in self._pair.alive)
        self._progress.stage(f"timing {what}: {names}", share, (1 - share) * self._budget_s)

    def _announce_budget(self, seconds: float) -> None:
        self._budget_s = seconds
        self._progress.note(f"these models are slow: timing them takes {format_seconds(seconds)}")
