"""Do the labels suit the task, and which task do they suggest?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.config import Task
from compaudit.data.labels import NO_ANSWER
from compaudit.errors import RequestError
from compaudit.measure.signature import Samples

__all__ = ["as_classes", "check_range", "choose_task"]

# Labels are small: so many at a time take a few MiB at most, unless each is an image.
_CHUNK = 4096


def choose_task(task: Task, samples: Samples) -> Task:
    """The task as declared, or what the labels say: whole numbers are classes.

    All labels are looked at, some at a time, so that a wrong one is found before a model runs.

    Raises:
        RequestError: the labels do not suit the task.
    """
    if task in ("embedding", "causal-lm"):
        return task
    total, start = samples.dataset.samples, 0
    one_hot = task == "auto"
    while start < total:
        stop = samples.dataset.uniform(start, min(start + _CHUNK, total))
        labels = samples.labels_of(start, stop)
        assert labels is not None, "a task is chosen from labels"
        if len(labels) < stop - start and not samples.dataset.broken:
            raise _refused(
                f"there are {start + len(labels)} labels for {total} samples",
                "give one label for each sample",
            )
        one_hot = one_hot and _is_one_hot(labels)
        if task == "auto":
            task = "classification" if labels.dtype.kind in "iu" else "regression"
        match task:
            case "classification":
                # Where samples could not be read, the others' places are not known here.
                places = None if samples.dataset.broken else np.arange(start, stop)
                _check_classes(labels, places)
            case "regression":
                _check_numbers(labels)
        start = stop
    if one_hot and total:
        raise _refused(
            "the labels are one-hot: a single 1 in every row, among zeros",
            "one-hot labels become indices with labels.argmax(axis=1); if they are numbers to "
            "predict, say --task regression",
        )
    return task


def as_classes(
    labels: NDArray[Any], classes: int, samples: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Labels as places in the models' scores, from 0 to `classes` − 1.

    Args:
        labels: one for each row of scores.
        classes: how many the models have.
        samples: the sample of each label, for errors.

    Raises:
        RequestError: a label is none of the classes.
    """
    _check_classes(labels, samples)
    check_range(labels, classes, samples)
    return labels.astype(np.int64)


def check_range(
    labels: NDArray[Any], classes: int, samples: NDArray[np.int64] | None = None
) -> None:
    """Whether whole numbers are classes of the models; arguments as in `as_classes`.

    Raises:
        RequestError: one is negative or too large.
    """
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        place = int(wrong[0])
        raise RequestError(
            f"the label {int(labels[place])}{_of(samples, place)} is none of the models' {classes} "
            f"classes, 0 to {classes - 1}",
            hint="labels are class indices that start at 0; check how they were made",
            code="labels-out-of-range",
            stage="evaluate",
        )


def _check_classes(labels: NDArray[Any], samples: NDArray[np.int64] | None) -> None:
    """Whether these are class indices; `samples` has the sample of each, where it is known."""
    if labels.ndim != 1 or labels.dtype.kind not in "fiu":
        raise _refused(
            f"the labels are {_described(labels)}, and classification wants one class index a "
            "sample",
            "one-hot labels become indices with labels.argmax(axis=1)"
            if labels.ndim == 2
            else "save whole numbers, labels.astype(int), or say --task regression",
        )
    if labels.dtype.kind == "f":
        _check_whole(labels, samples)
    if labels.dtype.kind != "u" and (negative := np.flatnonzero(labels < 0)).size:
        place = int(negative[0])
        if labels[place] == NO_ANSWER:
            raise _refused(
                f"the label{_of(samples, place)} is {NO_ANSWER}, which says that there is no right "
                "answer",
                "leave such samples out of the data",
            )
        raise RequestError(
            f"the label{_of(samples, place)} is {int(labels[place])}, and no class is negative",
            hint="labels are class indices that start at 0; check how they were made",
            code="labels-out-of-range",
            stage="data",
        )


def _check_whole(labels: NDArray[Any], samples: NDArray[np.int64] | None) -> None:
    """Whether floating-point labels are whole numbers."""
    # NaN and infinity are no numbers of classes either.
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero(~(np.isfinite(labels) & (labels == np.trunc(labels))))
    if len(wrong):
        place = int(wrong[0])
        raise _refused(
            f"the label{_of(samples, place)} is {labels[place]:g}, which is no whole number, and "
            "so no class",
            "leave out the samples that have no right answer"
            if not np.isfinite(labels[place])
            else "save class indices, or say --task regression",
        )


def _is_one_hot(labels: NDArray[Any]) -> bool:
    """Whether fractions may be classes after all: in each row one is 1, and the others are 0."""
    if labels.ndim != 2 or labels.shape[1] < 2 or labels.dtype.kind != "f":
        return False
    ones = labels == 1
    return bool((ones | (labels == 0)).all() and (ones.sum(axis=1) == 1).all())


def _check_numbers(labels: NDArray[Any]) -> None:
    if labels.dtype.kind not in "fiu":
        raise _refused(
            f"the labels are {_described(labels)}, and neither class indices nor numbers to "
            "predict",
            "save class indices as whole numbers that start at 0",
        )
    if lost := int(np.count_nonzero(~np.isfinite(labels))):
        raise _refused(
            f"{'1 label is' if lost == 1 else f'{lost} labels are'} NaN or infinite",
            "leave out the samples that have no right answer",
        )


def _of(samples: NDArray[np.int64] | None, place: int) -> str:
    return "" if samples is None else f" of sample {int(samples[place])}"


def _described(labels: NDArray[Any]) -> str:
    kind = "text" if labels.dtype.kind in "USTO" else labels.dtype
    return f"{kind} of shape {labels.shape}"


def _refused(message: str, hint: str) -> RequestError:
    return RequestError(message, hint=hint, code="labels-do-not-fit", stage="data")
