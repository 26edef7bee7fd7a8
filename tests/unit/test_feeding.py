"""Data that the user's own function yields, in a real process of its own."""

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from compaudit.config import Config
from compaudit.data.base import ArrayInfo
from compaudit.data.spool import SpoolDataset
from compaudit.errors import RequestError
from compaudit.feeding import open_given
from compaudit.measure.signature import Samples
from compaudit.progress import Silent
from compaudit.workers.limits import Limits

LOADERS = """
import os, resource, signal, sys, time
from pathlib import Path
import numpy as np

def rows(start, count):
    labels = np.arange(start, start + count)
    return {"x": np.repeat(labels[:, None], 3, axis=1).astype(np.float32), "labels": labels}

def batches():
    print("noise on stdout")
    yield rows(0, 4)
    yield rows(4, 4)
    yield rows(8, 1)

def shuffling():
    order = np.random.default_rng().permutation(1000)
    return [(order[start:start + 100], order[start:start + 100]) for start in range(0, 1000, 100)]

class Loader:
    def __iter__(self):
        return batches()

def endless():
    try:
        start = 0
        while True:
            yield rows(start, 4)
            start += 4
    finally:
        Path("closed").write_text(str(start))

def counted():
    with open("calls", "a") as calls:
        calls.write("called\\n")
    yield from batches()

def process():
    yield np.int64([os.getpid()])

def texts():
    yield {"input_ids": [[1, 2, 3], [4, 5]], "attention_mask": [[1, 1, 1], [1, 1]]}
    yield {"input_ids": [[6, 7]], "attention_mask": [[1, 1]]}

def empty():
    return []

def only_empty_batches():
    yield {"x": np.zeros((0, 3))}

def raising():
    yield rows(0, 4)
    yield rows(4, 2)
    raise KeyError("sample 7\\nis missing")

def raising_when_called():
    raise OSError("no such disk")

def wants_arguments(path):
    yield rows(0, 4)

def returns_nothing():
    rows(0, 4)

def returns_a_dict():
    return rows(0, 4)

class Split:
    def iter(self, batch_size):
        return iter([])

def returns_splits():
    return {"test": Split(), "train": Split()}

def returns_an_array():
    return np.zeros((4, 3))

def returns_a_pair():
    return np.zeros((4, 3)), np.zeros(4)

def other_names():
    yield rows(0, 4)
    yield {"x": rows(0, 4)["x"]}

def other_type():
    yield rows(0, 4)
    yield {**rows(0, 4), "x": np.zeros((4, 3))}

def other_shape():
    yield rows(0, 4)
    yield {**rows(0, 4), "x": np.zeros((4, 3, 1), np.float32)}

def text():
    yield {"x": np.zeros((2, 3)), "name": ["a", "b"]}

def single_rows():
    yield {"input_ids": [1, 2, 3], "label": 0}

def no_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    while True:
        yield np.zeros((10, 100))

def crashing():
    yield rows(0, 4)
    os.kill(os.getpid(), signal.SIGSEGV)

def leaving():
    yield rows(0, 4)
    sys.exit(3)

def sleeping():
    yield rows(0, 4)
    if os.fork() == 0:
        Path("child").write_text(str(os.getpid()))
    time.sleep(60)

def hungry():
    yield rows(0, 4)
    kept = []
    while True:
        kept.append(np.ones(4_000_000))
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "loaders.py").write_text(LOADERS)
    (tmp_path / "scratch").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def given(
    here: Path,
    name: str,
    *,
    timeout_s: float = 60.0,
    memory_bytes: int | None = None,
    **changes: Any,
) -> Samples:
    config = Config(original="o", compressed="c", data=f"loaders:{name}", **changes)
    folder = str(here / "scratch")
    samples = open_given(config, Limits(timeout_s, memory_bytes, folder), folder, Silent())
    assert samples is not None
    assert isinstance(samples.dataset, SpoolDataset)
    return samples


def refusal(here: Path, name: str, **changes: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        given(here, name, **changes)
    error = caught.value
    assert f"loaders:{name}" in error.message
    assert "\n" not in error.message
    assert error.stage == "data"
    assert error.model is None
    assert error.hint
    return error


# ------------------------------------------------------------------------------ what is yielded


@pytest.mark.parametrize("name", ["batches", "Loader"])
def test_what_it_yields_is_kept(here: Path, name: str) -> None:
    samples = given(here, name)
    assert samples.dataset.samples == 9
    assert samples.labels == "labels"
    assert [array.name for array in samples.inputs] == ["x"]
    batch = samples.dataset.batch(2, 7)
    assert batch["labels"].tolist() == [2, 3, 4, 5, 6]
    assert batch["x"].tolist() == [[float(row)] * 3 for row in range(2, 7)]


def test_a_loader_that_shuffles_feeds_all_readers_the_same(here: Path) -> None:
    samples = given(here, "shuffling")
    again = SpoolDataset(samples.request)
    first, second = samples.dataset.batch(0, 1000), again.batch(0, 1000)
    assert first["input"].tolist() == second["input"].tolist() == first["labels"].tolist()
    assert sorted(first["input"].tolist()) == list(range(1000))
    assert first["input"].tolist() != list(range(1000))
    assert samples.dataset.digest() == again.digest()


def test_it_is_called_once_and_in_another_process(here: Path) -> None:
    given(here, "counted")
    assert (here / "calls").read_text() == "called\n"


def test_another_process(here: Path) -> None:
    ((pid,),) = given(here, "process").dataset.batch(0, 1).values()
    assert int(pid) != os.getpid()


def test_a_limit_stops_it_and_closes_the_generator(here: Path) -> None:
    samples = given(here, "endless", limit=10)
    assert samples.dataset.samples == 10
    assert samples.dataset.batch(0, 99)["labels"].tolist() == list(range(10))
    assert (here / "closed").read_text() == "8"


def test_sequences_of_different_lengths(here: Path) -> None:
    samples = given(here, "texts", task="causal-lm")
    assert samples.dataset.arrays[0].shape == (None,)
    assert samples.answers is not None
    assert (samples.answers.array, samples.answers.mask) == ("input_ids", "attention_mask")
    assert {array.name for array in samples.inputs} == {"input_ids", "attention_mask"}
    assert samples.dataset.uniform(0, 3) == 1
    labels = samples.labels_of(1, 3)
    assert labels is not None
    assert labels.tolist() == [[4, 5], [6, 7]]


# --------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("name", "code", "said", "hint"),
    [
        ("empty", "no-samples", "yields no samples", "at least one"),
        ("only_empty_batches", "no-samples", "yields no samples", "at least one"),
        ("raising", "function-failed", "KeyError: 'sample 7", "loaders.py, line"),
        ("raising", "function-failed", "in batch 3, after 6 samples", "loaders.py, line"),
        ("raising_when_called", "function-failed", "OSError: no such disk", "loaders.py, line"),
        ("wants_arguments", "function-failed", "missing 1 required", "without arguments"),
        ("returns_nothing", "not-batches", "returned nothing", "yield"),
        ("returns_a_dict", "not-batches", "returned a dict", "yield"),
        ("returns_splits", "not-batches", "a dict, not", "['test'].iter(batch_size=64)"),
        ("returns_an_array", "not-batches", "returned a ndarray", "yield"),
        ("returns_a_pair", "not-batches", "returned a tuple", "yield"),
        ("other_names", "bad-batch", "batch 2 of loaders:other_names holds 'x', and", "same"),
        ("other_type", "bad-batch", "float64 in 'x'", "types"),
        ("other_shape", "bad-batch", "shape (3, 1) in 'x'", "first dimension"),
        ("other_shape", "bad-batch", "4 samples were read before", "first dimension"),
        ("text", "bad-batch", "text in 'name'", "numbers"),
        ("single_rows", "bad-batch", "single value in 'label'", "iter(batch_size=64)"),
        ("no_room", "data-not-kept", "after 20 of them: File too large", "TMPDIR"),
        (
            "crashing",
            "data-crashed",
            "SIGSEGV while yielding samples; 4 samples",
            "in the function",
        ),
        ("leaving", "data-crashed", "exit status 3 while yielding samples; 4 samples", "Python"),
        ("no_such", "function-missing", "loaders:no_such: loaders has no no_such", "check"),
    ],
)
def test_loaders_that_fail(here: Path, name: str, code: str, said: str, hint: str) -> None:
    error = refusal(here, name)
    assert error.code == code
    assert said in error.message
    assert hint in error.hint


def test_a_loader_that_never_ends(here: Path) -> None:
    error = refusal(here, "endless", timeout_s=3.0)
    assert error.code == "data-timeout"
    assert "did not end within 3.00 s" in error.message
    assert "samples were read before" in error.message
    assert "--limit" in error.hint
    assert "--timeout" in error.hint


@pytest.mark.slow
def test_a_loader_that_hangs_dies_with_what_it_started(here: Path) -> None:
    error = refusal(here, "sleeping", timeout_s=5.0)
    assert "4 samples were read before" in error.message
    child = int((here / "child").read_text())
    assert ended(child)


def ended(pid: int) -> bool:
    """Whether the process is gone, or goes soon: a signal takes effect when it next runs."""
    until = time.monotonic() + 10
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        while process.status() != psutil.STATUS_ZOMBIE:  # nobody asked for its exit status yet
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
    return True


def test_a_loader_that_takes_too_much_memory(here: Path) -> None:
    error = refusal(here, "hungry", memory_bytes=500_000_000)
    assert error.code == "data-out-of-memory"
    assert "4 samples were read before" in error.message
    assert "--memory-limit" in error.hint


# ------------------------------------------------------------------------------------ other data


def test_a_file_is_opened_and_no_data_is_none(here: Path) -> None:
    np.savez(here / "data.npz", x=np.zeros((3, 2)))
    config = Config(original="o", compressed="c", data="data.npz", limit=2)
    samples = open_given(config, Limits(), str(here), Silent())
    assert samples is not None
    assert samples.dataset.samples == 2
    assert open_given(Config(original="o", compressed="c"), Limits(), str(here), Silent()) is None


def test_preprocess_wants_images(here: Path) -> None:
    (here / "shards").mkdir()
    np.savez(here / "shards" / "1.npz", x=np.zeros((3, 2)))
    config = Config(original="o", compressed="c", data="shards", preprocess="imagenet")
    with pytest.raises(RequestError, match="shards holds no images") as caught:
        open_given(config, Limits(), str(here), Silent())
    assert caught.value.code == "not-images"


def test_images_are_preprocessed(here: Path) -> None:
    (here / "images" / "cat").mkdir(parents=True)
    Image.new("RGB", (30, 20)).save(here / "images" / "cat" / "1.png")
    config = Config(original="o", compressed="c", data="images", preprocess="imagenet")
    samples = open_given(config, Limits(), str(here), Silent())
    assert samples is not None
    assert samples.inputs == (ArrayInfo("image", "float32", (3, 224, 224)),)
    assert samples.labels == "labels"
    assert samples.request.preprocess == "imagenet"
