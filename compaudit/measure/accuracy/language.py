"""Causal language models: next-token accuracy, perplexity, and how token probabilities changed."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from compaudit.engines.base import Batch
from compaudit.errors import RequestError
from compaudit.measure.accuracy.base import Subject
from compaudit.measure.accuracy.custom import bare_accuracy
from compaudit.measure.accuracy.labels import check_range
from compaudit.measure.accuracy.output import which_output
from compaudit.measure.accuracy.tokens import ProbabilityChanges, TokenHits, TokenLosses
from compaudit.measure.divergence import as_estimate
from compaudit.measure.scored import ModelRows, Scored
from compaudit.results import Accuracy, Flips, LanguageModel, Skipped
from compaudit.theory.statistics import exponential

__all__ = ["LanguageMeter"]


class LanguageMeter:
    """Both models' scores of the next token against the token that comes.

    The figures are those of llama.cpp's ``llama-perplexity --kl-divergence``, whose "base" is our
    original and "Q" our compressed model:

    - ``perplexity``: ``Mean PPL(base)``, ``Mean PPL(Q)``; its delta is ``Mean PPL(Q)-PPL(base)``.
    - ``language.perplexity_ratio``: ``Mean PPL(Q)/PPL(base)``.
    - ``language.log_perplexity_ratio``: ``Mean ln(PPL(Q)/PPL(base))``.
    - ``language.correlation``: ``Cor(ln(PPL(Q)), ln(PPL(base)))``, as a number up to 1.
    - ``language.probability_change``: ``Mean Δp``, ``RMS Δp`` and the quantiles of ``Δp``, as
      shares, where llama.cpp has per cent.
    - ``divergence.kl`` over tokens: the ``KLD`` lines; ``divergence.top1_agreement``:
      ``Same top p``.

    Two things differ on purpose. llama.cpp leaves the first half of every context out; here every
    token with a right answer counts. And its ± is one standard error over tokens taken as
    independent; the intervals here go by sequences, so a single sequence has none.
    """

    def __init__(self, subject: Subject) -> None:
        self._confidence = subject.confidence
        self._sequences = 0
        self._classes = 0
        self._blocks = 0
        self._tokens = 0
        self._unusable = 0
        self._top1 = TokenHits()
        self._top5 = TokenHits()
        self._losses = TokenLosses()
        self._changes = ProbabilityChanges()

    def update(self, batch: Batch, scored: Scored | None) -> None:
        """Take in one batch of whole sequences.

        Raises:
            RequestError: no output holds scores of tokens, or a token is none of the model's.
        """
        if scored is None:
            raise RequestError(
                "no single output holds scores of the next token at every position",
                hint=which_output(batch, "scores of tokens", dimensions=3),
                code="no-token-output",
                stage="evaluate",
            )
        assert scored.labels is not None, "accuracy is measured with labels only"
        check_range(scored.labels, scored.classes, scored.samples)
        self._sequences += len(batch.indices)
        self._classes = max(self._classes, scored.classes)
        self._blocks += len(np.unique(scored.samples))
        self._tokens += len(scored.labels)
        first, second, labels = scored.original, scored.compressed, scored.labels
        self._top1.update(first.predicted == labels, second.predicted == labels, scored.samples)
        (original, among), (compressed, also_among) = _graded(first), _graded(second)
        self._top5.update(among, also_among, scored.samples)
        usable = scored.usable & np.isfinite(original) & np.isfinite(compressed)
        self._unusable += int(np.count_nonzero(~usable))
        original, compressed = original[usable], compressed[usable]
        sequences = scored.samples[usable]
        self._losses.update(original, compressed, sequences)
        self._changes.update(np.exp(-compressed) - np.exp(-original), sequences)

    def merge(self, other: LanguageMeter) -> None:
        """Take in what a meter of other sequences has seen."""
        self._sequences += other._sequences
        self._classes = max(self._classes, other._classes)
        self._blocks += other._blocks
        self._tokens += other._tokens
        self._unusable += other._unusable
        self._top1.merge(other._top1)
        self._top5.merge(other._top5)
        self._losses.merge(other._losses)
        self._changes.merge(other._changes)

    def result(self) -> tuple[Accuracy, list[Skipped]]:
        """The figures, and why those that are None are."""
        why = self._why_missing()
        confidence, some = self._confidence, self._tokens > 0
        averaged = some and not self._unusable
        perplexity = self._losses.perplexity(confidence) if averaged else None
        if averaged and perplexity is None:
            why["perplexity"] = "the mean loss of a token is too large for its exponential"
        language = self._language() if averaged else None
        if averaged and language is None:
            why["language"] = "the perplexities are too far apart for their ratio"
        elif language and language.correlation is None:
            why["language.correlation"] = "one of the models gives every right token the same loss"
        accuracy = replace(
            bare_accuracy("causal-lm", self._sequences, {}),
            top1=None if "top1" in why else self._top1.result(confidence),
            top5=None if "top5" in why else self._top5.result(confidence),
            cross_entropy=self._losses.cross_entropy(confidence) if averaged else None,
            perplexity=perplexity,
            language=language,
            flips=Flips(broken=self._top1.broken, fixed=self._top1.fixed) if some else None,
        )
        return accuracy, [
            Skipped(metric=f"accuracy.{figure}", reason=reason) for figure, reason in why.items()
        ]

    def _language(self) -> LanguageModel | None:
        """What only language models have; None where the ratio is beyond a float."""
        log_ratio = self._losses.log_ratio(self._confidence)
        ratio = exponential(log_ratio)
        if ratio is None:
            return None
        return LanguageModel(
            sequences=self._blocks,
            tokens=self._tokens,
            perplexity_ratio=as_estimate(ratio),
            log_perplexity_ratio=as_estimate(log_ratio),
            correlation=self._losses.correlation,
            probability_change=self._changes.result(self._confidence),
        )

    def _why_missing(self) -> dict[str, str]:
        """A reason for every figure or interval that cannot be given, by its name."""
        averages = ("cross_entropy", "perplexity", "language")
        if not self._tokens:
            reason = "no sequence has a token with a right answer"
            return dict.fromkeys(("top1", "top5", *averages), reason)
        why = {}
        if self._classes <= 5:
            why["top5"] = f"there are only {self._classes} classes"
        if self._unusable:
            reason = (
                f"{self._unusable} of {self._tokens} tokens have outputs that are NaN, infinite or "
                "no distribution, which no average may hide"
            )
            why.update(dict.fromkeys(averages, reason))
        if self._blocks == 1:
            reason = "one sequence does not show how much sequences differ"
            measured = [name for name in ("top1", *averages[:2]) if name not in why]
            why.update((f"{name}.delta.low", reason) for name in measured)
        return why


def _graded(row: ModelRows) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What the labels make of one model's scores: losses, and whether they are among the five."""
    assert row.loss is not None, "labels give losses"
    assert row.in_top5 is not None, "labels give ranks"
    return row.loss, row.in_top5
