"""Which output of the one model answers to which of the other, and what do its numbers mean?

Outputs are matched by name; ``--map-output a=b`` says otherwise; never silently by position. Only a
framework that gives outputs no names (a PyTorch module returning a tensor) leaves one to one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compaudit.engines.base import Outputs
from compaudit.errors import RequestError
from compaudit.theory.information import log_from_probabilities, log_probabilities

__all__ = ["OutputPair", "Scores", "class_scores", "looks_like_classes", "match_outputs"]

# float16 softmax rows of a thousand classes still sum to one within this.
_SUM_TOLERANCE = 5e-3


@dataclass(frozen=True, slots=True)
class OutputPair:
    """An output of the original and the one of the compressed model that it is compared with."""

    original: str
    compressed: str


def match_outputs(
    original: Outputs,
    compressed: Outputs,
    mapping: Mapping[str, str],
    *,
    named: bool,
) -> tuple[OutputPair, ...]:
    """Pair every output of the original.

    Args:
        original, compressed: the outputs of one batch.
        mapping: ``--map-output``: name in the original → name in the compressed model.
        named: whether both frameworks name their outputs.

    Raises:
        RequestError: an output has no counterpart, or one of another shape.
    """
    for a, b in mapping.items():
        for name, outputs, which in ((a, original, "original"), (b, compressed, "compressed")):
            if name not in outputs:
                raise _mismatch(
                    f"--map-output {a}={b}: the {which} model has no output {name!r}",
                    f"it has {', '.join(map(repr, outputs))}",
                )
    if not named and not mapping and len(original) == len(compressed) == 1:
        pairs = [OutputPair(next(iter(original)), next(iter(compressed)))]
    else:
        pairs = [OutputPair(name, mapping.get(name, name)) for name in original]
    for pair in pairs:
        if pair.compressed not in compressed:
            raise _mismatch(
                f"the original's output {pair.original!r} has no counterpart: the compressed model "
                f"gives {', '.join(map(repr, compressed))}",
                f"say which one it is: --map-output {pair.original}={next(iter(compressed), '…')}",
            )
        a_shape, b_shape = original[pair.original].shape, compressed[pair.compressed].shape
        if a_shape != b_shape:
            raise _mismatch(
                f"output {pair.original!r} has shape {a_shape} in the original and {b_shape} in "
                "the compressed model",
                "compare models that answer the same question, or choose outputs with --map-output",
            )
    unmatched = set(compressed) - {pair.compressed for pair in pairs}
    if unmatched:
        raise _mismatch(
            f"the compressed model has an output {min(unmatched)!r} that the original has not",
            "leave it out when exporting, or choose outputs with --map-output",
        )
    return tuple(pairs)


def looks_like_classes(values: NDArray[Any]) -> bool:
    """Whether these are scores of at least two classes, one row a sample."""
    return values.ndim == 2 and values.shape[1] >= 2 and values.dtype.kind == "f"


@dataclass(frozen=True, slots=True)
class Scores:
    """Class scores of a batch as log-probabilities, float64.

    Attributes:
        log: one row a sample; rows with NaN or infinite scores are left out.
        usable: which samples are in `log`.
        predicted: the class with the highest score, −1 where the scores are not numbers.
        floored: probabilities that were exactly zero and count as the smallest subnormal.
    """

    log: NDArray[np.float64]
    usable: NDArray[np.bool_]
    predicted: NDArray[np.int64]
    floored: int


def kind_of_scores(values: NDArray[Any]) -> Literal["logits", "probabilities"]:
    """Probabilities when every row lies in [0, 1] and sums to one; otherwise logits.

    Log-probabilities may be read as logits: the log-softmax leaves them as they are.
    """
    finite = values[np.isfinite(values).all(axis=-1)].astype(np.float64)
    if (
        len(finite)
        and finite.min() >= 0
        and np.all(np.abs(finite.sum(axis=-1) - 1) <= _SUM_TOLERANCE)
    ):
        return "probabilities"
    return "logits"


def class_scores(values: NDArray[Any], kind: Literal["logits", "probabilities"]) -> Scores:
    """One batch of class scores as log-probabilities.

    Args:
        values: (samples, classes), logits or probabilities, float16 to float64.
        kind: which of the two, decided once for the whole data set.
    """
    usable = np.isfinite(values).all(axis=-1)
    rows = values[usable]
    floored = 0
    if kind == "probabilities":
        # A softmax in low precision sums to one only nearly; what is compared is what it means.
        rows = rows.astype(np.float64)
        rows = rows / rows.sum(axis=-1, keepdims=True)
        log, floored = log_from_probabilities(
            rows, float(np.finfo(values.dtype).smallest_subnormal)
        )
    else:
        log = log_probabilities(rows)
    predicted = np.full(len(values), -1, dtype=np.int64)
    predicted[usable] = rows.argmax(axis=-1) if rows.size else 0
    return Scores(log, usable, predicted, floored)


def _mismatch(message: str, hint: str) -> RequestError:
    return RequestError(message, hint=hint, code="outputs-do-not-fit", stage="evaluate")
