from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from compaudit.data.base import DataRequest, Feed
from compaudit.engines.base import Pass
from compaudit.engines.local import LocalEngine, feed_batch, infer, open_samples
from compaudit.errors import MeasurementError, RequestError
from compaudit.models.base import Feeds, Source
from compaudit.workers.workspace import Workspace

X = np.arange(20, dtype=np.float64).reshape(10, 2)


class Samples:
    """Ten samples of two numbers, and an array nobody feeds."""

    samples = 10

    def batch(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        return {"x": X[start:stop], "ids": np.arange(10)[start:stop], "labels": np.zeros(10)}


class FakeRunner:
    """Doubles `x`; `fixed` refuses any other number of samples. Remembers how many it got."""

    inputs = outputs = ()
    named_outputs = True
    providers = ("fake",)

    def __init__(self, fixed: int | None = None, answer: Any = None) -> None:
        self.fixed, self.answer = fixed, answer
        self.sizes: list[int] = []

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        x = feeds["input"]
        assert x.flags.c_contiguous
        assert self.fixed is None or len(x) == self.fixed
        self.sizes.append(len(x))
        return {"y": x * 2} if self.answer is None else {"y": self.answer(x)}

    def bind(self, feeds: Feeds) -> Any:
        raise NotImplementedError


def workspace_of(runner: FakeRunner) -> Workspace:
    workspace = Workspace()
    workspace.hold(Source("m", "fake"), runner)  # type: ignore[arg-type]
    workspace.dataset = Samples()
    return workspace


def run(runner: FakeRunner, start: int, stop: int, batch: int | None = None) -> NDArray[Any]:
    feeds = (Feed("input", "x", "float32", batch),)
    return infer(workspace_of(runner), feeds, start, stop, stop - start)["y"]


# --------------------------------------------------------------------------------- feed_batch


def test_inputs_are_renamed_cast_and_contiguous() -> None:
    feeds = (Feed("input", "x", "float32", None), Feed("i", "ids", "int32", None))
    inputs = feed_batch(Samples(), feeds, 2, 5)
    assert set(inputs) == {"input", "i"}
    assert inputs["input"].dtype == np.float32
    np.testing.assert_array_equal(inputs["input"], X[2:5])
    assert inputs["i"].dtype == np.int32
    assert inputs["i"].tolist() == [2, 3, 4]


def test_fortran_and_big_endian_arrays_become_plain() -> None:
    class Odd:
        def batch(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
            return {"x": np.asfortranarray(X.astype(">f4"))[start:stop]}

    values = feed_batch(Odd(), (Feed("input", "x", "float32", None),), 3, 6)["input"]
    assert values.dtype == np.dtype("<f4")
    assert values.flags.c_contiguous
    np.testing.assert_array_equal(values, X[3:6])


def test_a_fixed_batch_is_filled_with_the_samples_over_again() -> None:
    feeds = (Feed("i", "ids", "int64", 8),)
    assert feed_batch(Samples(), feeds, 4, 7)["i"].tolist() == [4, 5, 6, 4, 5, 6, 4, 5]
    assert feed_batch(Samples(), feeds, 0, 8)["i"].tolist() == list(range(8))


# -------------------------------------------------------------------------------------- infer


@pytest.mark.parametrize("fixed", [1, 2, 3, 4, 7, 10, 16])
@pytest.mark.parametrize(("start", "stop"), [(0, 10), (3, 10), (4, 5)])
def test_a_fixed_batch_gives_the_same_outputs(fixed: int, start: int, stop: int) -> None:
    runner = FakeRunner(fixed)
    np.testing.assert_array_equal(run(runner, start, stop, fixed), 2 * X[start:stop])
    assert runner.sizes == [fixed] * -(-(stop - start) // fixed)


def test_an_open_batch_is_one_run() -> None:
    runner = FakeRunner()
    np.testing.assert_array_equal(run(runner, 1, 9), 2 * X[1:9])
    assert runner.sizes == [8]


@pytest.mark.parametrize(
    ("answer", "shape"),
    [
        (lambda x: np.float32(x.sum()), (4,)),  # a loss
        (lambda x: np.zeros((7, len(x), 2)), (4, 7, 1, 2)),  # time first
        (lambda x: np.zeros((0, 6)), (4, 0, 6)),  # nothing was detected
    ],
)
def test_outputs_that_do_not_count_samples_are_run_one_by_one(
    answer: Any, shape: tuple[int, ...]
) -> None:
    runner = FakeRunner(answer=lambda x: np.asarray(answer(x)))
    got = run(runner, 2, 6)
    assert got.shape == shape
    assert runner.sizes == [4, 1, 1, 1, 1]
    if shape == (4,):
        np.testing.assert_allclose(got, X[2:6].reshape(4, -1).sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize(
    "answer",
    [lambda x: np.float32(3.0), lambda x: np.zeros((7, len(x), 2)), lambda x: np.zeros((0, 6))],
)
def test_a_fixed_batch_must_come_out_again(answer: Any) -> None:
    with pytest.raises(RequestError, match="its output 'y' has shape") as caught:
        run(FakeRunner(4, lambda x: np.asarray(answer(x))), 0, 4, 4)
    assert caught.value.code == "output-without-samples"
    assert "first dimension" in caught.value.hint


def test_padding_is_cut_off_by_samples_not_by_a_lucky_size() -> None:
    # Four outputs of which two are wanted; the second dimension is four as well.
    got = run(FakeRunner(4, lambda x: np.repeat(x[:, :1], 4, axis=1)), 8, 10, 4)
    np.testing.assert_array_equal(got, np.repeat(X[8:10, :1], 4, axis=1))


def test_shapes_that_vary_with_the_data() -> None:
    widths = iter((2, 3))
    with pytest.raises(MeasurementError, match="another shape") as caught:
        run(FakeRunner(2, lambda x: np.zeros((2, next(widths)))), 0, 4, 2)
    assert caught.value.code == "output-shape-varies"


@pytest.mark.parametrize(
    "dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.int4]
)
def test_types_beyond_numpy_become_float32(dtype: Any) -> None:
    got = run(FakeRunner(answer=lambda x: np.array([[1, -2], [0, 3]]).astype(dtype)), 0, 2)
    assert got.dtype == np.float32
    assert got.tolist() == [[1, -2], [0, 3]]


@pytest.mark.parametrize("values", [np.array(["a", "b"]), np.array(["a", "b"], dtype=object)])
def test_text_is_refused(values: NDArray[Any]) -> None:
    with pytest.raises(RequestError, match="text") as caught:
        run(FakeRunner(answer=lambda x: values), 0, 2)
    assert caught.value.hint


# ------------------------------------------------------------------------------------- engine


class FakeWorker:
    """Calls functions in this process, with a workspace of its own."""

    def __init__(self, runner: FakeRunner) -> None:
        self.workspace = workspace_of(runner)

    def call(self, stage: str, function: Any, *args: Any) -> Any:
        if function is open_samples:
            return Samples.samples
        return function(self.workspace, *args)

    def begin(self, stage: str, function: Any, *args: Any) -> Any:
        return lambda: function(self.workspace, *args)


class Recorder:
    def __init__(self) -> None:
        self.seen: list[tuple[list[float], list[float], list[float]]] = []

    def update(self, labels: Any, original: Any, compressed: Any) -> None:
        self.seen.append(
            (labels.tolist(), original["y"][:, 0].tolist(), compressed["y"][:, 0].tolist())
        )


def test_each_model_takes_as_many_samples_at_once_as_was_asked_for_it() -> None:
    original, compressed = FakeRunner(), FakeRunner()
    feeds = (Feed("input", "x", "float32", None),)
    meter = Recorder()
    LocalEngine(FakeWorker(original), FakeWorker(compressed)).evaluate(  # type: ignore[arg-type]
        Pass(
            data=DataRequest(),
            samples=10,
            batch_sizes=(2, 5),
            original=feeds,
            compressed=feeds,
        ),
        lambda start, stop: np.arange(10)[start:stop],
        [meter],
        lambda done: None,
    )
    # Five samples are shown at a time: in three runs of the one, in a single one of the other.
    assert original.sizes == [2, 2, 1, 2, 2, 1]
    assert compressed.sizes == [5, 5]
    assert [len(labels) for labels, *_ in meter.seen] == [5, 5]
    assert all(a == b for _, a, b in meter.seen)


@pytest.mark.parametrize("size", [1, 3, 4, 10, 64])
def test_every_sample_is_shown_once_to_every_meter(size: int) -> None:
    original = FakeWorker(FakeRunner())
    compressed = FakeWorker(FakeRunner(4, lambda x: x * 3))
    meters = Recorder(), Recorder()
    progress: list[int] = []
    LocalEngine(original, compressed).evaluate(  # type: ignore[arg-type]
        Pass(
            data=DataRequest(),
            samples=10,
            batch_sizes=(size, size),
            original=(Feed("input", "x", "float32", None),),
            compressed=(Feed("input", "x", "float64", 4),),
        ),
        lambda start, stop: np.arange(10)[start:stop],
        meters,
        progress.append,
    )
    for meter in meters:
        labels, a, b = (
            [value for part in column for value in part] for column in zip(*meter.seen, strict=True)
        )
        assert labels == list(range(10))
        assert a == (2 * X[:, 0]).tolist()
        assert b == (3 * X[:, 0]).tolist()
    assert progress == [*range(size, 10, size), 10]
