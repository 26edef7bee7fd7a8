"""What class scores of both models say, row by row: all that divergence and accuracy are made of.

A row is a sample, or one predicted token of it. Whoever reads scores (thousands of classes a row)
reduces them to the few numbers here at once; every meter takes these in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ModelRows", "Scored"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ModelRows:
    """One model's scores; every array has one entry a row.

    Attributes:
        usable: whether the row is a distribution: no NaN, no infinity but a logit of −∞ that both
            models give (a masked class), and probabilities that nearly sum to one.
        predicted: the class with the highest score, −1 where the scores are not numbers.
        confidence: its probability; NaN where not usable.
        entropy: of the distribution, in nats; NaN where not usable.
        loss: −log probability of the right class, in nats; infinite where that is masked, NaN
            where not usable; None without labels.
        in_top5: whether the right class is among the five highest; False where the scores are
            not numbers; None without labels.
    """

    usable: Flags
    predicted: Integers
    confidence: Floats
    entropy: Floats
    loss: Floats | None
    in_top5: Flags | None


@dataclass(frozen=True, slots=True)
class Scored:
    """Both models' scores of the same rows.

    Attributes:
        samples: the sample that each row belongs to, ascending; without repetition where a row is
            a sample.
        per: what a row is, ``sample`` or ``token``.
        labels: the right classes; None where there are none.
        classes: how many there are.
        kl, kl_reverse, js, cross_entropy: divergences in nats, of the compressed model from the
            original (`compaudit.theory.information`); NaN where one of the rows is not usable.
        same_top5: whether both models have the same five classes on top.
        floored: probabilities that were exactly zero and count as the smallest subnormal.
    """

    samples: Integers
    per: str
    labels: Integers | None
    classes: int
    kl: Floats
    kl_reverse: Floats
    js: Floats
    cross_entropy: Floats
    same_top5: Flags
    original: ModelRows
    compressed: ModelRows
    floored: int

    @property
    def usable(self) -> Flags:
        """Rows of which both models give a distribution."""
        return np.asarray(self.original.usable & self.compressed.usable)
