"""How good is each model at the labelled task, and is the difference real?

One file a task; `TASKS` is the registry. All figures are paired: the same samples for both models.
"""

from __future__ import annotations

from collections.abc import Callable

from compaudit.measure.accuracy.base import Subject, TaskMeter
from compaudit.measure.accuracy.classification import ClassificationMeter
from compaudit.measure.accuracy.labels import as_classes, check_range, choose_task
from compaudit.measure.accuracy.language import LanguageMeter
from compaudit.measure.accuracy.regression import RegressionMeter

__all__ = [
    "TASKS",
    "ClassificationMeter",
    "LanguageMeter",
    "RegressionMeter",
    "Subject",
    "TaskMeter",
    "as_classes",
    "check_range",
    "choose_task",
]

AnyMeter = ClassificationMeter | RegressionMeter | LanguageMeter

TASKS: dict[str, Callable[[Subject], AnyMeter]] = {
    "classification": ClassificationMeter,
    "regression": RegressionMeter,
    "causal-lm": LanguageMeter,
}
