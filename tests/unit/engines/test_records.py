import errno
import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compaudit.engines.inference import Part
from compaudit.engines.records import BrokenRecordsError, Reader, Writer
from compaudit.errors import MeasurementError


def part(start: int, stop: int, broken: tuple[int, ...] = ()) -> Part:
    """Outputs of which every row says which sample it is."""
    rows = np.array([index for index in range(start, stop) if index not in broken])
    outputs = {
        "logits": np.stack([rows, -rows], axis=1).astype(np.float32),
        "ünï": rows.astype("int16"),
    }
    scores = {"m": rows / 2}
    return Part(outputs if len(rows) else {}, dict.fromkeys(broken, "torn"), scores)


def store(folder: Path, *parts: tuple[int, int, tuple[int, ...]]) -> Reader:
    writer = Writer(folder, samples=10)
    for start, stop, broken in parts:
        writer.write(start, stop, part(start, stop, broken))
    writer.close()
    assert writer.problem == ""
    return Reader(folder)


@given(
    edges=st.sets(st.integers(1, 19)),
    broken=st.sets(st.integers(0, 19)),
    wanted=st.tuples(st.integers(0, 19), st.integers(1, 20)),
    order=st.randoms(),
)
def test_any_range_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    edges: set[int],
    broken: set[int],
    wanted: tuple[int, int],
    order: Any,
) -> None:
    start, stop = wanted[0], max(wanted[1], wanted[0] + 1)
    bounds = [0, *sorted(edges), 20]
    ranges = list(itertools.pairwise(bounds))
    order.shuffle(ranges)
    reader = store(
        tmp_path_factory.mktemp("records"),
        *((a, b, tuple(i for i in sorted(broken) if a <= i < b)) for a, b in ranges),
    )
    assert reader.covers(0, 20)
    got = reader.read(start, stop)
    rows = [i for i in range(start, stop) if i not in broken]
    assert got.broken == {i: "torn" for i in sorted(broken) if start <= i < stop}
    if not rows:
        assert got.outputs == {}
        return
    assert got.outputs["logits"].tolist() == [[i, -i] for i in rows]
    assert got.outputs["logits"].dtype == np.float32
    assert got.outputs["ünï"].tolist() == rows
    assert got.outputs["ünï"].dtype == np.dtype("int16")
    assert got.scores["m"].tolist() == [i / 2 for i in rows]


def test_what_is_missing_is_not_covered(tmp_path: Path) -> None:
    reader = store(tmp_path, (2, 5, ()), (6, 9, (7,)))
    assert reader.covers(2, 5)
    assert reader.covers(6, 9)
    assert not reader.covers(2, 9)
    assert not reader.covers(0, 5)
    assert not reader.covers(6, 10)


def test_a_range_is_mapped_not_copied(tmp_path: Path) -> None:
    reader = store(tmp_path, (0, 8, ()))
    values = reader.read(2, 6).outputs["logits"]
    assert not values.flags.owndata
    assert not values.flags.writeable
    assert values.flags.aligned


def test_the_size_of_a_sample(tmp_path: Path) -> None:
    writer = Writer(tmp_path, samples=100)
    writer.write(0, 100, Part({"y": np.zeros((99, 16), np.float32)}, {3: "torn"}))
    writer.close()
    assert Reader(tmp_path).sample_bytes == 64


def test_arrays_of_every_kind(tmp_path: Path) -> None:
    outputs = {
        "bool": np.array([True, False]),
        "complex": np.array([1 + 2j, 3]),
        "half": np.array([1.5, np.inf], np.float16),
        "empty": np.zeros((2, 0, 3)),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "strided": np.arange(10)[::5],
        "nan": np.array([np.nan, -0.0]),
    }
    writer = Writer(tmp_path, samples=2)
    writer.write(0, 2, Part(outputs))
    writer.close()
    for name, values in Reader(tmp_path).read(0, 2).outputs.items():
        assert values.dtype == outputs[name].dtype
        assert values.tobytes() == outputs[name].tobytes()
        assert values.shape == outputs[name].shape


def test_sequences_of_another_length_are_read_apart(tmp_path: Path) -> None:
    writer = Writer(tmp_path, samples=2)
    writer.write(0, 1, Part({"y": np.zeros((1, 3))}))
    writer.write(1, 2, Part({"y": np.zeros((1, 4))}))
    writer.close()
    reader = Reader(tmp_path)
    assert reader.read(0, 1).outputs["y"].shape == (1, 3)
    assert reader.read(1, 2).outputs["y"].shape == (1, 4)
    with pytest.raises(MeasurementError, match="another shape"):
        reader.read(0, 2)


def test_many_threads_write(tmp_path: Path) -> None:
    writer = Writer(tmp_path, samples=200)

    def write(place: int) -> None:
        for i in range(place, 200, 4):
            writer.write(i, i + 1, part(i, i + 1))

    threads = [threading.Thread(target=write, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert Reader(tmp_path).read(0, 200).outputs["ünï"].tolist() == list(range(200))


# ------------------------------------------------------------------------------------- faults


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    store(tmp_path, (0, 3, (1,)), (3, 5, ()))
    for name in ("data", "index"):
        file = tmp_path / name
        whole = file.read_bytes()
        for place in range(0, len(whole), 7):
            changed = bytearray(whole)
            changed[place] ^= 0x10
            file.write_bytes(changed)
            with pytest.raises(BrokenRecordsError):
                Reader(tmp_path)
        for size in (0, 1, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:size])
            with pytest.raises(BrokenRecordsError):
                Reader(tmp_path)
        file.write_bytes(whole + b"\0")
        with pytest.raises(BrokenRecordsError):
            Reader(tmp_path)
        file.unlink()
        with pytest.raises(BrokenRecordsError):
            Reader(tmp_path)
        file.write_bytes(whole)
        Reader(tmp_path)


def test_too_much_is_seen_with_the_first_part(tmp_path: Path) -> None:
    writer = Writer(tmp_path, samples=1000, most_bytes=100_000)
    writer.write(0, 10, Part({"y": np.zeros((10, 1000))}))
    assert writer.problem == "they are too large"
    assert (tmp_path / "data").stat().st_size == 0
    writer.close()
    assert not (tmp_path / "index").exists()


def test_too_much_is_seen_where_samples_grow(tmp_path: Path) -> None:
    writer = Writer(tmp_path, samples=3, most_bytes=1000)
    writer.write(0, 1, Part({"y": np.zeros((1, 10))}))
    assert writer.problem == ""
    writer.write(1, 2, Part({"y": np.zeros((1, 120))}))
    assert writer.problem == "they are too large"


def test_a_full_disk_is_a_problem_not_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(tmp_path, samples=2)

    def full(values: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer, "_put", full)
    writer.write(0, 1, part(0, 1))
    writer.write(1, 2, part(1, 2))
    writer.close()
    assert writer.problem == "No space left on device"
    assert not (tmp_path / "index").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "missing", samples=2)
    writer.write(0, 1, part(0, 1))
    writer.close()
    assert writer.problem == "No such file or directory"
