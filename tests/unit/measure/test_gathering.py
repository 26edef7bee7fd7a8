"""Batches joined on their way to a tally."""

from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compaudit.engines.base import Batch
from compaudit.measure.gathering import Gathered


class Seen:
    """The batches that a tally was shown."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def update(self, batch: Batch) -> None:
        self.batches.append(batch)

    def merge(self, other: Self) -> None:
        self.batches += other.batches


def batch_of(start: int, count: int, width: int = 2, labels: bool = True, **more: Any) -> Batch:
    rows = np.arange(start, start + count)
    output = np.repeat(rows[:, None], width, axis=1).astype(np.float32)
    return Batch(
        indices=rows,
        labels=rows * 10 if labels else None,
        original={"y": output},
        compressed={"y": -output},
        original_scores={"own": rows * 0.5},
        **more,
    )


def shown(batches: list[Batch]) -> list[Batch]:
    gathered = Gathered(Seen)
    for batch in batches:
        gathered.update(batch)
    return gathered.finish().batches


@given(sizes=st.lists(st.integers(1, 700), max_size=40), labels=st.booleans())
def test_every_row_arrives_once_and_in_order(sizes: list[int], labels: bool) -> None:
    starts = np.cumsum([0, *sizes]).tolist()
    found = shown([batch_of(a, n, labels=labels) for a, n in zip(starts, sizes, strict=False)])
    rows = np.arange(starts[-1])
    if not sizes:
        assert found == []
        return
    assert np.concatenate([batch.indices for batch in found]).tolist() == rows.tolist()
    for batch in found:
        assert (batch.original["y"] == batch.indices[:, None]).all()
        assert (batch.compressed["y"] == -batch.indices[:, None]).all()
        assert (batch.original_scores["own"] == batch.indices * 0.5).all()
        assert dict(batch.compressed_scores) == {}
        if labels:
            assert batch.labels.tolist() == (batch.indices * 10).tolist()
        else:
            assert batch.labels is None


def test_the_first_comes_at_once_and_then_more_and_more_are_joined() -> None:
    found = shown([batch_of(place, 1) for place in range(40)])
    assert [len(batch.indices) for batch in found] == [1, 2, 4, 8, 16, 9]


def test_no_more_than_a_thousand_samples_or_two_megabytes() -> None:
    many = shown([batch_of(place * 300, 300) for place in range(40)])
    assert max(len(batch.indices) for batch in many) == 1200
    wide = shown([batch_of(place, 1, width=100_000) for place in range(9)])
    # 800 kB a batch, of both models: three of them are above 2 MB.
    assert [len(batch.indices) for batch in wide] == [1, 2, 3, 3]


@pytest.mark.parametrize(
    "other", [batch_of(3, 2, width=5), batch_of(3, 2, labels=False)], ids=["shape", "labels"]
)
def test_what_cannot_be_joined_is_not(other: Batch) -> None:
    found = shown([batch_of(0, 1), batch_of(1, 2), other, batch_of(5, 1)])
    assert [batch.indices.tolist() for batch in found] == [[0], [1, 2], [3, 4], [5]]


def test_the_memory_of_a_batch_may_be_used_again_when_it_was_taken_in() -> None:
    gathered = Gathered(Seen)
    gathered.update(batch_of(0, 1))
    second = batch_of(1, 1)
    gathered.update(second)
    second.original["y"][:] = 77.0
    gathered.update(batch_of(2, 1))
    assert gathered.finish().batches[1].original["y"][:, 0].tolist() == [1.0, 2.0]


def test_what_is_held_back_is_merged_too() -> None:
    first, second = Gathered(Seen), Gathered(Seen)
    for place in range(2):
        first.update(batch_of(place, 1))
        second.update(batch_of(place + 2, 1))
    first.merge(second)
    assert [batch.indices.tolist() for batch in first.finish().batches] == [[0], [1], [2], [3]]
