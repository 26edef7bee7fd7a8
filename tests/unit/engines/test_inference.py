from typing import Any

import ml_dtypes
import numpy as np
import pytest
from engine_fakes import FEEDS, FakeRunner, Samples, X, workspace_of
from numpy.typing import NDArray

from compaudit.data.base import Answers, DataRequest, Feed
from compaudit.engines import inference
from compaudit.engines.inference import infer, infer_and_score, sample_bytes
from compaudit.engines.labels import LabelReader
from compaudit.errors import MeasurementError, RequestError


def run(runner: FakeRunner, start: int, stop: int, batch: int | None = None) -> NDArray[Any]:
    feeds = (Feed("input", "x", "float32", batch),)
    part = infer(workspace_of(runner), feeds, start, stop, stop - start)
    assert part.broken == {}
    return np.asarray(part.outputs["y"])


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


# ---------------------------------------------------------------------------- broken samples


@pytest.mark.parametrize("fixed", [None, 1, 3, 4])
@pytest.mark.parametrize("at_once", [2, 3, 10])
def test_broken_samples_have_no_rows(fixed: int | None, at_once: int) -> None:
    bad = [0, 3, 4, 5, 9]
    runner = FakeRunner(fixed)
    feeds = (Feed("input", "x", "float32", fixed),)
    part = infer(workspace_of(runner, Samples(bad=bad)), feeds, 1, 10, at_once)
    np.testing.assert_array_equal(part.outputs["y"], 2 * X[[1, 2, 6, 7, 8]])
    assert part.broken == dict.fromkeys([3, 4, 5, 9], "it is torn")


def test_a_batch_without_a_readable_sample_is_not_run() -> None:
    runner = FakeRunner()
    part = infer(workspace_of(runner, Samples(bad=range(10))), FEEDS, 2, 6, 2)
    assert part.outputs == {}
    assert sorted(part.broken) == [2, 3, 4, 5]
    assert runner.sizes == []


def test_an_output_that_counts_no_samples_beside_broken_ones() -> None:
    runner = FakeRunner(answer=lambda x: np.asarray(x.sum()))
    part = infer(workspace_of(runner, Samples(bad=[2, 4])), FEEDS, 1, 6, 5)
    np.testing.assert_array_equal(part.outputs["y"], X[[1, 3, 5]].sum(axis=1))
    assert sorted(part.broken) == [2, 4]


# ------------------------------------------------------------------------------- output sizes


@pytest.mark.parametrize("fixed", [None, 5])
def test_the_size_of_one_samples_outputs(fixed: int | None) -> None:
    runner = FakeRunner(fixed, lambda x: np.zeros((len(x), 3, 4), np.float32))
    feeds = (Feed("input", "x", "float32", fixed),)
    assert sample_bytes(workspace_of(runner, Samples(bad=[0])), feeds) == 3 * 4 * 4
    assert runner.sizes == [fixed or 1]


# ------------------------------------------------------------------------ the user's own scores


def first_minus_label(
    metrics: tuple[str, ...], outputs: dict[str, NDArray[Any]], labels: NDArray[Any] | None
) -> dict[str, NDArray[Any]]:
    assert metrics == ("m:f",)
    assert labels is not None
    return {"f": outputs["y"][:, 0] - labels}


def test_scores_see_the_labels_of_the_same_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compaudit.engines.metrics.score_outputs", first_minus_label)
    monkeypatch.setattr(
        "compaudit.engines.labels.open_data", lambda request: Samples(unlabelled=[2, 5])
    )
    workspace = workspace_of(FakeRunner(), Samples(bad=[3, 4]))
    workspace.labels = LabelReader(DataRequest(), Answers("labels"))
    part = infer_and_score(workspace, FEEDS, 1, 8, 3, ("m:f",))
    # Twice 2i, less ten times i.
    assert part.scores["f"].tolist() == [-6 * i for i in (1, 6, 7)]
    assert part.outputs["y"][:, 0].tolist() == [4 * i for i in (1, 6, 7)]
    assert sorted(part.broken) == [2, 3, 4, 5]


def test_nothing_is_scored_where_nothing_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compaudit.engines.metrics.score_outputs", first_minus_label)
    workspace = workspace_of(FakeRunner(), Samples(bad=range(10)))
    part = infer_and_score(workspace, FEEDS, 1, 4, 3, ("m:f",))
    assert (part.outputs, part.scores) == ({}, {})


def test_opening_reads_labels_only_for_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "open_data", lambda request: Samples(7))
    monkeypatch.setattr("compaudit.engines.labels.open_data", lambda request: Samples(7))
    workspace = workspace_of(FakeRunner())
    assert inference.open_samples(workspace, DataRequest(), Answers("labels"), ()) == 7
    assert workspace.labels is None
    inference.open_samples(workspace, DataRequest(), Answers("labels"), ("m:f",))
    assert workspace.labels is not None
