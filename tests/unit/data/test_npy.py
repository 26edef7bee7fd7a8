import io
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy

from compaudit.data.base import ArrayInfo, DataRequest
from compaudit.data.npy import NpyDataset
from compaudit.data.npz import NpzDataset
from compaudit.data.open import open_data
from compaudit.errors import RequestError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "image.npy"


def request(path: Path, limit: int | None = None) -> DataRequest:
    return DataRequest(uri=str(path), limit=limit)


def refusal(path: Path) -> RequestError:
    with pytest.raises(RequestError) as caught:
        open_data(request(path))
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value


def header(descr: str, shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float32", ">f4", "int64", "bool", "float16"])
def test_the_array_is_called_as_its_file(path: Path, order: str, dtype: str) -> None:
    values = np.asarray(np.arange(60).reshape(10, 2, 3) % 7, dtype=dtype, order=order)  # type: ignore[call-overload]
    np.save(path, values)
    dataset = open_data(request(path))
    assert isinstance(dataset, NpyDataset)
    assert dataset.samples == 10
    assert dataset.arrays == (ArrayInfo("image", values.dtype.name, (2, 3)),)
    (batch,) = dataset.batch(3, 12).values()
    np.testing.assert_array_equal(batch, values[3:])


def test_it_is_mapped_and_a_batch_is_not(path: Path) -> None:
    np.save(path, np.zeros((10, 4), np.float32))
    dataset = NpyDataset(request(path))
    assert isinstance(dataset.read("image"), np.memmap)
    assert not isinstance(dataset.batch(0, 2)["image"], np.memmap)


def test_stored_members_of_archives_are_mapped_and_deflated_ones_unpacked(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((20, 3))
    stored, deflated = tmp_path / "stored.npz", tmp_path / "deflated.npz"
    np.savez(stored, x=values, odd_name=values.astype(np.float32))
    np.savez_compressed(deflated, x=values, odd_name=values.astype(np.float32))
    for path, mapped in ((stored, True), (deflated, False)):
        dataset = NpzDataset(request(path))
        assert isinstance(dataset.read("x"), np.memmap) == mapped
        for name, array in dataset.batch(5, 9).items():
            assert array.flags.aligned
            np.testing.assert_array_equal(array, values[5:9].astype(array.dtype), err_msg=name)
    assert NpzDataset(request(stored)).digest() == NpzDataset(request(deflated)).digest()


def test_limit_and_digest_are_those_of_an_archive_of_the_same_array(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((20, 3))
    np.save(tmp_path / "image.npy", values)
    np.savez(tmp_path / "data.npz", image=values)
    alone, archived = (
        open_data(request(tmp_path / name, limit=7)) for name in ("image.npy", "data.npz")
    )
    assert alone.samples == 7
    assert alone.digest() == archived.digest()
    assert alone.digest() != open_data(request(tmp_path / "image.npy", limit=8)).digest()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "broken-data"),
        (b"\x93NUMPY", "broken-data"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "broken-data"),
        (header("<f4", (17_000_000_000,)) + bytes(4), "broken-data"),
        (header("<f4", (-2, -2)) + bytes(16), "broken-data"),
        (header("|S0", (10,)), "broken-data"),
        (header("<f4", (3,)) + bytes(11), "broken-data"),
        (header("|O", (1,)) + b"cos\nsystem\n.", "object-array"),
        (header("<f4", (0, 3)), "no-samples"),
        (header("<f4", ()) + bytes(4), "no-samples"),
        (b"something else", "unknown-data"),
    ],
)
def test_what_cannot_be_read_is_refused(path: Path, content: bytes, code: str) -> None:
    path.write_bytes(content)
    assert refusal(path).code == code
