import functools
import pickle
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from statsmodels.stats.weightstats import DescrStatsW

from compaudit.engines.base import Batch
from compaudit.measure.accuracy.custom import CustomMeter, bare_accuracy

Array = NDArray[Any]


def fed(meter: CustomMeter, original: Array, compressed: Array, start: int = 0) -> CustomMeter:
    indices = np.arange(start, start + len(original))
    meter.update(Batch(indices, None, {}, {}, {"bleu": original}, {"bleu": compressed}))
    return meter


def given_scores(samples: int, seed: int = 0) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    original = random.normal(30, 5, samples)
    return original, original + random.normal(-0.4, 1, samples)


def test_means_and_paired_difference_against_statsmodels() -> None:
    original, compressed = given_scores(200)
    figures, skipped = fed(CustomMeter(0.9), original, compressed).result()
    metric = figures["bleu"]
    assert skipped == []
    for estimate, values in (
        (metric.original, original),
        (metric.compressed, compressed),
        (metric.delta, compressed - original),
    ):
        expected = DescrStatsW(values)
        assert estimate.value == pytest.approx(expected.mean, rel=1e-12)
        assert (estimate.low, estimate.high) == pytest.approx(expected.tconfint_mean(0.1), rel=1e-9)
    t_test = DescrStatsW(compressed - original).ttest_mean()
    assert metric.delta.p_value == pytest.approx(t_test[1], rel=1e-7)
    assert metric.delta.worst_case is None  # whether more is better, nobody said


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 59), max_size=6), st.randoms(use_true_random=False))
def test_any_split_in_any_order(cuts: list[int], random: Any) -> None:
    original, compressed = given_scores(60, 3)
    whole = fed(CustomMeter(), original, compressed).result()[0]["bleu"]
    edges = [0, *sorted(set(cuts)), 60]
    spans = list(pairwise(edges))
    random.shuffle(spans)
    meters = [
        pickle.loads(pickle.dumps(fed(CustomMeter(), original[a:b], compressed[a:b], a)))
        for a, b in spans
    ]

    def joined(first: CustomMeter, second: CustomMeter) -> CustomMeter:
        first.merge(second)
        return first

    merged = functools.reduce(joined, meters, CustomMeter()).result()[0]["bleu"]
    for part in ("original", "compressed", "delta"):
        ours, expected = (msgspec.to_builtins(getattr(m, part)) for m in (merged, whole))
        assert ours.pop("worst_case", None) is expected.pop("worst_case", None) is None
        assert ours == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("backwards", [False, True])
def test_what_is_not_finite_is_counted_and_located(value: float, backwards: bool) -> None:
    original, compressed = given_scores(50)
    compressed[[17, 40]] = value
    parts = [
        fed(CustomMeter(), original[:30], compressed[:30]),
        fed(CustomMeter(), original[30:], compressed[30:], 30),
    ]
    parts = parts[::-1] if backwards else parts
    parts[0].merge(parts[1])
    figures, skipped = parts[0].result()
    assert figures == {}
    (entry,) = skipped
    assert entry.metric == 'accuracy.custom["bleu"]'
    assert "compressed model" in entry.reason
    assert "2 of 50 samples" in entry.reason
    assert "sample 17" in entry.reason


def test_both_models_infinite_is_no_difference_of_nothing() -> None:
    original, compressed = given_scores(5)
    original[1] = compressed[1] = np.inf
    figures, skipped = fed(CustomMeter(), original, compressed).result()
    assert figures == {}
    assert "original model" in skipped[0].reason


def test_scores_too_large_to_be_added_up() -> None:
    huge = np.full(4, 1.7e308)
    figures, skipped = fed(CustomMeter(), huge, -huge).result()
    assert figures == {}
    assert "too large" in skipped[0].reason
    # their difference is a number, and they are none the less
    assert fed(CustomMeter(), huge, huge).result()[0] == {}


def test_a_single_sample_has_values_and_no_interval() -> None:
    figures, _ = fed(CustomMeter(), np.array([1.0]), np.array([3.0])).result()
    assert figures["bleu"].delta.value == 2.0
    assert figures["bleu"].delta.low is None
    assert figures["bleu"].delta.p_value is None


def test_no_samples_are_no_evidence() -> None:
    assert CustomMeter().result() == ({}, [])
    figures, skipped = fed(CustomMeter(), np.empty(0), np.empty(0)).result()
    assert figures == {}
    assert [entry.reason for entry in skipped] == ["there are no samples"]


def test_an_accuracy_of_nothing_else() -> None:
    custom, _ = fed(CustomMeter(), *given_scores(8)).result()
    accuracy = bare_accuracy("auto", 8, custom)
    fields = msgspec.structs.asdict(accuracy)
    known = ("task", "samples", "skipped_samples", "custom", "per_class")
    assert [fields.pop(name) for name in known] == ["auto", 8, 0, custom, []]
    assert set(fields.values()) == {None}
