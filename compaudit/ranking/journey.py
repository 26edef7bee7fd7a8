"""How far a ranking is, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable

from compaudit.progress import Progress
from compaudit.units import format_about

__all__ = ["Journey"]


class Journey:
    """Tells another progress which candidate is at it, and about how long the rest takes.

    What is left is known once the first has been evaluated: the others take as long on average, and
    timing has its budget.

    Args:
        progress: what is told.
        clock: seconds, monotonic.
    """

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._clock = clock
        self._began = 0.0
        self._place = self._count = 0
        self._name = ""
        self._afterwards_s = 0.0

    def evaluate(self, place: int, count: int, name: str, afterwards_s: float) -> None:
        """The candidate of this place, from zero, is evaluated from now on."""
        if place == 0:
            self._began = self._clock()
        self._place, self._count, self._name = place, count, name
        self._afterwards_s = afterwards_s

    def evaluated(self) -> None:
        """All candidates are."""
        self._count = 0

    def stage(self, what: str, share: float | None = None, left_s: float | None = None) -> None:
        """What is being done with it."""
        if not self._count:
            self._progress.stage(what, share, left_s)
            return
        left = ""
        if self._place:
            each_s = (self._clock() - self._began) / self._place
            seconds = each_s * (self._count - self._place) + self._afterwards_s
            left = f", about {format_about(seconds)} s left"
        told = f"{self._place + 1} of {self._count}, {self._name}: {what}{left}"
        self._progress.stage(told, self._place / self._count)

    def note(self, text: str) -> None:
        """Something to be read once: what holds for the original is not said for each."""
        self._progress.note(text)
