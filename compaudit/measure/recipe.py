"""What the outputs of a pair of models mean, decided: by it every part of the data is tallied.

It is decided once, from the first samples (`compaudit.measure.scout`), and small: it travels to
wherever a part of the data is evaluated.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from compaudit.config import Task
from compaudit.engines.base import Batch, Outputs
from compaudit.measure.outputs import OutputPair, Renaming
from compaudit.measure.scores import Kind
from compaudit.results import ScoreKinds

__all__ = ["NO_TAPS", "Per", "Question", "Recipe", "ScoreSource", "Taps"]

Per = Literal["sample", "token"]


class Taps(msgspec.Struct, frozen=True):
    """What a model gives beside its outputs: the logits in front of its final Softmax.

    Attributes:
        logits: output → the value in front of it, both as the model calls them
            (`compaudit.measure.final_softmax.logits_in_front`).
        outputs: what the model gives anyway; a value that is among these is no tap but an output.
    """

    logits: dict[str, str] = {}
    outputs: tuple[str, ...] = ()

    def split(self, outputs: Outputs) -> tuple[Outputs, Outputs]:
        """The model's own outputs, and the logits in front of them by the output's name."""
        beside = set(self.logits.values()) - set(self.outputs)
        own = {name: array for name, array in outputs.items() if name not in beside}
        in_front = {
            output: outputs[value]
            for output, value in self.logits.items()
            if value in outputs and output in own
        }
        return own, in_front


NO_TAPS = Taps()


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is known before any output is seen.

    Attributes:
        task: what the outputs are for, as declared or as the labels say; ``auto`` is unknown.
        output: ``--model-output``, the original's name of the output that matters.
        mapping: ``--map-output``.
        renamings: the pair's names of the original's and the compressed model's outputs.
        named: whether both frameworks name their outputs.
        graded: whether the labels are the right answers, and accuracy is wanted.
        class_names: what the classes are called, where the data knows.
        confidence: of all intervals.
        worst: how many of the samples that suffered most are listed.
        taps: the logits that the original and the compressed model give beside their outputs.
    """

    task: Task = "auto"
    output: str | None = None
    mapping: dict[str, str] = {}
    renamings: tuple[Renaming, Renaming] = (
        Renaming("original", {}),
        Renaming("compressed", {}),
    )
    named: bool = True
    graded: bool = False
    class_names: tuple[str, ...] = ()
    confidence: float = 0.95
    worst: int = 0
    taps: tuple[Taps, Taps] = (NO_TAPS, NO_TAPS)

    @property
    def per(self) -> Per:
        """What has a row of class scores."""
        return "token" if self.task == "causal-lm" else "sample"

    @property
    def knows_classes(self) -> bool:
        """Whether the output that matters is known to hold class scores."""
        return self.task in ("classification", "causal-lm")

    def named_alike(self, batch: Batch) -> tuple[Batch, tuple[Outputs, Outputs]]:
        """The batch under the pair's names, without taps; and the taps, by the output's name.

        Raises:
            RequestError: an output that was named is not there.
        """
        outputs, in_front = [], []
        models = (batch.original, batch.compressed)
        for given, taps, renaming in zip(models, self.taps, self.renamings, strict=True):
            own, logits = taps.split(given)
            outputs.append(renaming.apply(own))
            names = {own_name: name for name, own_name in renaming.mapping.items()}
            in_front.append({names.get(name, name): array for name, array in logits.items()})
        renamed = Batch(
            indices=batch.indices,
            labels=batch.labels,
            original=outputs[0],
            compressed=outputs[1],
            original_scores=batch.original_scores,
            compressed_scores=batch.compressed_scores,
        )
        return renamed, (in_front[0], in_front[1])


class ScoreSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where the class scores are, and what they are.

    Attributes:
        pair: the output that holds them.
        kinds: what each model's numbers are.
        tapped: whether they are read in front of the final Softmax of each model.
    """

    pair: OutputPair
    kinds: tuple[Kind, Kind]
    tapped: tuple[bool, bool] = (False, False)

    def as_read(self) -> ScoreKinds:
        """How the report says it."""
        original, compressed = (
            "logits before the softmax" if tapped else kind
            for kind, tapped in zip(self.kinds, self.tapped, strict=True)
        )
        return ScoreKinds(original=original, compressed=compressed)  # type: ignore[arg-type]


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with every batch.

    Attributes:
        question: what was asked.
        pairs: all outputs, the original's each with its counterpart.
        scores: where the class scores are; None where there are none to be found.
        subject: the output that the task is about; None where it is not known.
        why_no_scores: why there is no distribution; empty where there is.
    """

    question: Question
    pairs: tuple[OutputPair, ...]
    scores: ScoreSource | None = None
    subject: OutputPair | None = None
    why_no_scores: str = ""

    def of_original_alone(self) -> Recipe:
        """The same for the original against itself, without labels."""
        question = msgspec.structs.replace(
            self.question,
            mapping={},
            renamings=(self.question.renamings[0],) * 2,
            taps=(self.question.taps[0],) * 2,
            graded=False,
            worst=0,
        )
        scores = self.scores
        if scores is not None:
            scores = ScoreSource(
                pair=_itself(scores.pair),
                kinds=(scores.kinds[0],) * 2,
                tapped=(scores.tapped[0],) * 2,
            )
        return msgspec.structs.replace(
            self,
            question=question,
            pairs=tuple(_itself(pair) for pair in self.pairs),
            scores=scores,
            subject=None,
        )


def _itself(pair: OutputPair) -> OutputPair:
    return OutputPair(pair.original, pair.original)
