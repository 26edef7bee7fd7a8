import threading
import time
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pytest
from engine_fakes import FakeRunner, FakeWorker, Recorder, Samples, a_pass
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from compaudit.data.base import Answers, Dataset
from compaudit.engines.local import LocalEngine, cut
from compaudit.engines.sources import Live, Recorded
from compaudit.engines.walk import at_a_time
from compaudit.errors import MeasurementError, RequestError

LABELS = Answers("labels")


def triple(x: NDArray[Any]) -> NDArray[Any]:
    return x * 3


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Dataset]], None]:
    """Decides what the parent opens; workers are told by themselves."""

    def use(make: Callable[[], Dataset]) -> None:
        monkeypatch.setattr("compaudit.engines.labels.open_data", lambda request: make())

    use(Samples)
    return use


def live(worker: FakeWorker) -> Live:
    return Live(worker)  # type: ignore[arg-type]


def engine_of(
    pairs: int,
    make: Callable[[], Dataset] = Samples,
    fixed: tuple[int | None, int | None] = (None, None),
) -> LocalEngine:
    return LocalEngine(
        *(
            (
                live(FakeWorker(FakeRunner(fixed[0]), make)),
                live(FakeWorker(FakeRunner(fixed[1], triple), make)),
            )
            for _ in range(pairs)
        )
    )


def rows_of(indices: Collection[int], labels: bool = True) -> list[tuple[int, Any, float, float]]:
    """What both models and the labels say: x is 2i, the label 10i."""
    return [(i, 10 * i if labels else None, 4.0 * i, 6.0 * i) for i in indices]


# ------------------------------------------------------------------------------------ one pair


def test_each_model_takes_as_many_samples_at_once_as_was_asked_for_it(data: Any) -> None:
    original, compressed = FakeRunner(), FakeRunner(answer=triple)
    engine = LocalEngine((live(FakeWorker(original)), live(FakeWorker(compressed))))
    seen = engine.evaluate(a_pass(10, (2, 5), answers=LABELS), Recorder, lambda done: None)
    # One sample tells the size of the outputs. Then five are shown at a time: in three runs of the
    # one, in a single one of the other.
    assert original.sizes == [1, 2, 2, 1, 2, 2, 1]
    assert compressed.sizes == [1, 5, 5]
    assert seen.tally.batches == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert seen.tally.rows == rows_of(range(10))
    assert seen.broken == {}


@pytest.mark.parametrize("size", [1, 3, 4, 10, 64])
def test_every_sample_is_shown_once(size: int, data: Any) -> None:
    progress: list[int] = []
    engine = engine_of(1, fixed=(None, 4))
    seen = engine.evaluate(
        a_pass(10, (size, size), fixed=(None, 4), answers=LABELS), Recorder, progress.append
    )
    assert seen.tally.rows == rows_of(range(10))
    # A whole number of what the second model insists on.
    step = max(4, size // 4 * 4)
    assert progress == [*range(step, 10, step), 10]


def test_without_answers_there_are_no_labels(data: Any) -> None:
    seen = engine_of(1).evaluate(a_pass(5), Recorder, lambda done: None)
    assert seen.tally.rows == rows_of(range(5), labels=False)


def test_a_part_of_the_data(data: Any) -> None:
    seen = engine_of(1).evaluate(a_pass(7, start=3), Recorder, lambda done: None)
    assert [row[0] for row in seen.tally.rows] == [3, 4, 5, 6]


def test_batches_end_where_shapes_change(data: Any) -> None:
    def make() -> Dataset:
        return Samples(edges=[1, 5, 6])

    data(make)
    seen = engine_of(1, make).evaluate(a_pass(10), Recorder, lambda done: None)
    assert seen.tally.batches == [[0], [1, 2, 3, 4], [5], [6, 7, 8, 9]]


# --------------------------------------------------------------------------------- the pipeline


def test_the_models_are_at_the_next_batch_while_the_last_is_taken_in(data: Any) -> None:
    original, compressed = FakeWorker(FakeRunner()), FakeWorker(FakeRunner())
    at_work: list[tuple[int, int]] = []

    class Watching(Recorder):
        def update(self, batch: Any) -> None:
            at_work.append((original.under_way, compressed.under_way))

    LocalEngine((live(original), live(compressed))).evaluate(
        a_pass(10, (4, 4)), Watching, lambda done: None
    )
    assert at_work == [(1, 1), (1, 1), (0, 0)]


def test_what_is_stored_is_written_while_the_models_are_at_the_next_batch(data: Any) -> None:
    worker = FakeWorker(FakeRunner())
    at_work: list[int] = []

    class Writing:
        def write(self, start: int, stop: int, part: Any) -> None:
            at_work.append(worker.under_way)

    source = Recorded(live(worker), Writing())  # type: ignore[arg-type]
    LocalEngine((source, live(FakeWorker(FakeRunner())))).evaluate(
        a_pass(10, (4, 4)), Recorder, lambda done: None
    )
    assert at_work == [1, 1, 0]


@pytest.mark.parametrize(
    ("sample_bytes", "step"),
    [(1, 64), (10**6, 64), (2 * 10**6, 32), (64 * 10**6, 1), (10**9, 1)],
)
def test_outputs_at_a_time_stay_below_64_MB(sample_bytes: int, step: int) -> None:
    assert at_a_time(a_pass(10, (64, 8)), sample_bytes) == step


@pytest.mark.parametrize(
    ("fixed", "batch", "sample_bytes", "step"),
    [(16, 64, 1, 64), (48, 64, 1, 48), (100, 64, 1, 100), (16, 64, 10**7, 16), (1, 1, 1, 1)],
)
def test_a_fixed_batch_is_never_cut(fixed: int, batch: int, sample_bytes: int, step: int) -> None:
    assert at_a_time(a_pass(10, (batch, 1), fixed=(None, fixed)), sample_bytes) == step


def test_outputs_that_grow_are_asked_for_in_smaller_steps(
    data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compaudit.engines.walk.MOST_BYTES", 64)

    # A float64 a sample at first; from sample 8 on sixteen times as much.
    def grow(x: NDArray[Any]) -> NDArray[Any]:
        return np.zeros((len(x), 1 if x[0, 0] < 16 else 16))

    def make() -> Dataset:
        return Samples(24, edges=[8])

    data(make)
    seen = LocalEngine(
        (live(FakeWorker(FakeRunner(answer=grow), make)), live(FakeWorker(FakeRunner(), make)))
    ).evaluate(a_pass(24, (64, 64)), Recorder, lambda done: None)
    assert [len(batch) for batch in seen.tally.batches] == [8, 8, *[1] * 8]


# ------------------------------------------------------------------------------ broken samples


@given(
    bad=st.sets(st.integers(0, 19)),
    unlabelled=st.sets(st.integers(0, 19)),
    step=st.integers(1, 8),
    pairs=st.integers(1, 3),
)
def test_broken_samples_are_in_no_batch(
    bad: set[int], unlabelled: set[int], step: int, pairs: int
) -> None:
    def make() -> Dataset:
        return Samples(20, bad, unlabelled)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("compaudit.engines.labels.open_data", lambda request: make())
        evaluation = a_pass(20, (step, step), answers=LABELS)
        left = sorted(set(range(20)) - bad - unlabelled)
        if not left:
            with pytest.raises(RequestError) as caught:
                engine_of(pairs, make).evaluate(evaluation, Recorder, lambda done: None)
            assert caught.value.code == "no-readable-samples"
            return
        seen = engine_of(pairs, make).evaluate(evaluation, Recorder, lambda done: None)
    assert seen.tally.rows == rows_of(left)
    assert list(seen.broken) == sorted(bad | unlabelled)
    assert all(reason in ("it is torn", "it has no label") for reason in seen.broken.values())


def test_both_models_must_have_read_the_same_samples(data: Any) -> None:
    engine = LocalEngine(
        (
            live(FakeWorker(FakeRunner(), Samples)),
            live(FakeWorker(FakeRunner(), lambda: Samples(bad=[6]))),
        )
    )
    with pytest.raises(MeasurementError, match="only one of the two models could read sample 6"):
        engine.evaluate(a_pass(10), Recorder, lambda done: None)


# -------------------------------------------------------------------------------- several pairs


@pytest.mark.parametrize(
    ("samples", "step", "pairs", "shards"),
    [
        (100, 10, 1, [(0, 100)]),
        (80, 10, 2, [(a, a + 10) for a in range(0, 80, 10)]),
        (25, 10, 2, [(0, 10), (10, 20), (20, 25)]),
        (165, 10, 2, [(a, min(a + 30, 165)) for a in range(0, 165, 30)]),
        (3, 10, 4, [(0, 3)]),
    ],
)
def test_shards_are_whole_steps(
    samples: int, step: int, pairs: int, shards: list[tuple[int, int]]
) -> None:
    assert cut(0, samples, step, pairs) == shards


@given(
    start=st.integers(0, 50),
    samples=st.integers(1, 500),
    step=st.integers(1, 70),
    pairs=st.integers(1, 9),
)
def test_shards_cover_every_sample_once(start: int, samples: int, step: int, pairs: int) -> None:
    shards = cut(start, start + samples, step, pairs)
    assert [i for a, b in shards for i in range(a, b)] == list(range(start, start + samples))
    assert all((a - start) % step == 0 for a, _ in shards)
    assert len(shards) <= 4 * pairs


@given(
    samples=st.integers(1, 60),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    pairs=st.integers(2, 4),
)
def test_several_pairs_see_the_batches_of_one(
    samples: int, sizes: tuple[int, int], pairs: int
) -> None:
    def make() -> Dataset:
        return Samples(samples)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("compaudit.engines.labels.open_data", lambda request: make())
        evaluation = a_pass(samples, sizes, answers=LABELS)
        alone = engine_of(1, make).evaluate(evaluation, Recorder, lambda done: None)
        progress: list[int] = []
        together = engine_of(pairs, make).evaluate(evaluation, Recorder, progress.append)
    assert together.tally.rows == alone.tally.rows == rows_of(range(samples))
    assert together.tally.batches == alone.tally.batches
    assert progress[-1] == samples
    assert progress == sorted(progress)


def test_every_pair_gets_work_to_do(data: Any) -> None:
    data(lambda: Samples(64))
    both = threading.Barrier(2, timeout=10)
    first_time = threading.local()

    def meet(x: NDArray[Any]) -> NDArray[Any]:
        if threading.current_thread() is not threading.main_thread() and not hasattr(
            first_time, "met"
        ):
            first_time.met = True
            both.wait()
        return x

    pairs = [
        tuple(live(FakeWorker(FakeRunner(answer=meet), lambda: Samples(64))) for _ in range(2))
        for _ in range(2)
    ]
    seen = LocalEngine(*pairs).evaluate(a_pass(64), Recorder, lambda done: None)  # type: ignore[arg-type]
    assert len(seen.tally.rows) == 64


def test_more_pairs_load_when_they_begin(data: Any) -> None:
    data(lambda: Samples(64))
    loaded: list[tuple[Any, bool]] = []

    def load(worker: Any) -> None:
        loaded.append((worker, threading.current_thread() is threading.main_thread()))

    first, *more = (FakeWorker(FakeRunner(), lambda: Samples(64)) for _ in range(4))
    engine = LocalEngine(
        (live(first), live(more[0])),
        (Live(more[1], load), Live(more[2], load)),  # type: ignore[arg-type]
    )
    engine.evaluate(a_pass(64), Recorder, lambda done: None)
    assert loaded == [(more[1], False), (more[2], False)]


@pytest.mark.parametrize("pairs", [1, 2])
def test_each_pair_opens_the_data_once_for_all_its_shards(
    pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[None] = []

    def open_data(request: Any) -> Dataset:
        opened.append(None)
        return Samples(64)

    monkeypatch.setattr("compaudit.engines.labels.open_data", open_data)
    engine_of(pairs, lambda: Samples(64)).evaluate(a_pass(64), Recorder, lambda done: None)
    assert len(opened) == pairs


def test_the_first_failure_stops_all_pairs(data: Any) -> None:
    data(lambda: Samples(1000))
    began = threading.Event()

    class Dying(FakeWorker):
        def begin(self, stage: str, function: Any, *args: Any) -> Any:
            def wait() -> Any:
                began.wait(10)
                raise MeasurementError("m.onnx crashed", code="crashed", model="m.onnx")

            return wait

    class Waiting(FakeWorker):
        """Answers when it is killed, as a worker does whose pipe closes."""

        def begin(self, stage: str, function: Any, *args: Any) -> Any:
            def wait() -> Any:
                began.set()
                until = time.monotonic() + 10
                while not self.killed and time.monotonic() < until:
                    time.sleep(0.001)
                assert self.killed
                raise MeasurementError("killed", code="crashed", model="other")

            return wait

    def make() -> Dataset:
        return Samples(1000)

    waiting = [Waiting(FakeRunner(), make) for _ in range(2)]
    engine = LocalEngine(
        (live(waiting[0]), live(waiting[1])),
        (live(Dying(FakeRunner(), make)), live(Dying(FakeRunner(), make))),
    )
    threads = threading.active_count()
    with pytest.raises(MeasurementError, match=r"m\.onnx crashed"):
        engine.evaluate(a_pass(1000), Recorder, lambda done: None)
    assert threading.active_count() == threads
