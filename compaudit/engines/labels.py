"""The right answers of a data set, by range, beside the outputs for it."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from compaudit.data.base import Answers, DataRequest
from compaudit.data.open import open_data
from compaudit.errors import RequestError

__all__ = ["LabelReader"]


class LabelReader:
    """Reads right answers only, from a data set of its own.

    So whether the rest of a sample can be read is none of its business, and nothing that was found
    out about that while models were fed decides which rows the labels have.

    Args:
        data: what to open.
        answers: where the right answers are; None where there are none.

    Raises:
        RequestError: the data cannot be opened.
    """

    def __init__(self, data: DataRequest, answers: Answers | None) -> None:
        self._dataset = open_data(data)
        self._answers = answers

    def read(self, start: int, stop: int) -> tuple[NDArray[Any] | None, dict[int, str]]:
        """The labels of these samples; also which samples they lack a row for, and why."""
        if self._answers is None:
            return None, {}
        from compaudit.data.labels import read_labels

        labels = read_labels(self._dataset, self._answers, start, stop)
        assert labels is not None, "there are answers"
        if len(labels) == stop - start:
            return labels, {}
        known = self._dataset.broken
        broken = {index: str(known[index]) for index in range(start, stop) if index in known}
        if len(labels) + len(broken) != stop - start:
            raise RequestError(
                f"the data gives {len(labels)} labels for {stop - start} samples",
                hint="check --data: every sample needs its label",
                code="labels-do-not-fit",
                stage="data",
            )
        return labels, broken

    def uniform(self, start: int, stop: int) -> int:
        """The end, at most `stop`, of the samples from `start` on that have equal shapes."""
        return self._dataset.uniform(start, stop)
