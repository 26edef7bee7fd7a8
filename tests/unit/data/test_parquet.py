import os
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compaudit.data import parquet_file
from compaudit.data.base import ArrayInfo, DataRequest
from compaudit.data.open import open_data
from compaudit.data.parquet import ParquetDataset
from compaudit.errors import RequestError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.parquet"


def save(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def opened(path: Path, limit: int | None = None) -> ParquetDataset:
    dataset = open_data(DataRequest(uri=str(path), limit=limit))
    assert isinstance(dataset, ParquetDataset)
    return dataset


def refusal(path: Path, limit: int | None = None) -> RequestError:
    """What opening, or else reading, the data says."""
    with pytest.raises(RequestError) as caught:
        opened(path, limit).batch(0, 1 << 30)
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert caught.value.stage == "data"
    return caught.value


# -------------------------------------------------------------------------------- what it holds


@pytest.mark.parametrize(
    "values",
    [
        np.arange(5, dtype=np.int8),
        np.arange(5, dtype=np.uint64) + 2**63,
        np.array([0.5, np.nan, -np.inf, 0.0, 1e-40], np.float32),
        np.array([0.5, 1, 2, 3, 65504], np.float16),
        np.array([True, False, True, True, False]),
    ],
)
def test_columns_of_numbers(path: Path, values: np.ndarray) -> None:
    dataset = opened(save(path, {"x": values}))
    assert dataset.kind == "parquet"
    assert dataset.samples == 5
    assert dataset.arrays == (ArrayInfo("x", values.dtype.name, ()),)
    batch = dataset.batch(1, 4)["x"]
    assert batch.dtype == values.dtype
    np.testing.assert_array_equal(batch, values[1:4])
    batch[:] = 0  # in memory of its own
    np.testing.assert_array_equal(dataset.batch(1, 4)["x"], values[1:4])


def test_categories_of_numbers_are_numbers(path: Path) -> None:
    columns = {
        "labels": pa.array([7, 5, 7]).dictionary_encode(),
        "names": pa.array(["a", "b", "a"]).dictionary_encode(),
    }
    dataset = opened(save(path, columns))
    assert dataset.arrays == (ArrayInfo("labels", "int64", ()),)
    assert dataset.batch(0, 3)["labels"].tolist() == [7, 5, 7]
    assert dataset.left_out.keys() == {"names"}


def fixed(values: np.ndarray) -> Any:
    """Nested fixed-size lists, one a row."""
    column = pa.array(values.reshape(-1))
    for size in reversed(values.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return column


IMAGES = np.random.default_rng(0).random((7, 3, 4, 2), dtype=np.float32)


@pytest.mark.parametrize(
    "column",
    [
        fixed(IMAGES),
        pa.array(IMAGES.tolist(), pa.list_(pa.list_(pa.list_(pa.float32())))),
        pa.array(IMAGES.tolist(), pa.large_list(pa.list_(pa.list_(pa.float32(), 2)))),
        pa.FixedShapeTensorArray.from_numpy_ndarray(IMAGES),
    ],
    ids=["fixed", "lists", "mixed", "tensors"],
)
@pytest.mark.parametrize("group", [1, 3, 100])
def test_lists_become_dimensions(path: Path, column: Any, group: int) -> None:
    dataset = opened(save(path, {"x": column}, row_group_size=group))
    assert dataset.arrays == (ArrayInfo("x", "float32", (3, 4, 2)),)
    assert dataset.uniform(0, 7) == 7
    for start, stop in ((0, 7), (2, 5), (6, 9), (0, 1)):
        np.testing.assert_array_equal(dataset.batch(start, stop)["x"], IMAGES[start:stop])


def test_other_columns_are_left_out(path: Path) -> None:
    columns = {
        "x": [1.0, 2.0],
        "text": ["a", "b"],
        "image": [{"bytes": b"..."}, None],
        "words": [["a"], ["b", "c"]],
        "day": pa.array([1, 2], pa.date32()),
        "none": pa.nulls(2),
        "__index_level_0__": [7, 8],
    }
    dataset = opened(save(path, columns))
    assert dataset.arrays == (ArrayInfo("x", "float64", ()),)
    assert dataset.left_out.keys() == {"text", "image", "words", "day", "none"}
    assert dataset.left_out["text"] == "string"
    assert dataset.batch(0, 2).keys() == {"x"}


def test_only_the_wanted_columns_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = opened(save(path, {"a": [1, 2], "a.b": [3, 4], "c": [5, 6]}))
    reads = counted(monkeypatch)  # after the first look at all of them
    assert dataset.batch(0, 2, {"a"})["a"].tolist() == [1, 2]
    assert set(reads) == {("a", 0)}
    assert dataset.batch(0, 2)["a.b"].tolist() == [3, 4]
    assert dataset.batch(0, 2, ()) == {}


@pytest.mark.parametrize(("limit", "samples"), [(None, 5), (3, 3), (5, 5), (9, 5)])
def test_limit(path: Path, limit: int | None, samples: int) -> None:
    dataset = opened(save(path, {"x": range(5)}, row_group_size=2), limit)
    assert dataset.samples == samples
    assert dataset.batch(0, 100)["x"].tolist() == list(range(samples))


def test_links_are_followed(tmp_path: Path, path: Path) -> None:
    link = tmp_path / "linked"
    link.symlink_to(save(path, {"x": [1, 2]}))
    assert opened(link).batch(0, 2)["x"].tolist() == [1, 2]


# ------------------------------------------------------------------------------- varying sizes

SEQUENCES = [[1, 2], [3, 4], [5], [6], [], [7, 8, 9]]


def test_samples_of_equal_length_are_a_run(path: Path) -> None:
    columns = {"ids": SEQUENCES, "mask": SEQUENCES, "label": range(6)}
    dataset = opened(save(path, columns, row_group_size=3))
    assert dataset.arrays[0] == ArrayInfo("ids", "int64", (None,))
    assert [dataset.uniform(start, 6) for start in range(6)] == [2, 2, 4, 4, 5, 6]
    assert dataset.uniform(0, 1) == 1
    assert dataset.batch(2, 4)["ids"].tolist() == [[5], [6]]
    assert dataset.batch(4, 5)["ids"].shape == (1, 0)
    assert dataset.batch(1, 4, {"label"})["label"].tolist() == [1, 2, 3]


def test_a_run_ends_where_any_array_changes(path: Path) -> None:
    columns = {"a": [[1], [1], [1], [1, 2]], "b": [[1], [1, 2], [1, 2], [1, 2]]}
    dataset = opened(save(path, columns))
    assert [dataset.uniform(start, 4) for start in range(4)] == [1, 3, 3, 4]


def test_a_batch_beyond_a_run_is_refused(path: Path) -> None:
    dataset = opened(save(path, {"ids": SEQUENCES}, row_group_size=2))
    for start, stop in ((0, 3), (1, 3), (3, 5), (3, 6), (4, 6), (0, 6)):
        with pytest.raises(RequestError, match="'ids'") as caught:
            dataset.batch(start, stop)
        assert caught.value.code == "lengths-differ"


def test_only_what_the_limit_leaves_varies(path: Path) -> None:
    dataset = opened(save(path, {"ids": SEQUENCES}), limit=2)
    assert dataset.arrays == (ArrayInfo("ids", "int64", (2,)),)


def test_inner_lists_may_vary_between_samples(path: Path) -> None:
    column = [[[1, 2], [3, 4]], [[5], [6]], [[7], [8]], []]
    dataset = opened(save(path, {"x": column}))
    assert dataset.arrays[0].shape == (None, None)
    assert dataset.uniform(1, 4) == 3
    assert dataset.batch(0, 1)["x"].tolist() == [[[1, 2], [3, 4]]]
    assert dataset.batch(1, 3)["x"].tolist() == [[[5], [6]], [[7], [8]]]
    assert dataset.batch(3, 4)["x"].shape == (1, 0, 0)


def test_lists_of_different_lengths_in_one_sample(path: Path) -> None:
    error = refusal(save(path, {"x": [[[1], [2]], [[3, 4], [5]]]}))
    assert "row 1" in error.message
    assert "'x'" in error.message


# ---------------------------------------------------------------------------------- the digest


def test_digest_is_of_the_values_that_are_used(tmp_path: Path) -> None:
    columns = {"ids": SEQUENCES, "label": np.arange(6), "text": list("abcdef")}
    plain = opened(save(tmp_path / "1", columns)).digest()
    grouped = save(tmp_path / "2", columns, row_group_size=1, compression="zstd")
    assert opened(grouped).digest() == plain
    assert opened(save(tmp_path / "3", {**columns, "text": list("xxxxxx")})).digest() == plain
    shorter = {name: column[:4] for name, column in columns.items()}
    assert opened(save(tmp_path / "4", shorter)).digest() == opened(grouped, limit=4).digest()


@pytest.mark.parametrize(
    "other",
    [
        {"ids": [[1, 2, 3], [4], [5], [6], [], [7, 8, 9]], "label": range(6)},  # cut elsewhere
        {"ids": SEQUENCES, "label": [0, 1, 2, 3, 4, 6]},
        {"ids": SEQUENCES, "label": pa.array(range(6), pa.int32())},
        {"ids": SEQUENCES, "labels": range(6)},
        {"ids": SEQUENCES},
        {"ids": SEQUENCES[:5], "label": range(5)},
    ],
)
def test_digest_tells_apart(tmp_path: Path, other: dict[str, Any]) -> None:
    one = opened(save(tmp_path / "1", {"ids": SEQUENCES, "label": range(6)})).digest()
    assert opened(save(tmp_path / "2", other)).digest() != one


# ------------------------------------------------------------------------------ memory and reads


def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, int]]:
    """How often the reading of a column of a row group began."""
    reads: Counter[tuple[str, int]] = Counter()
    stream = parquet_file.ParquetSource.stream

    def count(
        self: parquet_file.ParquetSource, group: int, column: str, rows: int
    ) -> Iterator[Any]:
        reads[column, group] += 1
        return stream(self, group, column, rows)

    monkeypatch.setattr(parquet_file.ParquetSource, "stream", count)
    return reads


def test_reading_forwards_reads_every_group_once_and_keeps_two_at_most(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups, rows = 20, 10_000
    values = np.random.default_rng(0).random((groups * rows, 1))
    save(path, {"x": fixed(values)}, row_group_size=rows)
    reads = counted(monkeypatch)
    before = pa.total_allocated_bytes()
    dataset = opened(path)
    assert not reads
    assert dataset.batch(0, 10)["x"].shape == (10, 1)
    assert reads == {("x", 0): 1}
    for start in range(0, len(values), 777):
        np.testing.assert_array_equal(
            dataset.batch(start, start + 777)["x"], values[start : start + 777]
        )
        # Two of 20 row groups, and what the reader itself holds of a third: pages, a dictionary.
        assert pa.total_allocated_bytes() - before < values.nbytes / 3
    assert reads == {("x", group): 1 for group in range(groups)}
    dataset.release()
    assert pa.total_allocated_bytes() <= before
    assert dataset.batch(5, 6)["x"] == values[5:6]


def test_one_large_row_group_is_read_in_pieces(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((20_000, 10))
    options = {"data_page_size": 1 << 14, "use_dictionary": False}
    columns = {"x": fixed(values), "ids": values.tolist(), "label": values[:, 0]}
    save(path, columns, **options)
    monkeypatch.setattr(parquet_file, "_PIECE_BYTES", 1 << 15)
    reads = counted(monkeypatch)
    before = pa.total_allocated_bytes()
    dataset = opened(path)
    for start in range(0, len(values), 300):
        batch = dataset.batch(start, start + 300)
        np.testing.assert_array_equal(batch.pop("label"), values[start : start + 300, 0])
        for array in batch.values():
            np.testing.assert_array_equal(array, values[start : start + 300])
        for column in dataset._columns.values():
            assert sum(piece.values.nbytes for piece in column._kept) <= 2 << 15
        assert pa.total_allocated_bytes() - before < values.nbytes / 2
    assert reads["x", 0] == 1
    assert reads["ids", 0] == 3  # the first rows for their size, all for their lengths
    np.testing.assert_array_equal(dataset.batch(10, 12)["x"], values[10:12])  # back again


def test_lengths_are_found_once_while_somebody_has_the_data_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(path, {"ids": SEQUENCES})
    reads = counted(monkeypatch)
    one, other = opened(path), opened(path)
    assert one.runs is other.runs
    assert reads["ids", 0] == 2  # the first rows for their size, all for their lengths
    opened(path, limit=3)
    assert reads["ids", 0] == 4
    save(path, {"ids": [*SEQUENCES, [1]]})
    assert opened(path).samples == 7
    assert reads["ids", 0] == 6


# ------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("column", "row"),
    [
        (pa.array([1, 2, 3, None]), 3),
        (pa.array([1.0, None, 3.0, None]), 1),
        (pa.array([[1], None, [2], [3]]), 1),
        (pa.array([[1], [2], [3, None], [4]]), 2),
        (pa.array([[[1]], [[2], None], [[3]], [[4]]], pa.list_(pa.list_(pa.int64()))), 1),
        (pa.array([[1, 2], [3, 4], [5, 6], None], pa.list_(pa.int64(), 2)), 3),
        (pa.array([[1, 2], [3, 4], [None, 6], [7, 8]], pa.list_(pa.int64(), 2)), 2),
    ],
)
@pytest.mark.parametrize("options", [{}, {"row_group_size": 1}, {"write_statistics": False}])
def test_nulls(path: Path, column: Any, row: int, options: dict[str, Any]) -> None:
    error = refusal(save(path, {"y": range(4), "x": column}, **options))
    assert error.code == "uneven-data"
    assert f"null in row {row} of the column 'x'" in error.message
    # Up to there nothing is wrong.
    assert len(opened(path, limit=row).batch(0, row)["y"]) == row


def test_a_null_in_a_list_of_fixed_size_is_met_again_and_again(path: Path) -> None:
    column = pa.array([[1, 2], [3, 4], [None, 6], [7, 8]], pa.list_(pa.int64(), 2))
    dataset = opened(save(path, {"x": column}, row_group_size=2))
    for _ in range(2):
        with pytest.raises(RequestError, match="row 2"):
            dataset.batch(0, 4)
        assert dataset.batch(0, 2)["x"].tolist() == [[1, 2], [3, 4]]
        with pytest.raises(RequestError, match="row 2"):
            dataset.batch(3, 4)


def test_no_column_of_numbers(path: Path) -> None:
    error = refusal(save(path, {"text": ["a", "b"]}))
    assert error.code == "no-arrays"
    assert "'text' is string" in error.message


@pytest.mark.parametrize("columns", [{"x": pa.array([], pa.float32())}, {"x": [1.0][:0]}])
def test_no_rows(path: Path, columns: dict[str, Any]) -> None:
    assert refusal(save(path, columns)).code in ("no-samples", "no-arrays")
    pq.write_table(pa.table({"x": pa.array([], pa.list_(pa.float32()))}), path)
    assert refusal(path).code == "no-samples"


def test_two_columns_of_one_name(path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["x", "x"])
    pq.write_table(table, path)
    assert refusal(path).code == "broken-data"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_truncated_files(path: Path, share: float) -> None:
    save(path, {"x": np.random.default_rng(0).random(5000), "ids": [[1, 2]] * 5000})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert refusal(path).code == "broken-data"


def test_flipped_bytes_end_in_data_or_an_error(path: Path) -> None:
    """With checksums of the pages, no other values come out, unless the footer tells of others."""
    random = np.random.default_rng(0)
    options = {"compression": "none", "write_page_checksum": True, "use_dictionary": False}
    values = random.integers(0, 9, 2000)
    save(path, {"x": values, "ids": [[1, 2]] * 2000}, **options)
    whole = path.read_bytes()
    (footer,) = struct.unpack("<I", whole[-8:-4])
    refused = 0
    for place in random.integers(0, len(whole), 300):
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        path.write_bytes(broken)
        try:
            dataset = opened(path)
            batch = dataset.batch(0, dataset.uniform(0, dataset.samples))
        except RequestError:
            refused += 1
            continue
        assert place >= len(whole) - 8 - footer or batch["x"].tolist() == values.tolist()
    assert refused > 200


def test_an_encrypted_footer(path: Path) -> None:
    path.write_bytes(b"PARE" + bytes(50) + struct.pack("<I", 20) + b"PARE")
    assert refusal(path).code == "broken-data"


def test_rows_that_explode(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row of 8 MB of equal numbers, in a file of some kilobytes."""
    save(path, {"x": fixed(np.zeros((1, 1 << 20), np.int64))})
    assert path.stat().st_size * parquet_file._LARGEST_RATIO < 8 << 20
    assert opened(path).batch(0, 1)["x"].shape == (1, 1 << 20)
    monkeypatch.setattr(parquet_file, "_LARGE_BYTES", 1 << 20)
    reads = counted(monkeypatch)
    assert refusal(path).code == "suspicious-data"
    assert not reads


def test_without_pyarrow(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(path, {"x": [1, 2]})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    error = refusal(path)
    assert error.code == "runtime-missing"
    assert "pip install 'compaudit[data]'" in error.hint


def test_a_missing_pyarrow_is_no_matter_for_other_data() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('pyarrow', 'PIL')));"
        "import compaudit.data.open"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))
