"""One evaluation of known outputs, whatever pieces an engine shows them in."""

from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from known_outputs import batches
from numpy.typing import NDArray
from scipy import special

from compaudit.config import Config
from compaudit.data.base import Answers, DataRequest, Feed
from compaudit.engines.base import Batch, Pass, Seen
from compaudit.errors import RequestError
from compaudit.measure.evaluation import Evaluated, Evaluation

FEEDS = (Feed("x", "x", "float32", None),)


class KnownEngine:
    """Gives known outputs, in shards of so many samples; some samples cannot be read."""

    def __init__(
        self,
        original: NDArray[Any],
        compressed: NDArray[Any],
        labels: NDArray[Any] | None,
        *,
        shard: int = 10**9,
        broken: Collection[int] = (),
    ) -> None:
        self.outputs = original, compressed
        self.labels = labels
        self.shard = shard
        self.broken = dict.fromkeys(broken, "torn")
        self.passes: list[tuple[int, int]] = []

    def evaluate(
        self, evaluation: Pass, make: Callable[[], Any], on_progress: Callable[[int], None]
    ) -> Seen[Any]:
        self.passes.append((evaluation.start, evaluation.stop))
        tallies = []
        for start in range(evaluation.start, evaluation.stop, self.shard):
            tally = make()
            labels = self.labels if evaluation.answers is not None else None
            for batch in batches(*self.outputs, labels, size=1):
                index = int(batch.indices[0])
                inside = start <= index < min(start + self.shard, evaluation.stop)
                if inside and index not in self.broken:
                    tally.update(batch)
            tallies.append(tally)
        broken = {i: why for i, why in self.broken.items() if i < evaluation.stop}
        if len(broken) == evaluation.stop - evaluation.start:
            raise RequestError("nothing", code="no-readable-samples")
        whole, *others = tallies
        for other in others:
            whole.merge(other)
        return Seen(whole, broken)


def samples_of(count: int, labels: NDArray[Any] | None) -> Any:
    """What an evaluation asks of samples."""

    def labels_of(start: int, stop: int) -> NDArray[Any] | None:
        return None if labels is None else labels[start:stop]

    return SimpleNamespace(
        request=DataRequest(uri="known.npz"),
        dataset=SimpleNamespace(
            samples=count,
            classes=("cat", "dog"),
            broken={},
            name_of=lambda index: f"{index}.png",
            uniform=lambda start, stop: stop,
            arrays=(),
            pixels=lambda index: None,
        ),
        inputs=(),
        answers=None if labels is None else Answers("labels"),
        labels=None if labels is None else "labels",
        labels_of=labels_of,
    )


def evaluated(engine: KnownEngine, **config: Any) -> Evaluated:
    evaluation = Evaluation(
        Config(original="a", compressed="b", **config),
        samples_of(len(engine.outputs[0]), engine.labels),
        named=True,
        on_progress=lambda done: None,
    )
    evaluation.run(engine, FEEDS, FEEDS)
    if evaluation.wants_floor:
        a, _ = engine.outputs
        evaluation.run_floor(KnownEngine(a, a, None), FEEDS)
    return evaluation.result()


def known(count: int = 300, kind: str = "logits") -> tuple[NDArray[Any], NDArray[Any], Any]:
    random = np.random.default_rng(0)
    a = random.normal(0, 2, (count, 7))
    b = a + random.normal(0, 1, a.shape)
    labels = random.integers(0, 7, count)
    return (a, b, labels) if kind == "logits" else (*special.softmax([a, b], axis=-1), labels)


def check_same(one: Evaluated, other: Evaluated) -> None:
    for ours, theirs in ((one.divergence, other.divergence), (one.accuracy, other.accuracy)):
        assert ours is not None
        assert theirs is not None
    assert one.divergence is not None
    assert other.divergence is not None
    assert one.divergence.kl is not None
    assert other.divergence.kl is not None
    assert one.divergence.kl.mean.value == pytest.approx(other.divergence.kl.mean.value, rel=1e-12)
    assert one.divergence.kl.p99 == other.divergence.kl.p99
    assert one.divergence.scores == other.divergence.scores
    assert one.divergence.top1_agreement == other.divergence.top1_agreement
    assert one.accuracy is not None
    assert other.accuracy is not None
    assert one.accuracy.top1 == other.accuracy.top1
    assert one.worst == other.worst
    assert one.skipped == other.skipped


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
@pytest.mark.parametrize("shard", [1, 33, 64, 200])
def test_shards_give_what_one_pass_gives(shard: int, kind: str) -> None:
    alone = evaluated(KnownEngine(*known(kind=kind)))
    engine = KnownEngine(*known(kind=kind), shard=shard)
    check_same(evaluated(engine, workers=2), alone)
    assert engine.passes == [(0, 64), (0, 300)]


def test_one_pair_of_models_runs_once() -> None:
    engine = KnownEngine(*known())
    evaluated(engine)
    assert engine.passes == [(0, 300)]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_cannot_be_read_decides_nothing(workers: int) -> None:
    a, b, labels = known(kind="probabilities")
    engine = KnownEngine(a, b, labels, broken=range(200))
    result = evaluated(engine, workers=workers)
    assert result.broken == dict.fromkeys(range(200), "torn")
    assert result.divergence is not None
    assert result.divergence.samples == 100
    assert result.divergence.scores is not None
    assert result.divergence.scores.original == "probabilities"
    if workers == 2:
        assert engine.passes == [(0, 64), (0, 256), (0, 300), (0, 300)]


def test_nothing_at_all_can_be_read() -> None:
    with pytest.raises(RequestError) as caught:
        evaluated(KnownEngine(*known(), broken=range(300)), workers=2)
    assert caught.value.code == "no-readable-samples"


def test_the_noise_floor_is_the_originals_own() -> None:
    result = evaluated(KnownEngine(*known()))
    assert result.divergence is not None
    assert result.divergence.kl is not None
    assert result.divergence.kl.noise_floor == 0
    assert result.divergence.kl.mean.value > 0.01


def test_worst_samples_are_named_by_the_data() -> None:
    result = evaluated(KnownEngine(*known()), worst=3)
    assert [one.name for one in result.worst] == [f"{one.index}.png" for one in result.worst]
    assert len(result.worst) == 3


def test_only_what_was_asked_for() -> None:
    divergence = evaluated(KnownEngine(*known()), measurements=("divergence",))
    assert divergence.accuracy is None
    accuracy = evaluated(KnownEngine(*known()), measurements=("accuracy",))
    assert accuracy.divergence is None
    assert accuracy.accuracy is not None


def test_labels_that_nobody_wants_do_no_harm() -> None:
    a, b, _ = known()
    text = np.array([["?"]] * len(a))
    with pytest.raises(RequestError):
        evaluated(KnownEngine(a, b, text))
    result = evaluated(KnownEngine(a, b, text), measurements=("divergence",))
    assert result.divergence is not None


def test_class_names_reach_the_report() -> None:
    result = evaluated(KnownEngine(*known()))
    assert result.accuracy is not None
    names = {one.label: one.name for one in result.accuracy.per_class}
    assert names[0] == "cat"
    assert names[5] is None


def test_scores_of_the_users_metrics() -> None:
    class Scoring(KnownEngine):
        def evaluate(self, evaluation: Pass, make: Any, on_progress: Any) -> Seen[Any]:
            assert evaluation.metrics == ("m:f",)
            tally = make()
            for one in batches(*self.outputs, self.labels, size=50):
                scores = {"f": one.indices * 1.0}, {"f": one.indices * 2.0}
                tally.update(Batch(one.indices, one.labels, one.original, one.compressed, *scores))
            return Seen(tally, {})

    result = evaluated(Scoring(*known(100)), metrics=("m:f",))
    assert result.accuracy is not None
    assert result.accuracy.custom["f"].delta.value == pytest.approx(49.5)
    assert msgspec.json.encode(result.accuracy)
