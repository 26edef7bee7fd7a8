"""Which rows of class scores a batch holds: one a sample, or one for each predicted token."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.data.labels import NO_ANSWER
from compaudit.engines.base import Batch, Outputs
from compaudit.errors import RequestError
from compaudit.measure.accuracy.labels import as_classes
from compaudit.measure.recipe import ScoreSource
from compaudit.measure.scored import Scored
from compaudit.measure.scoring import score_rows

__all__ = ["scored_samples", "scored_tokens"]


def scored_samples(
    source: ScoreSource, batch: Batch, in_front: tuple[Outputs, Outputs], *, graded: bool
) -> Scored:
    """What the class scores of every sample say.

    Args:
        source: where they are.
        batch: outputs under the pair's names.
        in_front: logits in front of them, by the output's name.
        graded: whether the labels are the right classes.

    Raises:
        RequestError: a label is none of the classes.
    """
    original, compressed = _scores(source, batch, in_front)
    labels = None
    if graded:
        assert batch.labels is not None, "there are answers"
        labels = as_classes(np.asarray(batch.labels), original.shape[-1], batch.indices)
    return score_rows(original, compressed, source.kinds, batch.indices, labels=labels)


def scored_tokens(
    source: ScoreSource, batch: Batch, in_front: tuple[Outputs, Outputs], *, graded: bool
) -> Scored:
    """What the scores of the next token say, at every position that has one.

    The row at position t predicts the label at t + 1, as in Hugging Face's causal language models;
    where that is `NO_ANSWER` the row is left out. Without labels every position counts.

    Args:
        source: where they are, (samples, length, vocabulary).
        batch: outputs under the pair's names; labels are token numbers, (samples, length).
        in_front: logits in front of them, by the output's name.
        graded: whether the labels are the right tokens.

    Raises:
        RequestError: labels and scores do not fit one another.
    """
    original, compressed = _scores(source, batch, in_front)
    samples, length, words = original.shape
    labels = places = None
    owners = np.repeat(batch.indices, length)
    if graded:
        tokens = _tokens(batch, samples, length)
        following = np.full((samples, length), NO_ANSWER, dtype=np.int64)
        following[:, :-1] = tokens[:, 1:]
        places = np.flatnonzero(following != NO_ANSWER)
        owners = owners[places]
        labels = as_classes(following.ravel()[places], words, owners)
    return score_rows(
        original.reshape(-1, words),
        compressed.reshape(-1, words),
        source.kinds,
        owners,
        labels=labels,
        places=places,
        per="token",
    )


def _scores(
    source: ScoreSource, batch: Batch, in_front: tuple[Outputs, Outputs]
) -> tuple[NDArray[Any], NDArray[Any]]:
    pair, tapped = source.pair, source.tapped
    return (
        (in_front[0] if tapped[0] else batch.original)[pair.original],
        (in_front[1] if tapped[1] else batch.compressed)[pair.compressed],
    )


def _tokens(batch: Batch, samples: int, length: int) -> NDArray[Any]:
    labels = np.asarray(batch.labels)
    if labels.shape == (samples, length) and labels.dtype.kind in "iu":
        return labels
    raise RequestError(
        f"the labels are {labels.dtype} of shape {labels.shape}, and the scores of the next token "
        f"are for {samples} samples of {length} tokens",
        hint=f"give one token number for each position, {NO_ANSWER} where none is to be predicted",
        code="labels-do-not-fit",
        stage="evaluate",
    )
