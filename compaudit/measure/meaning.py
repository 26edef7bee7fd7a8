"""Which output holds class scores, and are they logits or probabilities? The first rows decide."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from compaudit.engines.base import Batch, Outputs
from compaudit.measure.outputs import OutputPair, match_outputs
from compaudit.measure.recipe import Question, Recipe, ScoreSource
from compaudit.measure.scores import Evidence, kinds_of, looks_like_classes

__all__ = ["DECIDING_SAMPLES", "Meaning"]

DECIDING_SAMPLES = 64
"""So many samples are looked at, at most."""
_DECIDING_TOKENS = 256


class Meaning:
    """A tally that finds out what the outputs mean, until no further samples can change it.

    Args:
        question: what was asked.
    """

    def __init__(self, question: Question) -> None:
        self._question = question
        self._pairs: tuple[OutputPair, ...] = ()
        self._candidates: list[_Candidate] = []

    @property
    def settled(self) -> bool:
        """Whether further samples would change nothing."""
        return bool(self._pairs) and all(candidate.settled for candidate in self._candidates)

    def update(self, batch: Batch) -> None:
        """Look at one batch. Raises RequestError where outputs do not fit one another."""
        named, (original, compressed) = self._question.named_alike(batch)
        if not self._pairs:
            self._pairs = match_outputs(
                named.original,
                named.compressed,
                self._question.mapping,
                named=self._question.named,
                wanted=self._question.output,
            )
            self._candidates = self._find(named, original, compressed)
        for candidate in self._candidates:
            candidate.update(named)

    def merge(self, other: Meaning) -> None:
        """Take in what other samples say."""
        if not self._pairs:
            self._pairs, self._candidates = other._pairs, other._candidates
        elif other._pairs:
            for mine, theirs in zip(self._candidates, other._candidates, strict=True):
                mine.merge(theirs)

    def recipe(self) -> Recipe:
        """What has been found out by now."""
        assert self._pairs, "not one sample was seen"
        known = self._question.knows_classes
        # Any numbers can be read as logits.
        found = [one for one in self._candidates if known or one.is_distribution]
        scores = found[0].source() if len(found) == 1 else None
        return Recipe(
            question=self._question,
            pairs=self._pairs,
            scores=scores,
            subject=self._subject(scores),
            why_no_scores="" if scores is not None else self._why_no_scores(),
        )

    def _find(self, named: Batch, original: Outputs, compressed: Outputs) -> list[_Candidate]:
        """The outputs that can hold class scores; at most one, where they are known to be there."""
        dimensions = 3 if self._question.per == "token" else 2
        rows = _DECIDING_TOKENS if self._question.per == "token" else DECIDING_SAMPLES
        possible = [
            _Candidate(
                pair,
                rows,
                (
                    _fits(named.original[pair.original], original.get(pair.original)),
                    _fits(named.compressed[pair.compressed], compressed.get(pair.compressed)),
                ),
            )
            for pair in self._pairs
            if self._question.output in (None, pair.original)
            and looks_like_classes(named.original[pair.original], dimensions)
            and looks_like_classes(named.compressed[pair.compressed], dimensions)
        ]
        return [] if self._question.knows_classes and len(possible) != 1 else possible

    def _subject(self, scores: ScoreSource | None) -> OutputPair | None:
        """The output that was named, the one with the scores, or the only one."""
        wanted = self._question.output
        if wanted is not None:
            return next(pair for pair in self._pairs if pair.original == wanted)
        if self._question.knows_classes and scores is not None:
            return scores.pair
        return self._pairs[0] if len(self._pairs) == 1 else None

    def _why_no_scores(self) -> str:
        one = self._question.output is not None or len(self._pairs) == 1
        names = ", ".join(repr(pair.original) for pair in self._pairs)
        if self._question.per == "token":
            return (
                "no output holds scores of the next token: numbers of the shape (samples, length, "
                "vocabulary)"
                if one
                else "several outputs or none can hold the scores of the next token, which have "
                "the shape (samples, length, vocabulary); say which does with --model-output: "
                f"{names}"
            )
        if self._question.knows_classes:
            return (
                "no output holds one row of at least two class scores for each sample"
                if one
                else "several outputs or none can hold the class scores; say which does with "
                f"--model-output: {names}"
            )
        return (
            "what the output means is not known; say --task classification if its numbers are "
            "class scores"
            if one
            else "several outputs, and not exactly one is known to be a distribution; say with "
            f"--task and --model-output which one is: {names}"
        )


class _Candidate:
    """An output that may hold class scores, or the logits in front of it."""

    def __init__(self, pair: OutputPair, rows: int, tapped: tuple[bool, bool]) -> None:
        self._pair = pair
        self._tapped = tapped
        self._evidence = Evidence(rows), Evidence(rows)

    @property
    def settled(self) -> bool:
        return all(evidence.settled for evidence in self._evidence)

    @property
    def is_distribution(self) -> bool:
        """Whether the original's numbers can be nothing else."""
        return self._tapped[0] or kinds_of(*self._evidence)[0] == "probabilities"

    def update(self, named: Batch) -> None:
        # The outputs themselves: they say what the other model's are, where that has no taps.
        first, second = self._evidence
        first.update(named.original[self._pair.original], named.indices)
        second.update(named.compressed[self._pair.compressed], named.indices)

    def merge(self, other: _Candidate) -> None:
        for mine, theirs in zip(self._evidence, other._evidence, strict=True):
            mine.merge(theirs)

    def source(self) -> ScoreSource:
        kinds = kinds_of(*self._evidence)
        return ScoreSource(
            pair=self._pair,
            kinds=(
                "logits" if self._tapped[0] else kinds[0],
                "logits" if self._tapped[1] else kinds[1],
            ),
            tapped=self._tapped,
        )


def _fits(output: NDArray[Any], logits: NDArray[Any] | None) -> bool:
    """Whether there are logits in front of an output that can be read instead of it."""
    return logits is not None and logits.shape == output.shape and logits.dtype.kind == "f"
