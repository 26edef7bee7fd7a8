"""How good is each model at the labelled task, and is the difference real?

One file a task; `TASKS` is the registry. All figures are paired: the same samples for both models.
"""

from __future__ import annotations

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
        described = f"{labels.dtype} of shape {labels.shape}"
        raise RequestError(
            f"the labels are {described}, and classification wants one class index a sample",
            hint="one-hot labels become indices with labels.argmax(axis=1)",
            code="labels-do-not-fit",
            stage="data",
        )
    if task == "regression" and labels.dtype.kind not in "fiu":
        raise RequestError(
            f"the labels are {labels.dtype}, and regression wants numbers",
            hint="save the labels as numbers",
            code="labels-do-not-fit",
            stage="data",
        )
    return task
