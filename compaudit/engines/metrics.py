"""The user's own figures: a function that gives every sample a score, beside the model it judges.

``--metric package.module:function`` names it. It gets what one model gave for a batch, and the
labels, and returns one number a sample:

    def exact_match(outputs: dict[str, ndarray], labels: ndarray | None) -> ndarray

It runs in the worker that holds the model, so that large outputs need not travel for its sake, and
the error that the worker hands on names the model.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.data.function import find_function, is_function, where_and_what
from compaudit.engines.base import Outputs
from compaudit.errors import RequestError

__all__ = ["metric_names", "score_outputs"]


def metric_names(metrics: Sequence[str]) -> dict[str, str]:
    """What each metric is called in the report, and its ``module:function``.

    The function's name; where two are called the same, both by ``module:function``. One that is
    named twice is one.
    """
    known = dict.fromkeys(metrics)
    short = Counter(_function_name(metric) for metric in known)
    return {
        metric if short[_function_name(metric)] > 1 else _function_name(metric): metric
        for metric in known
    }


def score_outputs(
    metrics: Sequence[str], outputs: Outputs, labels: NDArray[Any] | None
) -> dict[str, NDArray[np.float64]]:
    """Every metric's score of every sample of a batch.

    Args:
        metrics: ``module:function`` each; imported once, from where `admit_user_modules` looks.
        outputs: one model's, by name; the first dimension counts samples. The functions get them
            read-only, for others read them too.
        labels: the right answers, one row a sample; None without.

    Returns:
        By the name in the report, (samples,) each. NaN and infinities are left for the report to
        find.

    Raises:
        RequestError: a function cannot be imported (``metric-missing``), raises
            (``metric-failed``), or returns anything but a number a sample (``metric-not-scores``).
    """
    samples = len(next(iter(outputs.values())))
    given = {name: _read_only(output) for name, output in outputs.items()}
    answers = None if labels is None else _read_only(labels)
    return {
        name: _scores(metric, _called(metric, given, answers), samples)
        for name, metric in metric_names(metrics).items()
    }


def _function_name(metric: str) -> str:
    return metric.rpartition(":")[2].rpartition(".")[2]


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _called(metric: str, outputs: Mapping[str, NDArray[Any]], labels: NDArray[Any] | None) -> Any:
    function = _imported(metric)
    try:
        return function(dict(outputs), labels)
    except (Exception, SystemExit) as error:
        place, what = where_and_what(error)
        raise _refuse(
            "metric-failed",
            f"--metric {metric} raised {what}",
            f"look at {place}; it is called as function(outputs, labels), with a dict of read-only "
            "arrays, and one array or None",
        ) from error


def _scores(metric: str, returned: Any, samples: int) -> NDArray[np.float64]:
    """What a function returned, as one number a sample."""
    try:
        scores = np.asarray(returned)
    except Exception as error:
        raise _refuse(
            "metric-not-scores",
            f"--metric {metric} returned a {type(returned).__name__} that is no array: "
            f"{where_and_what(error)[1]}",
            "return one number for each sample",
        ) from error
    if scores.dtype.kind not in "biuf":
        what = "None" if returned is None else f"{scores.dtype} values"
        raise _refuse(
            "metric-not-scores",
            f"--metric {metric} returned {what}, not numbers",
            "return one number for each sample, such as a float32 array",
        )
    if scores.shape != (samples,):
        raise _refuse(
            "metric-not-scores",
            f"--metric {metric} returned shape {scores.shape} for {samples} samples, not "
            f"({samples},)",
            "return the score of every sample, and leave the averaging to compaudit",
        )
    return scores.astype(np.float64)


@functools.cache
def _imported(metric: str) -> Callable[..., Any]:
    """The function itself; a file is executed once. Raises RequestError where there is none."""
    if not is_function(metric):
        raise _refuse(
            "metric-missing",
            f"--metric {metric} does not name a function",
            "write module:function or file.py:function, such as my_metrics:exact_match",
        )
    try:
        return find_function(metric)
    except RequestError as error:
        message = f"--metric {metric}: {error.message}"
        raise _refuse("metric-missing", message, error.hint) from error
    except SystemExit as error:
        raise _refuse(
            "metric-missing",
            f"--metric {metric}: the module ends Python where it is imported",
            "keep what a script does under: if __name__ == '__main__'",
        ) from error


def _refuse(code: str, message: str, hint: str) -> RequestError:
    return RequestError(message, hint=hint, code=code, stage="evaluate")
