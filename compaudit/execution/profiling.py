"""The chapter that profiles: where the time of each model goes, and what of it fell back."""

from __future__ import annotations

from compaudit import interruption
from compaudit.errors import CompauditError
from compaudit.measure.latency.trace import ModelName
from compaudit.measure.profile.fallback import fallback_of, falls_back
from compaudit.measure.profile.in_worker import profile_model
from compaudit.measure.signature import Samples
from compaudit.models.profiled import ProfiledRun
from compaudit.pair import Pair, Side
from compaudit.progress import Progress
from compaudit.results.placement import Fallback
from compaudit.workers.limits import Limits

__all__ = ["Profiling"]


class Profiling:
    """Runs models under their profilers, each in a worker of its own and once, however often asked.

    Args:
        pair: the models.
        samples: what they are fed; None where nothing can be.
        limits: of each worker.
        progress: told what is going on.
    """

    def __init__(
        self, pair: Pair, samples: Samples | None, limits: Limits, progress: Progress
    ) -> None:
        self._pair = pair
        self._samples = samples
        self._limits = limits
        self._progress = progress
        self._runs: dict[ModelName, ProfiledRun] = {}

    def both(self) -> tuple[dict[ModelName, ProfiledRun], str]:
        """Both models' profiles; or none, and why."""
        runs: dict[ModelName, ProfiledRun] = {}
        for side in self._pair.running:
            self._progress.stage(f"finding out where the time of {side.source.label} goes")
            try:
                run = self._of(side)
            except CompauditError as error:
                interruption.raise_pending()
                # Of a bug the message is a traceback, whose last line says what happened.
                reason = (error.message.strip().splitlines() or [error.code])[-1]
                reason = f"{side.source.label} could not be profiled: {reason}"
                self._progress.note(reason)
                return {}, reason
            if run is not None:
                runs[side.name] = run
        if len(runs) == 2:
            return runs, ""
        return {}, "a profile takes both models, ready to run"

    def fallbacks(self) -> dict[str, Fallback]:
        """How much of a model runs elsewhere than asked for; its share of the time may be lacking.

        It takes a profile of that model, whether one was asked for or not.
        """
        found: dict[str, Fallback] = {}
        for side in self._pair.alive:
            if side.loaded is None or not falls_back(side.loaded):
                continue
            run = None
            try:
                run = self._of(side)
            except CompauditError as error:
                interruption.raise_pending()
                self._progress.note(f"no time share of what fell back: {error.code}")
            found[side.name] = fallback_of(side.loaded, run)
        return found

    def _of(self, side: Side) -> ProfiledRun | None:
        """One model's profile; None where it cannot be fed."""
        if self._samples is None or side.feeds is None:
            return None
        if side.name not in self._runs:
            self._progress.stage(f"finding out where the time of {side.source.label} goes")
            self._runs[side.name] = profile_model(
                side.source,
                side.settings,
                self._samples.request,
                side.feeds,
                side.batch_size,
                self._limits,
            )
        return self._runs[side.name]
