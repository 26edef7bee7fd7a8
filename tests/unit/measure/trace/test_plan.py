"""How outputs are divided into runs that stay within a limit."""

from pathlib import Path

import numpy as np
import pytest

from compaudit.data.base import DataRequest
from compaudit.data.open import open_data
from compaudit.errors import RequestError
from compaudit.measure.trace.graph import Heard
from compaudit.measure.trace.matching import Match
from compaudit.measure.trace.plan import Plan, batches, plan

MATCHES = [Match(name, Heard(name, "Relu"), Heard(name, "Relu"), "name") for name in "abcd"]
SIZES = {"a": (1, 100), "b": (1, 100), "c": (1, 50), "d": (1, 10)}  # 1040 bytes a sample


def planned(group_bytes: int, fixed=(None, None), theirs=SIZES):
    return plan(MATCHES, SIZES, theirs, fixed, group_bytes)


def names(groups) -> list[str]:
    return ["".join(match.name for match in group) for group in groups]


@pytest.mark.parametrize(
    ("group_bytes", "rows", "groups"),
    [
        (100_000, 8, ["abcd"]),  # as many as a run may have
        (3200, 3, ["abcd"]),
        (1040, 1, ["abcd"]),
        (1039, 1, ["abc", "d"]),  # 400 + 400 + 200, and 40
        (700, 1, ["a", "bcd"]),
        (100, 1, ["a", "b", "c", "d"]),  # more than there is room for, one at a time
    ],
)
def test_groups(group_bytes: int, rows: int, groups: list[str]) -> None:
    found = planned(group_bytes)
    assert found.rows == rows
    assert names(found.groups) == groups


def test_a_fixed_batch_counts_as_it_is() -> None:
    found = planned(1039, fixed=(20, None))
    assert found.rows == 20
    assert names(found.groups) == ["abc", "d"]


def test_different_fixed_batches() -> None:
    with pytest.raises(RequestError) as caught:
        planned(1000, fixed=(20, 10))
    assert caught.value.code == "batches-differ"


def test_other_sizes_are_left_out_and_unknown_ones_kept() -> None:
    theirs = {**SIZES, "b": (1, 99)}
    del theirs["a"]
    found = planned(100_000, theirs=theirs)
    assert names(found.groups) == ["acd"]
    assert (found.misfits, found.oversized) == (1, 0)


def test_what_no_memory_holds_is_left_out() -> None:
    huge = {**SIZES, "a": (1, 600_000_000)}
    found = plan(MATCHES, huge, huge, (None, None))
    assert names(found.groups) == ["bcd"]
    assert found.oversized == 1


@pytest.mark.parametrize(
    ("elements", "samples"), [(1000, 32), (12_500_000, 20), (25_000_000, 10), (100_000_000, 8)]
)
def test_large_outputs_take_fewer_samples(elements: int, samples: int) -> None:
    """A gigabyte in all: 50 MB a sample are twenty of them."""
    sizes = {"a": (1, elements)}
    assert plan(MATCHES[:1], sizes, sizes, (None, None)).samples == samples
    # A model that insists on five samples shows five of them in a run.
    sizes = {"a": (5, elements)}
    assert plan(MATCHES[:1], sizes, sizes, (5, None)).samples == samples


@pytest.mark.parametrize(
    ("samples", "rows", "runs"),
    [
        (32, 8, [(0, 8), (224, 232), (449, 457), (674, 682)]),  # quarters of 899
        (32, 20, [(0, 20), (449, 469)]),
        (8, 1, [(place * 899 // 8, place * 899 // 8 + 1) for place in range(8)]),
    ],
)
def test_samples_are_spread_over_the_data(tmp_path: Path, samples, rows, runs) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((899, 2), np.float32))
    data = open_data(DataRequest(uri=str(tmp_path / "data.npz")))
    assert batches(data, Plan(samples, rows, (), 0, 0)) == runs


def test_few_samples_are_run_once_each(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((30, 2), np.float32))
    data = open_data(DataRequest(uri=str(tmp_path / "data.npz")))
    assert batches(data, Plan(32, 20, (), 0, 0)) == [(0, 15), (15, 30)]
