"""The tally that sees the first samples: it decides what the outputs mean, then tallies by that."""

from __future__ import annotations

from compaudit.engines.base import Batch
from compaudit.errors import InternalError
from compaudit.measure.meaning import Meaning
from compaudit.measure.recipe import Question
from compaudit.measure.tally import EvaluationTally

__all__ = ["Scout"]


class Scout:
    """Holds the first batches back until they say what the outputs mean; then takes in all.

    So a pass over all samples in their order needs no other one before it. Where the samples are
    shown in parts, what they mean is found out beforehand, by a `Meaning`.

    Args:
        question: what was asked.
    """

    def __init__(self, question: Question) -> None:
        self._meaning = Meaning(question)
        self._held: list[Batch] = []
        self._tally: EvaluationTally | None = None

    @property
    def settled(self) -> bool:
        """Whether it is known what the outputs mean, however many samples are still to come."""
        return self._tally is not None

    def update(self, batch: Batch) -> None:
        """Take in one batch. Raises RequestError where outputs or labels do not fit."""
        if self._tally is not None:
            self._tally.update(batch)
            return
        self._held.append(batch)
        self._meaning.update(batch)
        if self._meaning.settled:
            self.finish()

    def merge(self, other: Scout) -> None:
        """Refuse: who does not see the first samples cannot decide."""
        raise InternalError(
            "an evaluation that was to go through the samples in order was cut into parts",
            code="internal-error",
            stage="evaluate",
        )

    def finish(self) -> EvaluationTally:
        """The tally of all that was seen; there are no more samples to decide by."""
        if self._tally is None:
            self._tally = EvaluationTally(self._meaning.recipe())
            held, self._held = self._held, []
            for batch in held:
                self._tally.update(batch)
        return self._tally
