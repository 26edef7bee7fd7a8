import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compaudit.data.base import ArrayInfo, DataRequest, Dataset
from compaudit.data.npy import NpyFolder
from compaudit.data.npz import NpzDataset
from compaudit.data.open import open_data
from compaudit.data.parquet import ParquetDataset
from compaudit.data.shards import ShardedDataset
from compaudit.errors import RequestError

Columns = dict[str, Any]


def save_npz(path: Path, columns: Columns) -> None:
    np.savez(path, **columns)


def save_parquet(path: Path, columns: Columns) -> None:
    lists = {
        name: pa.array(list(values), pa.list_(pa.int64())) if name == "ids" else values
        for name, values in columns.items()
    }
    pq.write_table(pa.table(lists), path, row_group_size=3)


def save_jsonl(path: Path, columns: Columns) -> None:
    rows = zip(*(np.asarray(values).tolist() for values in columns.values()), strict=True)
    lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8")


SAVE: dict[str, Callable[[Path, Columns], None]] = {
    "npz": save_npz,
    "parquet": save_parquet,
    "jsonl": save_jsonl,
}
KINDS = pytest.mark.parametrize("kind", SAVE)


def shard(folder: Path, number: int, kind: str, columns: Columns) -> Path:
    path = folder / f"shard-{number:03}.{kind}"
    SAVE[kind](path, columns)
    return path


def opened(path: Path, limit: int | None = None) -> Dataset:
    return open_data(DataRequest(uri=str(path), limit=limit))


def refusal(path: Path, limit: int | None = None) -> RequestError:
    """What opening, or else reading, the data says."""
    with pytest.raises(RequestError) as caught:
        opened(path, limit).batch(0, 1 << 30)
    assert caught.value.hint
    assert caught.value.stage == "data"
    return caught.value


# ------------------------------------------------------------------------------------ one data set


@KINDS
def test_shards_are_one_data_set_in_the_order_of_their_names(tmp_path: Path, kind: str) -> None:
    shard(tmp_path, 10, kind, {"x": np.array([3.5]), "labels": np.array([7])})
    shard(tmp_path, 2, kind, {"x": np.array([0.5, 1.5, 2.5]), "labels": np.array([4, 5, 6])})
    dataset = opened(tmp_path)
    assert isinstance(dataset, ShardedDataset)
    assert dataset.kind == f"{kind} shards"
    assert dataset.samples == 4
    assert dataset.arrays == (ArrayInfo("x", "float64", ()), ArrayInfo("labels", "int64", ()))
    assert dataset.batch(0, 9)["x"].tolist() == [0.5, 1.5, 2.5, 3.5]
    assert dataset.batch(2, 4, {"labels"})["labels"].tolist() == [6, 7]
    assert dataset.name_of(1) == f"shard-002.{kind}:1"
    assert dataset.name_of(3) == f"shard-010.{kind}:0"
    assert dataset.broken == {}
    (nothing,) = dataset.batch(2, 2, {"x"}).values()
    assert (nothing.shape, nothing.dtype) == ((0,), np.float64)


@KINDS
@pytest.mark.parametrize(("limit", "samples"), [(1, 1), (3, 3), (4, 4), (6, 6), (99, 6)])
def test_the_limit_counts_over_all(tmp_path: Path, kind: str, limit: int, samples: int) -> None:
    shard(tmp_path, 0, kind, {"x": np.arange(3)})
    shard(tmp_path, 1, kind, {"x": np.arange(3, 6)})
    dataset = opened(tmp_path, limit)
    assert dataset.samples == samples
    assert dataset.batch(0, 99)["x"].tolist() == list(range(samples))


@KINDS
def test_what_is_no_shard_is_left_aside(tmp_path: Path, kind: str) -> None:
    shard(tmp_path, 0, kind, {"x": np.arange(3)})
    (tmp_path / "README.md").write_text("samples")
    (tmp_path / "index.json").write_text('{"shards": 1}')
    (tmp_path / f".hidden.{kind}").write_text("?")
    (tmp_path / f"_metadata.{kind}").write_text("?")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / f"folder.{kind}").mkdir()
    (tmp_path / "more").mkdir()
    shard(tmp_path / "more", 1, kind, {"x": np.arange(9)})
    assert opened(tmp_path).samples == 3


def test_links_are_followed(tmp_path: Path) -> None:
    """As in a Hugging Face cache: a folder of links into a folder of blobs."""
    blobs, folder = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    folder.mkdir()
    for number in range(2):
        path = shard(blobs, number, "parquet", {"x": np.arange(2) + 2 * number})
        blob = path.rename(blobs / f"0f{number}e")
        (folder / f"train-{number}.parquet").symlink_to(blob)
    (tmp_path / "data").symlink_to(folder)
    assert opened(tmp_path / "data").batch(0, 4)["x"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_empty_shards_are_skipped(tmp_path: Path, kind: str) -> None:
    for number, values in enumerate(([], [1.5, 2.5], [], [3.5], [])):
        shard(tmp_path, number, kind, {"x": np.array(values)})
    dataset = opened(tmp_path)
    assert dataset.batch(0, 3)["x"].tolist() == [1.5, 2.5, 3.5]
    assert dataset.name_of(2) == f"shard-003.{kind}:0"


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_lengths_may_vary_between_shards_too(tmp_path: Path, kind: str) -> None:
    save_lines(tmp_path, kind, [[[1, 2], [3, 4]], [[5, 6], [7]], [[8]]])
    dataset = opened(tmp_path)
    assert dataset.arrays == (ArrayInfo("ids", "int64", (None,)),)
    # Runs go on over the ends of shards.
    assert [dataset.uniform(start, 5) for start in range(5)] == [3, 3, 3, 5, 5]
    assert dataset.batch(0, 3)["ids"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert dataset.batch(3, 5)["ids"].tolist() == [[7], [8]]
    with pytest.raises(RequestError, match=f"samples 0 to 1 of {tmp_path / '1'}") as caught:
        dataset.batch(2, 4)
    assert caught.value.code == "lengths-differ"
    save_lines(tmp_path, kind, [[[1, 2], [3, 4]], [[5, 6]], [[8]]])
    with pytest.raises(RequestError, match=f"samples 2 to 3 of {tmp_path} "):
        opened(tmp_path).batch(2, 4)
    assert opened(tmp_path, limit=2).arrays[0].shape == (2,)


def save_lines(folder: Path, kind: str, shards: list[list[list[int]]]) -> None:
    for number, lines in enumerate(shards):
        path = folder / f"{number}.{kind}"
        if kind == "parquet":
            save_parquet(path, {"ids": lines})
        else:
            path.write_text("".join(json.dumps({"ids": line}) + "\n" for line in lines))


def test_at_most_two_shards_hold_anything(tmp_path: Path) -> None:
    for number in range(5):
        shard(tmp_path, number, "npz", {"x": np.arange(3)})
    dataset = opened(tmp_path)
    assert isinstance(dataset, ShardedDataset)

    def holding() -> list[int]:
        shards = [part for part in dataset._shards if isinstance(part, NpzDataset)]
        return [place for place, part in enumerate(shards) if part._read]

    assert holding() == []
    for start in range(14):
        assert dataset.batch(start, start + 2)["x"].tolist() == [start % 3, (start + 1) % 3]
        assert len(holding()) <= 2
    assert holding() == [3, 4]
    assert dataset.batch(0, 15)["x"].tolist() == [0, 1, 2] * 5
    dataset.digest()
    assert holding() == [3, 4]


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_files_of_other_shards_are_closed(tmp_path: Path, kind: str) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("counts open files in /proc")
    for number in range(20):
        shard(tmp_path, number, kind, {"x": np.arange(3)})
    before = len(list(descriptors.iterdir()))
    dataset = opened(tmp_path)
    assert dataset.batch(0, 60)["x"].tolist() == [0, 1, 2] * 20
    assert len(list(descriptors.iterdir())) <= before + 2


# ------------------------------------------------------------------------------------- any split


@st.composite
def split_samples(draw: st.DrawFn) -> tuple[Columns, list[int], list[int]]:
    """Arrays, where they are cut into shards, and where into batches."""
    samples = draw(st.integers(1, 20))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    lengths = draw(st.lists(st.integers(0, 2), min_size=samples, max_size=samples))
    columns: Columns = {
        "x": random.random(samples),
        "labels": random.integers(0, 9, samples),
        "ids": [random.integers(0, 99, length) for length in lengths],
    }
    cuts = st.lists(st.integers(0, samples), max_size=5)
    return columns, sorted(draw(cuts)), sorted({0, samples, *draw(cuts)})


def parts_of(columns: Columns, cuts: list[int]) -> Iterator[Columns]:
    samples = len(columns["labels"])
    for start, stop in zip([0, *cuts], [*cuts, samples], strict=True):
        if start < stop:
            yield {name: values[start:stop] for name, values in columns.items()}


@settings(max_examples=60, deadline=None)
@given(split_samples(), st.sampled_from(["npz", "parquet", "jsonl"]))
def test_any_split_gives_the_batches_of_the_whole(
    drawn: tuple[Columns, list[int], list[int]], kind: str
) -> None:
    columns, cuts, batches = drawn
    if kind == "npz":
        columns = {**columns, "ids": np.outer(columns["labels"], np.arange(3))}
    if kind == "jsonl":
        columns = {**columns, "ids": [values.tolist() for values in columns["ids"]]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole_path = folder / f"whole.{kind}"
        (folder / "shards").mkdir()
        save = save_jsonl_ragged if kind == "jsonl" else SAVE[kind]
        save(whole_path, columns)
        for number, part in enumerate(parts_of(columns, cuts)):
            save(folder / "shards" / f"{number:03}.{kind}", part)
        whole, shards = opened(whole_path), opened(folder / "shards")
        assert shards.arrays == whole.arrays
        assert shards.samples == whole.samples
        for begin, end in pairwise(batches):
            start = begin
            while start < end:
                stop = shards.uniform(start, end)
                assert stop == whole.uniform(start, end)
                expected, got = whole.batch(start, stop), shards.batch(start, stop)
                assert expected.keys() == got.keys()
                for array, values in expected.items():
                    assert values.dtype == got[array].dtype
                    np.testing.assert_array_equal(got[array], values)
                    np.testing.assert_array_equal(
                        values, np.array(columns[array][start:stop]).reshape(values.shape)
                    )
                start = stop
        if kind != "npz":
            assert shards.digest() == whole.digest()


def test_the_digest_spelled_out(tmp_path: Path) -> None:
    """It stands in reports, and has to stay what it is."""

    def sha(*values: object) -> bytes:
        return hashlib.sha256(np.array(values).tobytes()).digest()

    ids = b'["ids","int64",1]' + sha(2, 1, 0) + sha(7, 8, 9)
    labels = b'["labels","int64",0]' + hashlib.sha256().digest() + sha(4, 5, 6)
    columns = {"labels": [4, 5, 6], "ids": [[7, 8], [9], []]}
    lines = [{"ids": i, "labels": n} for i, n in zip(*reversed(columns.values()), strict=True)]
    save_parquet(tmp_path / "a.parquet", columns)
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for kind in ("parquet", "jsonl"):
        expected = hashlib.sha256(ids + labels).hexdigest()
        assert opened(tmp_path / f"a.{kind}").digest() == expected


def save_jsonl_ragged(path: Path, columns: Columns) -> None:
    lines = [
        json.dumps({"x": float(x), "labels": int(label), "ids": ids})
        for x, label, ids in zip(columns["x"], columns["labels"], columns["ids"], strict=True)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


@settings(max_examples=30, deadline=None)
@given(split_samples(), st.lists(st.integers(0, 20), max_size=4))
def test_the_digest_does_not_depend_on_the_split(
    drawn: tuple[Columns, list[int], list[int]], other_cuts: list[int]
) -> None:
    columns, cuts, _ = drawn
    columns = {name: values for name, values in columns.items() if name != "ids"}
    other_cuts = sorted(min(cut, len(columns["labels"])) for cut in other_cuts)
    digests = set()
    for places in (cuts, other_cuts):
        with tempfile.TemporaryDirectory() as name:
            for number, part in enumerate(parts_of(columns, places)):
                save_npz(Path(name) / f"{number:03}.npz", part)
            digests.add(opened(Path(name)).digest())
    columns["x"] = columns["x"].copy()
    columns["x"][-1] += 1
    with tempfile.TemporaryDirectory() as name:
        save_npz(Path(name) / "a.npz", columns)
        assert opened(Path(name)).digest() not in digests
    assert len(digests) == 1


# ------------------------------------------------------------------------------ what is refused


def test_an_empty_folder(tmp_path: Path) -> None:
    error = refusal(tmp_path)
    assert error.code == "unknown-data"
    for kind in (".npz", ".npy", ".parquet", ".jsonl", "images"):
        assert kind in error.hint


def test_no_shard_holds_a_sample(tmp_path: Path) -> None:
    shard(tmp_path, 0, "npz", {"x": np.array([])})
    assert refusal(tmp_path).code == "no-samples"


def test_two_kinds(tmp_path: Path) -> None:
    shard(tmp_path, 0, "npz", {"x": np.arange(3)})
    shard(tmp_path, 1, "parquet", {"x": np.arange(3)})
    error = refusal(tmp_path, limit=1)
    assert error.code == "mixed-data"
    assert "shard-000.npz is npz" in error.message
    assert "shard-001.parquet is parquet" in error.message


@KINDS
@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"x": np.zeros((2, 3)), "y": np.zeros(2)}, "'y' is no array of numbers there"),
        ({"z": np.zeros((2, 3))}, "'x' is float64 (3) there and no array of numbers here"),
        ({"x": np.zeros((2, 3), np.int64)}, "'x' is float64 (3) there and int64 (3) here"),
        ({"x": np.zeros((2, 3, 1))}, "'x' is float64 (3) there and float64 (3, 1) here"),
        ({"x": np.zeros(2)}, "'x' is float64 (3) there and float64 () here"),
    ],
)
def test_shards_that_hold_other_arrays(
    tmp_path: Path, kind: str, columns: Columns, said: str
) -> None:
    def as_lists(values: np.ndarray) -> Any:
        return values if values.ndim == 1 else pa.array(values.tolist())

    def save(number: int, given: Columns) -> None:
        lists = kind == "parquet"
        columns = {name: as_lists(v) if lists else v for name, v in given.items()}
        shard(tmp_path, number, kind, columns)

    save(0, {"x": np.zeros((2, 3))})
    save(1, {"x": np.zeros((2, 3))})
    save(2, columns)
    error = refusal(tmp_path)
    assert error.code == "shards-differ"
    assert f"{tmp_path / 'shard-002'}.{kind} does not continue shard-000.{kind}" in error.message
    assert said in error.message
    assert opened(tmp_path, limit=4).samples == 4


def test_sizes_that_the_type_states_may_not_vary(tmp_path: Path) -> None:
    for size in (2, 3):
        column = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(6)), size)
        pq.write_table(pa.table({"x": column}), tmp_path / f"{size}.parquet")
    assert refusal(tmp_path).code == "shards-differ"
    (tmp_path / "2.parquet").unlink()
    (tmp_path / "3.parquet").unlink()
    for size in (2, 3):
        np.savez(tmp_path / f"{size}.npz", x=np.zeros((6, size)))
    assert refusal(tmp_path).code == "shards-differ"


@KINDS
def test_a_corrupt_shard_is_named(tmp_path: Path, kind: str) -> None:
    for number in range(3):
        path = shard(tmp_path, number, kind, {"x": np.arange(100)})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    error = refusal(tmp_path)
    assert error.code == "broken-data"
    assert str(path) in error.message


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_a_file_that_is_not_what_it_is_called(tmp_path: Path, kind: str) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    (tmp_path / f"b.{kind}").write_bytes(b"something else")
    error = refusal(tmp_path)
    assert error.code == "unknown-data"
    assert f"{tmp_path / 'b'}.{kind}" in error.message


def test_links_to_nothing_and_pipes(tmp_path: Path) -> None:
    shard(tmp_path, 0, "npz", {"x": np.arange(3)})
    odd = tmp_path / "shard-001.npz"
    odd.symlink_to(tmp_path / "gone")
    assert str(odd) in refusal(tmp_path).message
    odd.unlink()
    os.mkfifo(odd)
    assert str(odd) in refusal(tmp_path).message


def test_files_and_folders_that_cannot_be_read(tmp_path: Path) -> None:
    unreadable = Path("/proc/self/mem")  # its first page is never mapped, whoever asks
    if not unreadable.is_file():
        pytest.skip("needs /proc")
    assert refusal(unreadable).code == "missing-data"
    (tmp_path / "a.npz").symlink_to(unreadable)
    error = refusal(tmp_path)
    assert error.code == "missing-data"
    assert "a.npz" in error.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_without_permission(tmp_path: Path) -> None:
    path = shard(tmp_path, 0, "npz", {"x": np.arange(3)})
    path.chmod(0)
    assert refusal(path).code == refusal(tmp_path).code == "missing-data"
    tmp_path.chmod(0)
    try:
        assert refusal(tmp_path).code == "missing-data"
    finally:
        tmp_path.chmod(0o700)


# --------------------------------------------------------------------------------- other folders


def test_npy_files_are_arrays_side_by_side(tmp_path: Path) -> None:
    ids, labels = np.arange(12).reshape(4, 3), np.array([True, False, True, True])
    np.save(tmp_path / "input_ids.npy", ids)
    np.save(tmp_path / "labels.npy", labels)
    dataset = opened(tmp_path, limit=3)
    assert isinstance(dataset, NpyFolder)
    assert dataset.samples == 3
    assert set(dataset.arrays) == {
        ArrayInfo("input_ids", "int64", (3,)),
        ArrayInfo("labels", "bool", ()),
    }
    assert dataset.batch(1, 9, {"input_ids"})["input_ids"].tolist() == ids[1:3].tolist()
    # As the same arrays in one archive.
    archive = tmp_path / "all"
    np.savez(archive, input_ids=ids, labels=labels)
    assert opened(archive.with_suffix(".npz"), limit=3).digest() == dataset.digest()


def test_npy_files_of_different_lengths(tmp_path: Path) -> None:
    np.save(tmp_path / "shard-0.npy", np.zeros(3))
    np.save(tmp_path / "shard-1.npy", np.zeros(2))
    error = refusal(tmp_path)
    assert error.code == "data-lengths-differ"
    assert "first dimension of every array" in error.hint


def test_data_files_count_for_more_than_a_picture_below(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "loss.png").write_bytes(b"?")
    shard(tmp_path, 0, "parquet", {"x": np.arange(3)})
    dataset = opened(tmp_path)
    assert isinstance(dataset, ShardedDataset)
    assert isinstance(dataset._shards[0], ParquetDataset)
