"""Where the right answers of a data set are, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.data.base import LABELS, Answers, ArrayInfo, Dataset, element_type

__all__ = ["NO_ANSWER", "find_answers", "read_labels"]

NO_ANSWER = -100
"""Stands where a token is not to be predicted; PyTorch's and Hugging Face's convention."""

_TOKENS = "input_ids"
_MASK = "attention_mask"


def find_answers(task: str, arrays: Sequence[ArrayInfo]) -> Answers | None:
    """Which array holds the right answers; None where none does.

    It is called ``labels`` or ``label``. What a causal language model is fed is its right answer
    too: ``input_ids``, or the only array of whole numbers.

    Args:
        task: ``--task``.
        arrays: what the data holds.
    """
    names = {array.name for array in arrays}
    given = next((array.name for array in arrays if array.name in LABELS), None)
    if task != "causal-lm":
        return None if given is None else Answers(given)
    whole = [array.name for array in arrays if _is_whole(array) and array.name != _MASK]
    tokens = given or (_TOKENS if _TOKENS in names else None)
    if tokens is None and len(whole) == 1:
        (tokens,) = whole
    if tokens is None:
        return None
    return Answers(tokens, tokens=True, mask=_MASK if _MASK in names else None)


def read_labels(
    dataset: Dataset, answers: Answers | None, start: int, stop: int
) -> NDArray[Any] | None:
    """The right answers of some samples.

    Args:
        dataset: the samples; any process may have opened them.
        answers: where the answers are.
        start: the first sample.
        stop: the end (exclusive).

    Returns:
        None without answers. One row a sample: numbers as they are, no and yes as the classes 0 and
        1, a second dimension of size 1 left out. Tokens as int64, (samples, length), `NO_ANSWER`
        where there is none: where the mask is 0, and behind such a place, from which a token cannot
        be predicted.
    """
    if answers is None:
        return None
    names = {answers.array} | ({answers.mask} if answers.mask is not None else set())
    batch = dataset.batch(start, stop, names)
    labels = batch[answers.array]
    if answers.tokens:
        if labels.dtype.kind not in "iu":
            return labels
        mask = batch[answers.mask] if answers.mask is not None else None
        return _tokens(labels.astype(np.int64), mask)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    return labels.astype(np.int64) if labels.dtype.kind == "b" else labels


def _tokens(labels: NDArray[np.int64], mask: NDArray[Any] | None) -> NDArray[np.int64]:
    if mask is None or mask.shape != labels.shape:
        return labels
    absent = mask == 0
    # Padding in front: the first token has nothing before it to be predicted from.
    absent[:, 1:] |= mask[:, :-1] == 0
    labels[absent] = NO_ANSWER
    return labels


def _is_whole(array: ArrayInfo) -> bool:
    dtype = element_type(array.dtype)
    return dtype is not None and dtype.kind in "iu"
