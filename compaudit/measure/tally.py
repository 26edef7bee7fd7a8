"""Everything that an evaluation counts, and what it comes to.

Parts of the data are tallied apart and merged; nothing in here grows with the samples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from compaudit.engines.base import Batch, Outputs
from compaudit.errors import RequestError
from compaudit.measure.accuracy import TASKS, Subject, TaskMeter
from compaudit.measure.accuracy.custom import CustomMeter, bare_accuracy
from compaudit.measure.divergence import AVERAGES, ClassDivergence
from compaudit.measure.embeddings import EmbeddingMeter
from compaudit.measure.extremes import ExtremeCount
from compaudit.measure.numerical import NotNumbers, NumericalError
from compaudit.measure.outputs import OutputPair, check_shapes
from compaudit.measure.recipe import Recipe
from compaudit.measure.rows import scored_samples, scored_tokens
from compaudit.measure.scored import Scored
from compaudit.measure.worst import WorstSamples
from compaudit.results import (
    Accuracy,
    Divergence,
    Embeddings,
    OutputError,
    Skipped,
    WorstSample,
)
from compaudit.results.behaviour import Extremes

__all__ = ["EvaluationTally"]


class EvaluationTally:
    """Divergence, accuracy and the samples that suffered most, over some of the samples.

    Args:
        recipe: what the outputs mean.

    Attributes:
        recipe: the same.
        samples: how many were seen.
        classes: the divergence of the class scores; None where there are none.
    """

    def __init__(self, recipe: Recipe) -> None:
        question, subject = recipe.question, recipe.subject
        self.recipe = recipe
        self.samples = 0
        self.classes = ClassDivergence() if recipe.scores is not None else None
        self._numerical = {pair.original: NumericalError() for pair in recipe.pairs}
        self._extremes = {pair.original: (ExtremeCount(), ExtremeCount()) for pair in recipe.pairs}
        self._lengths_differ = False
        self._task: TaskMeter | None = None
        if question.graded and question.task in TASKS:
            self._task = TASKS[question.task](
                Subject(
                    output=subject or recipe.pairs[0],
                    class_names=question.class_names,
                    confidence=question.confidence,
                )
            )
        self._embeddings: EmbeddingMeter | None = None
        if question.task == "embedding" and subject is not None:
            self._embeddings = EmbeddingMeter(subject, question.confidence)
        self._custom = CustomMeter(question.confidence)
        self._worst = WorstSamples(question.worst, subject)

    def update(self, batch: Batch) -> None:
        """Take in one batch. Raises RequestError where outputs or labels do not fit."""
        question = self.recipe.question
        named, in_front = question.named_alike(batch)
        self._compare_numbers(named)
        self.samples += len(named.indices)
        scored = self._score(named, in_front)
        if scored is not None and self.classes is not None:
            self.classes.update(scored)
        if self._task is not None:
            self._require_subject(named)
            self._task.update(named, scored)
        if self._embeddings is not None:
            self._embeddings.update(named)
        self._custom.update(named)
        if scored is not None or self._task is not None:
            # Numbers to predict are no classes, even where they add up to one.
            self._worst.update(named, None if question.task == "regression" else scored)

    def merge(self, other: EvaluationTally) -> None:
        """Take in what a tally of other samples has seen."""
        self.samples += other.samples
        self._lengths_differ |= other._lengths_differ
        for name, error in other._numerical.items():
            self._numerical[name].merge(error)
        for name, counts in other._extremes.items():
            for ours, theirs in zip(self._extremes[name], counts, strict=True):
                ours.merge(theirs)
        if self.classes is not None and other.classes is not None:
            self.classes.merge(other.classes)
        if self._task is not None and other._task is not None:
            self._task.merge(other._task)
        if self._embeddings is not None and other._embeddings is not None:
            self._embeddings.merge(other._embeddings)
        self._custom.merge(other._custom)
        self._worst.merge(other._worst)

    @property
    def usable_classes(self) -> ClassDivergence | None:
        """The divergence of the class scores, where all of them are distributions."""
        classes = self.classes
        return classes if classes and classes.rows and not classes.unusable else None

    def divergence(
        self, source: Literal["data", "synthetic"], floor: ClassDivergence | None = None
    ) -> tuple[Divergence, list[Skipped]]:
        """How far the outputs are apart, and why figures that are None are.

        Args:
            source: what the models were fed.
            floor: the original's divergence from itself at another optimisation level.
        """
        recipe, confidence = self.recipe, self.recipe.question.confidence
        classes, why = self.classes, self._why_missing()
        averaged = classes if "kl" not in why else None
        ranked = classes if "top5_agreement" not in why else None
        agreeing = classes if "top1_agreement" not in why else None
        embeddings, reasons = self._embedded()
        errors = self._errors()
        reasons += [
            Skipped(metric=f"divergence.outputs[{_quoted(name)}].{figure}", reason=reason)
            for name, (_, missing) in errors.items()
            for figure, reason in missing.items()
        ]
        reasons += [Skipped(metric=f"divergence.{name}", reason=text) for name, text in why.items()]
        return (
            Divergence(
                samples=self.samples,
                source=source,
                output=self._output,
                per=recipe.question.per if recipe.scores else "sample",
                scores=recipe.scores.as_read() if recipe.scores else None,
                kl=averaged.distribution("kl", confidence, floor) if averaged else None,
                kl_reverse=averaged.distribution("kl_reverse", confidence, floor)
                if averaged
                else None,
                js=averaged.distribution("js", confidence, floor) if averaged else None,
                cross_entropy=averaged.mean("cross_entropy", confidence) if averaged else None,
                entropy=averaged.entropy() if averaged else None,
                top1_agreement=agreeing.agreement(1, confidence) if agreeing else None,
                top5_agreement=ranked.agreement(5, confidence) if ranked else None,
                floored=classes.floored if classes else 0,
                embeddings=embeddings,
                outputs={name: error for name, (error, _) in errors.items()},
            ),
            reasons,
        )

    def accuracy(self) -> tuple[Accuracy | None, list[Skipped]]:
        """The task's figures with the user's own, and why those that are None are."""
        custom, skipped = self._custom.result()
        if self._task is not None:
            accuracy, reasons = self._task.result()
            return msgspec.structs.replace(accuracy, custom=custom), [*reasons, *skipped]
        if not custom:
            return None, skipped
        return bare_accuracy(self.recipe.question.task, self.samples, custom), skipped

    def extremes(self) -> dict[str, tuple[Extremes, Extremes]]:
        """The ends of every output that has some, of the original and of the compressed model."""
        found = {
            name: (original.result(), compressed.result())
            for name, (original, compressed) in self._extremes.items()
        }
        return {
            name: (original, compressed)
            for name, (original, compressed) in found.items()
            if original is not None and compressed is not None
        }

    def not_numbers(self) -> NotNumbers | None:
        """The output that leaves no figure, since a model gives NaN or infinities; None mostly."""
        found = [
            NotNumbers.of(name, error, self._numerical[name].broken_samples)
            for name, (error, _) in self._errors().items()
            if error.max_abs_error is None
            and (error.nonfinite_original or error.nonfinite_compressed)
        ]
        return max(found, key=lambda one: one.worse, default=None)

    def worst(self, name_of: Callable[[int], str]) -> list[WorstSample]:
        """The samples that suffered most; `name_of` is what the data calls a sample."""
        return self._worst.result(name_of)

    def _score(self, named: Batch, in_front: tuple[Outputs, Outputs]) -> Scored | None:
        source, question = self.recipe.scores, self.recipe.question
        if source is None:
            return None
        graded = question.graded and question.knows_classes
        read = scored_tokens if question.per == "token" else scored_samples
        return read(source, named, in_front, graded=graded)

    def _compare_numbers(self, named: Batch) -> None:
        """Set every output against its counterpart; vectors alone may differ in length."""
        pairs = self.recipe.pairs
        if self._embeddings is not None:
            subject = self.recipe.subject
            pairs = tuple(pair for pair in pairs if pair != subject or _alike(pair, named))
            self._lengths_differ |= len(pairs) < len(self.recipe.pairs)
        check_shapes(pairs, named.original, named.compressed)
        for pair in pairs:
            outputs = named.original[pair.original], named.compressed[pair.compressed]
            self._numerical[pair.original].update(*outputs, named.indices)
            for count, output in zip(self._extremes[pair.original], outputs, strict=True):
                count.update(output)

    def _require_subject(self, named: Batch) -> None:
        if self.recipe.subject is None and self.recipe.question.task == "regression":
            raise RequestError(
                f"the models have {len(named.original)} outputs, and the labels belong to one of "
                "them",
                hint=f"say which with --model-output: {', '.join(map(repr, named.original))}",
                code="no-regression-output",
                stage="evaluate",
            )

    @property
    def _output(self) -> str | None:
        """The output that the figures are about, by the original's name."""
        if self.recipe.scores is not None:
            return self.recipe.scores.pair.original
        if self._embeddings is not None and self.recipe.subject is not None:
            return self.recipe.subject.original
        return self.recipe.question.output

    def _errors(self) -> dict[str, tuple[OutputError, dict[str, str]]]:
        """Every output's numerical errors, and why some are None."""
        errors = {name: error.result() for name, error in self._numerical.items()}
        if self._lengths_differ and self.recipe.subject is not None:
            name = self.recipe.subject.original
            why = dict.fromkeys(errors[name][1], "the models give vectors of different lengths")
            errors[name] = errors[name][0], why
        return errors

    def _embedded(self) -> tuple[Embeddings | None, list[Skipped]]:
        if self._embeddings is not None:
            return self._embeddings.result()
        if self.recipe.question.task != "embedding":
            return None, []
        names = ", ".join(repr(pair.original) for pair in self.recipe.pairs)
        reason = (
            "the models have several outputs; say which holds the vectors with --model-output: "
            f"{names}"
        )
        return None, [Skipped(metric="divergence.embeddings", reason=reason)]

    def _why_missing(self) -> dict[str, str]:
        """A reason for every figure of the class distribution that has no value."""
        if self.classes is not None:
            return self.classes.why_missing()
        figures = (*AVERAGES, "top1_agreement", "top5_agreement")
        return dict.fromkeys(figures, self.recipe.why_no_scores)


def _alike(pair: OutputPair, named: Batch) -> bool:
    original, compressed = named.original[pair.original], named.compressed[pair.compressed]
    return bool(original.shape == compressed.shape)


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
