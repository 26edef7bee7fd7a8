import math
import pickle
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cosine as cosine_distance
from sklearn.neighbors import NearestNeighbors
from statsmodels.stats.weightstats import DescrStatsW

from compaudit.engines.base import Batch
from compaudit.measure.embeddings import EmbeddingMeter
from compaudit.measure.outputs import OutputPair
from compaudit.results import Embeddings

Array = NDArray[Any]
OUTPUT = OutputPair("embedding", "vector")


def vectors(samples: int, size: int = 24, noise: float = 0.1, seed: int = 0) -> tuple[Array, Array]:
    """Texts of eight topics, and what a model that was rounded makes of them."""
    random = np.random.default_rng(seed)
    topics = random.normal(0, 1, (8, size))
    original = topics[random.integers(0, 8, samples)] + random.normal(0, 0.7, (samples, size))
    compressed = 3 * original + random.normal(0, 3 * noise, original.shape)
    return original.astype(np.float32), compressed.astype(np.float32)


def fed(
    meter: EmbeddingMeter, original: Array, compressed: Array, start: int = 0
) -> EmbeddingMeter:
    indices = np.arange(start, start + len(original))
    meter.update(Batch(indices, None, {"embedding": original}, {"vector": compressed}))
    return meter


def measured(original: Array, compressed: Array) -> tuple[Embeddings | None, dict[str, str]]:
    meter = fed(EmbeddingMeter(OUTPUT, 0.95), original, compressed)
    result, skipped = meter.result()
    assert meter.result()[0] == result  # asking does not change the answer
    return result, {entry.metric: entry.reason for entry in skipped}


def complete(result: Embeddings | None) -> Embeddings:
    assert result is not None
    assert result.cosine is not None
    assert result.neighbour_overlap is not None
    return result


def overlaps(original: Array, compressed: Array, k: int = 10) -> Array:
    """Share of the nearest neighbours by cosine that both name, sample by sample."""
    found = [
        NearestNeighbors(n_neighbors=k, metric="cosine").fit(part).kneighbors(return_distance=False)
        for part in (original.astype(np.float64), compressed.astype(np.float64))
    ]
    return np.array(
        [len(set(a.tolist()) & set(b.tolist())) / k for a, b in zip(*found, strict=True)]
    )


def test_cosines_against_scipy() -> None:
    original, compressed = vectors(300)
    result = complete(measured(original, compressed)[0])
    expected = np.array(
        [
            1 - cosine_distance(a.astype(np.float64), b.astype(np.float64))
            for a, b in zip(original, compressed, strict=True)
        ]
    )
    assert result.cosine is not None
    assert result.cosine.value == pytest.approx(expected.mean(), rel=1e-12)
    assert (result.cosine.low, result.cosine.high) == pytest.approx(
        DescrStatsW(expected).tconfint_mean(), rel=1e-9
    )
    assert result.cosine_min == pytest.approx(expected.min(), rel=1e-12)
    assert result.cosine_p1 == pytest.approx(np.quantile(expected, 0.01), rel=1e-12)
    assert result.cosine_p10 == pytest.approx(np.quantile(expected, 0.1), rel=1e-12)
    assert result.cosine_p50 == pytest.approx(np.quantile(expected, 0.5), rel=1e-12)


@pytest.mark.parametrize("noise", [0.02, 0.3, 3.0])
def test_neighbours_against_sklearn(noise: float) -> None:
    original, compressed = vectors(400, noise=noise)
    result = complete(measured(original, compressed)[0])
    expected = overlaps(original, compressed)
    assert result.neighbour_overlap is not None
    assert (result.k, result.compared) == (10, 400)
    assert result.neighbour_overlap.value == pytest.approx(expected.mean(), abs=1e-12)
    assert (result.neighbour_overlap.low, result.neighbour_overlap.high) == pytest.approx(
        DescrStatsW(expected).tconfint_mean(), abs=1e-9
    )


def test_vectors_of_a_turned_space_have_the_same_neighbours() -> None:
    """What neighbours are there for: a rotation changes every vector and no neighbour."""
    original, _ = vectors(200)
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(24, 24)))
    result = complete(measured(original, original.astype(np.float64) @ turn)[0])
    assert result.cosine is not None
    assert result.neighbour_overlap is not None
    assert result.cosine.value < 0.5
    assert result.neighbour_overlap.value == 1.0


def test_unrelated_vectors_share_neighbours_by_chance_alone() -> None:
    random = np.random.default_rng(2)
    result = complete(measured(random.normal(size=(500, 16)), random.normal(size=(500, 16)))[0])
    assert result.neighbour_overlap is not None
    assert result.neighbour_overlap.value == pytest.approx(10 / 499, abs=0.01)


def test_a_model_against_itself() -> None:
    original, _ = vectors(50)
    result = complete(measured(original, original)[0])
    assert result.cosine == msgspec.convert(
        {"value": 1.0, "low": 1.0, "high": 1.0}, type(result.cosine)
    )
    assert result.cosine_min == result.cosine_p50 == 1.0
    assert result.neighbour_overlap is not None
    assert result.neighbour_overlap.value == 1.0


def test_differences_far_below_single_precision_are_seen() -> None:
    original = np.random.default_rng(3).normal(size=(40, 64))
    compressed = original * (1 + 1e-9 * np.random.default_rng(4).normal(size=original.shape))
    result = complete(measured(original, compressed)[0])
    assert result.cosine_min is not None
    assert 0 <= 1 - result.cosine_min < 1e-15


def test_vectors_of_any_size() -> None:
    original, compressed = (part.astype(np.float64) for part in vectors(30))
    result = complete(measured(original, compressed)[0])
    for scale in (1e-300, 1e300):
        scaled = complete(measured(original * scale, compressed * scale)[0])
        assert scaled.cosine_min == pytest.approx(result.cosine_min, rel=1e-12)


# ------------------------------------------------------------------------------------ merging


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(1, 2_499), max_size=6), st.randoms(use_true_random=False))
def test_any_split_in_any_order(cuts: Sequence[int], random: Any) -> None:
    original, compressed = vectors(2_500, size=6)
    edges = [0, *sorted(set(cuts)), 2_500]
    spans = list(pairwise(edges))
    random.shuffle(spans)
    meters = [EmbeddingMeter(OUTPUT)]
    for start, stop in spans:
        if random.random() < 0.5:
            meters.append(EmbeddingMeter(OUTPUT))
        fed(meters[-1], original[start:stop], compressed[start:stop], start)
    random.shuffle(meters)
    merged = pickle.loads(pickle.dumps(meters[0]))
    for other in meters[1:]:
        merged.merge(other)
    whole = complete(fed(EmbeddingMeter(OUTPUT), original, compressed).result()[0])
    part = complete(merged.result()[0])
    assert part.neighbour_overlap == whole.neighbour_overlap  # the very same samples
    assert part.compared == whole.compared == 1_000
    assert (part.cosine_min, part.cosine_p1) == (whole.cosine_min, whole.cosine_p1)
    assert msgspec.to_builtins(part.cosine) == pytest.approx(msgspec.to_builtins(whole.cosine))


def test_equally_near_neighbours_do_not_depend_on_the_order() -> None:
    """Every text is there ten times: which of its copies is nearer, no order decides."""
    original, compressed = (np.tile(part, (10, 1)) for part in vectors(12, noise=0.5))
    whole = complete(fed(EmbeddingMeter(OUTPUT), original, compressed).result()[0])
    meter = EmbeddingMeter(OUTPUT)
    for start in (80, 0, 100, 40):
        part = slice(start, start + {80: 20, 0: 40, 100: 20, 40: 40}[start])
        fed(meter, original[part], compressed[part], start)
    assert complete(meter.result()[0]).neighbour_overlap == whole.neighbour_overlap


def test_a_thousand_samples_stand_for_all() -> None:
    """Those that are chosen look like the rest: neither the first ones nor one kind of them."""
    original, compressed = vectors(5_000, size=12)
    meter = fed(EmbeddingMeter(OUTPUT), original, compressed)
    chosen = meter._sample._indices
    assert len(np.unique(chosen)) == 1_000
    counts = np.histogram(chosen, bins=10, range=(0, 5_000))[0]
    # 100 a tenth; five standard deviations of a draw without replacement
    assert np.abs(counts - 100).max() < 5 * math.sqrt(100 * 0.9 * 0.8)
    result = complete(meter.result()[0])
    expected = overlaps(original[chosen], compressed[chosen]).mean()
    assert result.neighbour_overlap is not None
    assert result.neighbour_overlap.value == pytest.approx(expected, abs=1e-12)


def test_memory_does_not_grow_with_the_samples() -> None:
    sizes = []
    for samples in (2_000, 40_000):
        meter = EmbeddingMeter(OUTPUT)
        for start in range(0, samples, 1_000):
            fed(meter, *vectors(1_000, size=8, seed=start), start)
        sizes.append(len(pickle.dumps(meter)))
    assert sizes[1] < 1.6 * sizes[0]


# ------------------------------------------------------------------------------- what is missing


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_vector_without_direction_is_counted_and_hides_nothing(value: float) -> None:
    original, compressed = vectors(60)
    compressed[7] = value
    compressed[30] = 0
    meter = fed(EmbeddingMeter(OUTPUT), original[20:], compressed[20:], 20)
    meter.merge(fed(EmbeddingMeter(OUTPUT), original[:20], compressed[:20]))
    result, skipped = meter.result()
    assert result is None
    assert [entry.metric for entry in skipped] == ["divergence.embeddings"]
    assert "compressed model gives 2 of 60 samples" in skipped[0].reason
    result, reasons = measured(compressed, original)
    assert result is None
    assert "original model gives 2 of 60 samples" in reasons["divergence.embeddings"]


def test_vectors_of_different_lengths_have_neighbours_and_no_angle() -> None:
    original, _ = vectors(100)
    compressed = original[:, :20]
    result, skipped = measured(original, compressed)
    assert result is not None
    assert result.cosine is None
    assert result.cosine_min is result.cosine_p1 is result.cosine_p10 is result.cosine_p50 is None
    assert skipped.keys() == {
        f"divergence.embeddings.{figure}"
        for figure in ("cosine", "cosine_min", "cosine_p1", "cosine_p10", "cosine_p50")
    }
    assert "24" in skipped["divergence.embeddings.cosine"]
    assert "20" in skipped["divergence.embeddings.cosine"]
    assert result.neighbour_overlap is not None
    assert result.neighbour_overlap.value == pytest.approx(overlaps(original, compressed).mean())


@pytest.mark.parametrize(("samples", "some"), [(11, False), (12, True)])
def test_neighbours_need_samples(samples: int, some: bool) -> None:
    result, skipped = measured(*vectors(samples))
    assert result is not None
    assert result.compared == samples
    assert (result.neighbour_overlap is not None) == some
    assert ("divergence.embeddings.neighbour_overlap" in skipped) != some


@pytest.mark.parametrize("shape", [(20, 5, 24), (20,), (20, 0)])
def test_what_is_not_one_vector_a_sample_is_refused(shape: tuple[int, ...]) -> None:
    result, skipped = measured(np.ones(shape, np.float32), np.ones(shape, np.float32))
    assert result is None
    assert "embedding" in skipped["divergence.embeddings"]
    assert "--model-output" in skipped["divergence.embeddings"]


def test_a_part_that_is_refused_is_not_forgotten() -> None:
    meter = fed(EmbeddingMeter(OUTPUT), *vectors(20))
    tokens = np.ones((5, 3, 24), np.float32)
    meter.merge(fed(EmbeddingMeter(OUTPUT), tokens, tokens, 20))
    assert meter.result()[0] is None


def test_no_samples_are_no_evidence() -> None:
    result, skipped = EmbeddingMeter(OUTPUT).result()
    assert result is None
    assert skipped[0].reason == "there are no samples"
