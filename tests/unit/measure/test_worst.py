import json
import pickle
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special

from compaudit.engines.base import Batch
from compaudit.measure.outputs import OutputPair
from compaudit.measure.scored import Scored
from compaudit.measure.scoring import score_rows
from compaudit.measure.worst import WorstSamples
from compaudit.results import WorstSample

SURPRISE = 1074 * np.log(2)  # the smallest float64 above zero is 2⁻¹⁰⁷⁴


def scored(
    original: NDArray[Any], compressed: NDArray[Any], labels: NDArray[Any] | None, at: NDArray[Any]
) -> Scored:
    right = None if labels is None else labels[at]
    return score_rows(original[at], compressed[at], ("logits", "logits"), at, labels=right)


def fed(
    limit: int,
    original: NDArray[Any],
    compressed: NDArray[Any],
    labels: NDArray[Any] | None,
    at: NDArray[Any],
) -> WorstSamples:
    worst = WorstSamples(limit)
    batch = Batch(at, None if labels is None else labels[at], {}, {})
    worst.update(batch, scored(original, compressed, labels, at))
    return worst


def worst_of(
    limit: int, original: NDArray[Any], compressed: NDArray[Any], labels: NDArray[Any] | None
) -> list[WorstSample]:
    at = np.arange(len(original))
    return fed(limit, original, compressed, labels, at).result(lambda index: f"{index}.png")


def logits(samples: int = 60, classes: int = 4) -> tuple[NDArray[Any], ...]:
    random = np.random.default_rng(0)
    labels = random.integers(0, classes, samples)
    original = random.normal(0, 1, (samples, classes)) + 1.5 * np.eye(classes)[labels]
    return original, original + random.normal(0, 1, original.shape), labels


def losses(values: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(-special.log_softmax(values, axis=1)[np.arange(len(labels)), labels])


# ------------------------------------------------------------------------------ class scores


def test_broken_ones_first_then_those_whose_loss_rose() -> None:
    a, b, labels = logits()
    found = worst_of(1000, a, b, labels)
    rise = losses(b, labels) - losses(a, labels)
    broken = (a.argmax(axis=1) == labels) & (b.argmax(axis=1) != labels)
    others = ~broken & (rise > 0)
    expected = sorted(np.flatnonzero(broken), key=lambda i: -rise[i])
    expected += sorted(np.flatnonzero(others), key=lambda i: -rise[i])
    assert [sample.index for sample in found] == expected
    for sample in found:
        assert sample.name == f"{sample.index}.png"
        assert sample.why == ("broken" if broken[sample.index] else "loss")
        assert sample.score == pytest.approx(rise[sample.index])
        assert sample.label == labels[sample.index]
        assert sample.original == a[sample.index].argmax()
        assert sample.compressed == b[sample.index].argmax()
    assert worst_of(7, a, b, labels) == found[:7]
    assert worst_of(0, a, b, labels) == []


def test_without_labels_by_divergence() -> None:
    a, b, _ = logits()
    p, q = (special.softmax(values, axis=1) for values in (a, b))
    kl = special.rel_entr(p, q).sum(axis=1)
    found = worst_of(10, a, b, None)
    assert [sample.index for sample in found] == np.argsort(-kl)[:10].tolist()
    assert [sample.score for sample in found] == pytest.approx(np.sort(kl)[::-1][:10].tolist())
    assert {sample.why for sample in found} == {"kl"}
    assert {sample.label for sample in found} == {None}
    assert found[0].original == a[found[0].index].argmax()


def test_equal_models_hurt_nobody() -> None:
    a, _, labels = logits()
    assert worst_of(10, a, a, labels) == []
    assert worst_of(10, a, a, None) == []


def test_equally_bad_ones_by_index() -> None:
    a, b = np.tile([2.0, 0.0], (9, 1)), np.tile([0.0, 2.0], (9, 1))
    found = worst_of(4, a, b, np.zeros(9, np.int64))
    assert [sample.index for sample in found] == [0, 1, 2, 3]


@given(
    st.lists(st.integers(0, 3), min_size=60, max_size=60), st.permutations(range(4)), st.booleans()
)
@settings(max_examples=30, deadline=None)
def test_any_split_merges_into_the_same_list(
    owners: list[int], order: list[int], labelled: bool
) -> None:
    a, b, labels = logits()
    a, b = a.round(0), b.round(0)  # many are equally bad
    right = labels if labelled else None
    whole = WorstSamples(8)
    for owner in order:
        part = fed(8, a, b, right, np.flatnonzero(np.array(owners) == owner))
        whole.merge(pickle.loads(pickle.dumps(part)))
    assert whole.result(lambda index: f"{index}.png") == worst_of(8, a, b, right)


# ---------------------------------------------------------------------------- what is no number


@pytest.mark.parametrize("labelled", [True, False])
def test_a_model_that_gives_no_numbers_is_the_worst(labelled: bool) -> None:
    a, b, labels = logits()
    labels = a.argmax(axis=1)
    b[41] = np.nan
    b[17, 1] = np.inf
    b[3] = 2000 * np.eye(4)[(labels[3] + 1) % 4]  # a finite, absurd loss
    found = worst_of(3, a, b, labels if labelled else None)
    assert [sample.index for sample in found] == [17, 41, 3]
    assert [sample.score for sample in found[:2]] == pytest.approx([SURPRISE, SURPRISE])
    assert found[1].compressed is None
    assert "null" not in json.dumps([sample.score for sample in found])
    decoded = msgspec.json.decode(msgspec.json.encode(found), type=list[WorstSample])
    assert decoded == found


@pytest.mark.parametrize("labelled", [True, False])
def test_an_original_without_numbers_loses_nothing(labelled: bool) -> None:
    a, b, labels = logits()
    a[5] = np.nan
    found = worst_of(1000, a, b, labels if labelled else None)
    assert 5 not in [sample.index for sample in found]


# ------------------------------------------------------------------------------------- tokens


def test_a_sequence_counts_by_the_mean_of_its_tokens() -> None:
    a, b, labels = logits(12)
    sequences = np.array([2, 2, 2, 5, 5, 7, 7, 7, 7, 9, 9, 9])
    rise = losses(b, labels) - losses(a, labels)
    means = {index: rise[sequences == index].mean() for index in (2, 5, 7, 9)}
    rows = score_rows(a, b, ("logits", "logits"), sequences, labels=labels, per="token")
    worst = WorstSamples(10)
    worst.update(Batch(np.array([2, 5, 7, 8, 9]), np.zeros((5, 4)), {}, {}), rows)
    found = worst.result(str)
    expected = sorted((i for i in means if means[i] > 0), key=lambda i: -means[i])
    assert expected
    assert [sample.index for sample in found] == expected
    for sample in found:
        assert sample.score == pytest.approx(means[sample.index])
        assert (sample.why, sample.label, sample.original) == ("loss", None, None)


# ---------------------------------------------------------------------------------- regression


def test_by_the_rise_of_absolute_error() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(0, 1, (40, 2, 3))
    a = truth + random.normal(0, 1, truth.shape)
    b = a + random.normal(0, 1, truth.shape)
    rise = np.abs(b - truth).mean(axis=(1, 2)) - np.abs(a - truth).mean(axis=(1, 2))
    worst = WorstSamples(8, OutputPair("y", "z"))
    for start in range(0, 40, 7):
        part = slice(start, start + 7)
        outputs = {"y": a[part], "other": a[part]}, {"z": b[part], "other": b[part]}
        worst.update(Batch(np.arange(40)[part], truth[part], *outputs), None)
    found = worst.result(str)
    assert [sample.index for sample in found] == np.argsort(-rise)[:8].tolist()
    assert [sample.score for sample in found] == pytest.approx(np.sort(rise)[::-1][:8].tolist())
    assert {(sample.why, sample.label, sample.compressed) for sample in found} == {
        ("error", None, None)
    }


def test_errors_that_are_no_numbers() -> None:
    truth = np.zeros(4)
    worst = WorstSamples(2)
    b = np.array([1e200, np.nan, 0.0, -np.inf])
    worst.update(Batch(np.arange(4), truth, {"y": truth}, {"y": b}), None)
    found = worst.result(str)
    assert [sample.index for sample in found] == [1, 3]
    assert all(np.isfinite(sample.score) for sample in found)


@pytest.mark.parametrize("labels", [None, np.array(["a", "b"]), np.zeros((2, 3)), np.zeros((0, 1))])
def test_where_there_is_nothing_to_rank_by(labels: NDArray[Any] | None) -> None:
    samples = 2 if labels is None else len(labels)
    outputs = {"y": np.ones((samples, 2))}, {"y": np.zeros((samples, 2))}
    worst = WorstSamples(5)
    worst.update(Batch(np.arange(samples), labels, *outputs), None)
    assert worst.result(str) == []
