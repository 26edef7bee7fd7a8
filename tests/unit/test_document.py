"""What the models were fed, as the report tells it."""

from pathlib import Path
from typing import Any

import canned
import msgspec
import numpy as np
import pytest

from compaudit.config import Config
from compaudit.data.base import Answers, DataRequest, Feed
from compaudit.data.open import open_data
from compaudit.document import accuracy_of, data_of
from compaudit.measure.signature import Samples
from compaudit.models.base import Source
from compaudit.pair import Pair, Side

CONFIG = Config(original="a.onnx", compressed="b.onnx", seed=3)


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    path = tmp_path / "data.npz"
    np.savez(path, image=np.zeros((250, 2), np.float64), labels=np.zeros(250, np.int64))
    request = DataRequest(uri=str(path), limit=200)
    return Samples(request, open_data(request), Answers("labels"))


def pair(original: str, compressed: str) -> Pair:
    """Two models with an input `image` of these types."""
    sides = (
        Side(name, Source(name, "onnx"), feeds=(Feed("image", "image", dtype, None),))  # type: ignore[arg-type]
        for name, dtype in (("original", original), ("compressed", compressed))
    )
    return Pair(*sides)


def test_what_was_fed(samples: Samples) -> None:
    data = data_of(samples, pair("float64", "float64"), {}, CONFIG)
    assert (data.kind, data.samples, data.labels, data.seed) == ("npz", 200, "labels", 3)
    assert data.digest == samples.dataset.digest()
    assert (data.skipped_samples, data.skipped, data.notes) == (0, [], [])


@pytest.mark.parametrize(
    ("original", "compressed", "notes"),
    [
        ("float64", "float32", ["image: float64 → float32 for the compressed model"]),
        ("float16", "float64", ["image: float64 → float16 for the original model"]),
        ("float32", "float32", ["image: float64 → float32 for both models"]),
        (
            "float32",
            "float16",
            [
                "image: float64 → float32 for the original model",
                "image: float64 → float16 for the compressed model",
            ],
        ),
    ],
)
def test_values_that_a_model_takes_as_another_type(
    samples: Samples, original: str, compressed: str, notes: list[str]
) -> None:
    assert data_of(samples, pair(original, compressed), {}, CONFIG).notes == notes


def test_samples_that_could_not_be_read_are_counted_and_the_first_are_named(
    samples: Samples,
) -> None:
    broken = {index: f"reason {index}" for index in range(150, 10, -1)}
    data = data_of(samples, pair("float64", "float64"), broken, CONFIG)
    assert data.skipped_samples == 140
    assert [one.index for one in data.skipped] == list(range(11, 111))
    assert (data.skipped[0].name, data.skipped[0].reason) == ("11", "reason 11")


def test_what_the_data_knows_to_be_broken_counts_once(samples: Samples) -> None:
    samples.dataset.broken = {3: "cut"}
    data = data_of(samples, pair("float64", "float64"), {3: "cut", 5: "gone"}, CONFIG)
    assert [one.index for one in data.skipped] == [3, 5]


def test_columns_that_hold_no_numbers_are_named(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "data.parquet"
    parquet.write_table(pyarrow.table({"image": [1.0, 2.0], "caption": ["a", "b"]}), path)
    request = DataRequest(uri=str(path))
    data = data_of(
        Samples(request, open_data(request), None), pair("float64", "float64"), {}, CONFIG
    )
    assert data.labels is None
    assert data.notes == ["caption: left out, it holds string"]


def test_an_array_that_feeds_an_input_of_another_name_is_named(samples: Samples) -> None:
    sides = pair("float64", "float64")
    sides.compressed.feeds = (Feed("x", "image", "float64", None),)
    notes = data_of(samples, sides, {}, CONFIG).notes
    assert notes == ["image: feeds the input 'x' of the compressed model"]
    sides.original.feeds = sides.compressed.feeds
    notes = data_of(samples, sides, {}, CONFIG).notes
    assert notes == ["image: feeds the input 'x' of both models"]


def test_an_array_that_feeds_nothing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, image=np.zeros((3, 2)), ids=np.arange(3), labels=np.arange(3))
    request = DataRequest(uri=str(path))
    given = Samples(request, open_data(request), Answers("labels"))
    sides = pair("float64", "float64")
    notes = data_of(given, sides, {}, CONFIG).notes
    assert notes == ["ids: left out, no model takes an input of that name"]
    # What says which tokens count is read, though no model takes it.
    masked = Samples(request, open_data(request), Answers("labels", mask="ids"))
    assert data_of(masked, sides, {}, CONFIG).notes == []
    # Of a model that did not load nobody knows what it takes.
    sides.compressed.feeds = None
    assert data_of(given, sides, {}, CONFIG).notes == []


def test_accuracy_says_how_many_samples_it_does_not_speak_of() -> None:
    report = canned.comparison()
    changes: dict[str, Any] = {"skipped_samples": 7}
    data = msgspec.structs.replace(report.data, **changes)
    found = accuracy_of(report.accuracy, data)
    assert found is not None
    assert found.skipped_samples == 7
    assert accuracy_of(None, data) is None
    assert accuracy_of(report.accuracy, None) == report.accuracy
