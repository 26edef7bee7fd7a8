from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compaudit.data import rows
from compaudit.data.base import ArrayInfo, DataRequest
from compaudit.data.spool import BatchError, SpoolDataset, SpoolWriter, samples_in
from compaudit.errors import RequestError


def write(folder: Path, *batches: dict[str, Any]) -> Path:
    with SpoolWriter(folder) as writer:
        for batch in batches:
            writer.append(batch)
    return folder


def opened(folder: Path, limit: int | None = None) -> SpoolDataset:
    return SpoolDataset(DataRequest(uri="m:f", spool=str(folder), limit=limit))


def sequences(*lengths: int, start: int = 0) -> list[NDArray[np.int64]]:
    """Sequences of these lengths, counting up through all of them."""
    ends = np.cumsum(lengths)
    return [np.arange(end - length, end) + start for end, length in zip(ends, lengths, strict=True)]


# --------------------------------------------------------------------------- what goes in comes out


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "uint8", "float16", "complex64"])
def test_arrays_come_back_as_they_were(tmp_path: Path, dtype: str) -> None:
    values = np.arange(7 * 6).reshape(7, 2, 3).astype(dtype)
    data = opened(write(tmp_path / "s", {"x": values[:4]}, {"x": values[4:]}))
    assert data.samples == 7
    assert data.arrays == (ArrayInfo("x", dtype, (2, 3)),)
    for start in range(7):
        for stop in range(start, 8):
            np.testing.assert_array_equal(
                data.batch(start, stop)["x"], values[start:stop], strict=True
            )
    assert data.kind == "function"
    assert data.broken == {}
    assert data.name_of(3) == "3"


def test_bfloat16_and_scalars_and_empty_rows(tmp_path: Path) -> None:
    batch = {
        "half": np.array([1.5, -2.0], ml_dtypes.bfloat16),
        "label": np.int64([3, 4]),
        "none": np.zeros((2, 0, 5), np.float32),
    }
    data = opened(write(tmp_path / "s", batch))
    assert [array.shape for array in data.arrays] == [(), (), (0, 5)]
    got = data.batch(0, 2)
    assert got["half"].dtype.name == "bfloat16"
    assert got["half"].astype(float).tolist() == [1.5, -2.0]
    assert got["label"].tolist() == [3, 4]
    assert got["none"].shape == (2, 0, 5)
    assert data.batch(1, 2, {"label"}).keys() == {"label"}
    assert data.batch(0, 2)["label"].flags.writeable


def test_strided_arrays(tmp_path: Path) -> None:
    values = np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2)[:, :, ::2]
    data = opened(write(tmp_path / "s", {"x": values}))
    np.testing.assert_array_equal(data.batch(0, 3)["x"], values)


# ------------------------------------------------------------------------------------ sequences


def test_sequences_of_different_lengths_keep_them(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "s",
        {"ids": sequences(3, 3, 2), "label": np.int64([0, 1, 2])},
        {"ids": np.int64([[100, 101], [102, 103]]), "label": np.int64([3, 4])},
        {"ids": sequences(0, 1, start=200), "label": np.int64([5, 6])},
    )
    data = opened(folder)
    assert data.arrays == (ArrayInfo("ids", "int64", (None,)), ArrayInfo("label", "int64", ()))
    assert [data.uniform(start, 7) for start in range(7)] == [2, 2, 5, 5, 5, 6, 7]
    assert data.uniform(0, 1) == 1
    assert data.uniform(2, 4) == 4
    assert data.batch(0, 2)["ids"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert data.batch(2, 5)["ids"].tolist() == [[6, 7], [100, 101], [102, 103]]
    assert data.batch(5, 6)["ids"].shape == (1, 0)
    assert data.batch(6, 7)["ids"].tolist() == [[200]]
    with pytest.raises(RequestError, match="samples 0 to 2 have different lengths") as caught:
        data.batch(0, 3)
    assert "--batch-size 1" in caught.value.hint
    assert data.batch(0, 7, {"label"})["label"].tolist() == list(range(7))


def test_lengths_that_change_from_batch_to_batch(tmp_path: Path) -> None:
    """What a loader gives that pads each batch to its own longest."""
    first, second = np.ones((2, 4, 3), np.float32), np.zeros((1, 5, 3), np.float32)
    data = opened(write(tmp_path / "s", {"x": first}, {"x": second}))
    assert data.arrays[0].shape == (None, 3)
    assert data.uniform(0, 3) == 2
    np.testing.assert_array_equal(data.batch(0, 2)["x"], first)
    np.testing.assert_array_equal(data.batch(2, 3)["x"], second)


def test_sequences_of_one_length_are_an_ordinary_array(tmp_path: Path) -> None:
    data = opened(write(tmp_path / "s", {"x": sequences(2, 2)}, {"x": np.int64([[9, 9]])}))
    assert data.arrays[0].shape == (2,)
    assert data.uniform(0, 3) == 3
    assert data.batch(0, 3)["x"].tolist() == [[0, 1], [2, 3], [9, 9]]


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lengths=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=5),
    file_bytes=st.integers(1, 64),
)
def test_any_sequences_in_files_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[list[int]], file_bytes: int
) -> None:
    """The same values come back wherever the files were cut, and in every run of equal lengths."""
    folder = tmp_path_factory.mktemp("spool") / "s"
    flat = [length for batch in lengths for length in batch]
    whole = sequences(*flat)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_FILE_BYTES", file_bytes)
        done = 0
        with SpoolWriter(folder) as writer:
            for batch in lengths:
                part = whole[done : done + len(batch)]
                writer.append({"x": part, "n": np.int64([len(one) for one in part])})
                done += len(batch)
        data = opened(folder)
        assert data.samples == len(flat)
        start = 0
        while start < data.samples:
            stop = data.uniform(start, data.samples)
            assert stop > start
            assert len(set(flat[start:stop])) == 1
            assert stop == data.samples or flat[stop] != flat[start]
            batch = data.batch(start, stop)
            np.testing.assert_array_equal(batch["x"], np.stack(whole[start:stop]))
            assert batch["n"].tolist() == flat[start:stop]
            start = stop
    assert max(file.stat().st_size for file in folder.glob("*.[0-9]*")) <= max(8, file_bytes)


# ----------------------------------------------------------------------------- what does not follow

FIRST = {"x": np.zeros((2, 3), np.float32), "y": np.int64([0, 1])}


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ({"x": FIRST["x"]}, "holds 'x', and those before hold 'x', 'y'"),
        ({**FIRST, "z": FIRST["y"]}, "'z'"),
        ({**FIRST, "x": FIRST["x"].astype("float64")}, "float64 in 'x'"),
        ({**FIRST, "x": np.zeros((2, 3, 1), np.float32)}, r"shape \(3, 1\) in 'x'"),
        ({**FIRST, "x": np.zeros(2, np.float32)}, r"shape \(\) in 'x'"),
        ({**FIRST, "y": np.int64([[0], [1]])}, r"shape \(1,\) in 'y', and those before have \(\)"),
        ({**FIRST, "x": [np.zeros((3, 2), np.float32)] * 2}, r"shape \(3, 2\)"),
    ],
)
def test_batches_hold_the_same_arrays(tmp_path: Path, then: dict[str, Any], said: str) -> None:
    with SpoolWriter(tmp_path / "s") as writer:
        writer.append(FIRST)
        with pytest.raises(BatchError, match=said) as caught:
            writer.append(then)
        assert caught.value.hint
        writer.append(FIRST)
    # What was refused left nothing behind.
    assert opened(tmp_path / "s").batch(0, 4)["y"].tolist() == [0, 1, 0, 1]


# ----------------------------------------------------------------------------------- the folder


def test_a_reader_sees_how_far_a_dead_writer_came(tmp_path: Path) -> None:
    assert samples_in(tmp_path / "s") == 0
    writer = SpoolWriter(tmp_path / "s")
    assert samples_in(tmp_path / "s") == 0
    writer.append(FIRST)
    writer.append(FIRST)
    assert samples_in(tmp_path / "s") == 4


def test_what_was_not_finished_cannot_be_opened(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "s")
    writer.append(FIRST)
    writer.__exit__(KeyError, KeyError(), None)
    with pytest.raises(RequestError) as caught:
        opened(tmp_path / "s")
    assert caught.value.code == "missing-data"


def test_files_that_went_away(tmp_path: Path) -> None:
    data = opened(write(tmp_path / "s", FIRST))
    (tmp_path / "s" / "0.0").unlink()
    with pytest.raises(RequestError, match="are gone"):
        data.batch(0, 1)
    (tmp_path / "s" / "0.0").write_bytes(b"12345")
    with pytest.raises(RequestError, match="are gone"):
        data.batch(0, 1)


def test_the_digest_is_of_the_samples_not_of_the_batches(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(6, 2)
    whole = opened(write(tmp_path / "a", {"x": values, "y": np.arange(6)}))
    parts = opened(
        write(
            tmp_path / "b",
            {"y": np.arange(2), "x": values[:2]},
            {"x": values[2:], "y": np.arange(2, 6)},
        )
    )
    assert whole.digest() == parts.digest()
    others = [
        {"x": values + 1, "y": np.arange(6)},
        {"z": values, "y": np.arange(6)},
        {"x": values.reshape(6, 2, 1), "y": np.arange(6)},
        {"x": values.view(np.int32), "y": np.arange(6)},
    ]
    digests = {opened(write(tmp_path / f"o{n}", one)).digest() for n, one in enumerate(others)}
    assert len(digests | {whole.digest()}) == 5


def test_the_same_numbers_cut_elsewhere_are_other_samples(tmp_path: Path) -> None:
    one = opened(write(tmp_path / "a", {"x": sequences(1, 2)}))
    other = opened(write(tmp_path / "b", {"x": sequences(2, 1)}))
    assert one.digest() != other.digest()


def test_limit(tmp_path: Path) -> None:
    data = opened(write(tmp_path / "s", FIRST, FIRST), limit=3)
    assert data.samples == 3
    assert len(data.batch(0, 10)["x"]) == 3
