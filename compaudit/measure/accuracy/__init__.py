"""How good is each model at the labelled task, and is the difference real?

One file a task; `TASKS` is the registry. All figures are paired: the same samples for both models.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.config import Task
from compaudit.errors import RequestError
from compaudit.measure.accuracy.classification import ClassificationMeter
from compaudit.measure.accuracy.regression import RegressionMeter
from compaudit.measure.signature import Samples

__all__ = ["TASKS", "ClassificationMeter", "RegressionMeter", "choose_task"]

TASKS: dict[str, type[ClassificationMeter] | type[RegressionMeter]] = {
    "classification": ClassificationMeter,
    "regression": RegressionMeter,
}


def choose_task(task: Task, samples: Samples) -> Task:
    """The task as declared, or what the labels say: whole numbers are classes.

    Raises:
        RequestError: the labels do not suit the task.
    """
    labels = samples.labels_of(0, samples.dataset.samples)
    assert labels is not None, "a task is chosen from labels"
    if task == "auto":
        task = "classification" if labels.dtype.kind in "iu" else "regression"
    if task == "classification" and (labels.ndim != 1 or labels.dtype.kind not in "iu"):
        raise _refused(
            f"the labels are {_described(labels)}, and classification wants one class index a "
            "sample",
            "one-hot labels become indices with labels.argmax(axis=1)"
            if labels.ndim == 2
            else "save whole numbers, labels.astype(int), or say --task regression",
        )
    if task == "regression" and labels.dtype.kind not in "fiu":
        raise _refused(
            f"the labels are {_described(labels)}, and neither class indices nor numbers to "
            "predict",
            "save class indices as whole numbers that start at 0",
        )
    if task == "regression" and not np.isfinite(labels).all():
        raise _refused(
            f"{np.count_nonzero(~np.isfinite(labels))} labels are NaN or infinite",
            "leave out the samples that have no right answer",
        )
    return task


def _described(labels: NDArray[Any]) -> str:
    return f"{labels.dtype} of shape {labels.shape}"


def _refused(message: str, hint: str) -> RequestError:
    return RequestError(message, hint=hint, code="labels-do-not-fit", stage="data")
