import hashlib
import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy

from compaudit.data.base import ArrayInfo, DataRequest
from compaudit.data.npz import NpzDataset, is_npz
from compaudit.data.open import open_data
from compaudit.errors import RequestError


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def opened(path: Path, limit: int | None = None) -> NpzDataset:
    return NpzDataset(DataRequest(uri=str(path), limit=limit))


def refusal(path: Path) -> RequestError:
    """What opening, or else reading, the data says."""
    with pytest.raises(RequestError) as caught:
        open_data(DataRequest(uri=str(path))).batch(0, 1)
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert caught.value.stage == "data"
    return caught.value


def header(descr: Any, shape: tuple[int, ...], fortran: bool = False) -> bytes:
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": descr, "fortran_order": fortran, "shape": shape})
    return stream.getvalue()


def archive_of(path: Path, compression: int = zipfile.ZIP_STORED, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.npz"


# -------------------------------------------------------------------------------- what it holds


def test_arrays_and_batches(path: Path) -> None:
    x = np.arange(30, dtype=np.float32).reshape(5, 2, 3)
    dataset = opened(save(path, x=x, labels=np.arange(5)))
    assert dataset.samples == 5
    assert dataset.arrays == (
        ArrayInfo("x", "float32", (2, 3)),
        ArrayInfo("labels", "int64", ()),
    )
    batch = dataset.batch(1, 3)
    np.testing.assert_array_equal(batch["x"], x[1:3])
    assert batch["labels"].tolist() == [1, 2]


def test_compressed_archives_are_read_too(path: Path) -> None:
    np.savez_compressed(path, x=np.eye(7))
    np.testing.assert_array_equal(opened(path).batch(0, 7)["x"], np.eye(7))


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">i8", "?", "<f2", "|u1"])
def test_byte_orders_and_types(path: Path, dtype: str) -> None:
    values = np.array([[0, 1], [1, 1], [1, 0]], dtype=dtype)
    dataset = opened(save(path, x=values))
    assert dataset.arrays[0].dtype == np.dtype(dtype).name
    assert dataset.batch(1, 3)["x"].tolist() == values[1:3].tolist()


def test_fortran_order(path: Path) -> None:
    values = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    dataset = opened(save(path, x=values))
    np.testing.assert_array_equal(dataset.batch(1, 2)["x"], values[1:2])


def test_text_beside_the_inputs_does_no_harm(path: Path) -> None:
    dataset = opened(save(path, x=np.zeros(2), files=np.array(["a.png", "b.png"])))
    assert {array.name for array in dataset.arrays} == {"x", "files"}


@pytest.mark.parametrize(("limit", "samples"), [(None, 5), (3, 3), (5, 5), (9, 5)])
def test_limit(path: Path, limit: int | None, samples: int) -> None:
    dataset = opened(save(path, x=np.arange(5)), limit)
    assert dataset.samples == samples
    assert dataset.batch(0, 100)["x"].tolist() == list(range(samples))


# ---------------------------------------------------------------------------------- the digest


def test_digest_is_of_what_is_used_and_not_of_the_file(tmp_path: Path) -> None:
    a, b = np.arange(6.0).reshape(3, 2), np.arange(3)
    plain = opened(save(tmp_path / "1.npz", a=a, b=b)).digest()
    assert opened(save(tmp_path / "2.npz", b=b, a=np.asfortranarray(a))).digest() == plain
    np.savez_compressed(tmp_path / "3.npz", a=a, b=b)
    assert opened(tmp_path / "3.npz").digest() == plain
    longer = save(tmp_path / "4.npz", a=np.vstack([a, a]), b=np.r_[b, b])
    assert opened(longer, limit=3).digest() == plain
    # Spelled out: the digest of an old report must stay comparable.
    expected = hashlib.sha256(b"a <f8 (3, 2)" + a.tobytes() + b"b <i8 (3,)" + b.tobytes())
    assert plain == expected.hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        {"a": np.array([1.0, 2.0, 4.0])},
        {"b": np.array([1.0, 2.0, 3.0])},
        {"a": np.array([1.0, 2.0, 3.0], dtype=np.float32)},
        {"a": np.array([[1.0], [2.0], [3.0]])},
        {"a": np.array([1.0, 2.0, 3.0]), "c": np.zeros(3)},
    ],
)
def test_digest_tells_apart(tmp_path: Path, other: dict[str, np.ndarray]) -> None:
    one = opened(save(tmp_path / "1.npz", a=np.array([1.0, 2.0, 3.0]))).digest()
    assert opened(save(tmp_path / "2.npz", **other)).digest() != one


# ------------------------------------------------------------------------------ what is refused


def test_object_arrays(path: Path) -> None:
    np.savez(path, x=np.array([{}, []], dtype=object), allow_pickle=True)
    assert refusal(path).code == "object-array"


def test_objects_hidden_in_a_record(path: Path) -> None:
    archive_of(path, x=header([("a", "<f4"), ("b", "|O")], (2,)) + bytes(24))
    assert refusal(path).code == "object-array"


def test_different_lengths(path: Path) -> None:
    error = refusal(save(path, x=np.zeros((4, 2)), labels=np.zeros(3)))
    assert error.code == "data-lengths-differ"
    assert "'x' (4, 2)" in error.message
    assert "'labels' (3,)" in error.message


@pytest.mark.parametrize("value", [np.zeros((0, 3)), np.float32(1)])
def test_no_samples(path: Path, value: Any) -> None:
    assert refusal(save(path, x=value)).code == "no-samples"


def test_a_number_beside_an_array(path: Path) -> None:
    assert refusal(save(path, x=np.zeros(3), scale=np.float32(1))).code == "data-lengths-differ"


@pytest.mark.parametrize(
    ("descr", "shape", "content"),
    [
        ("<f4", (17_000_000_000,), bytes(4)),  # 17 G elements over four bytes
        ("<f4", (3,), bytes(16)),  # fewer than are there
        ("<f4", (-2, -2), bytes(16)),
        ("|S0", (10**12,), b""),
        ("|V0", (5,), b""),
    ],
)
def test_headers_that_lie(path: Path, descr: str, shape: tuple[int, ...], content: bytes) -> None:
    archive_of(path, x=header(descr, shape) + content)
    with pytest.raises(RequestError, match="not what it holds"):
        opened(path)  # before anything is read


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"not an array at all",
        b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4',",
        b"\x93NUMPY\x01\x00\x10\x00" + b"[" * 16,
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
        b"\x93NUMPY\x09\x09" + header("<f4", (1,))[8:] + bytes(4),
        header("<f4", (1,)).replace(b"'<f4'", b"'%f4'") + bytes(4),
    ],
)
def test_broken_members(path: Path, content: bytes) -> None:
    assert refusal(archive_of(path, x=content)).code == "broken-data"


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_flipped_bytes_never_read_as_other_data(path: Path, compression: int) -> None:
    random = np.random.default_rng(0)
    values = random.integers(0, 9, 2000)
    content = io.BytesIO()
    np.save(content, values)
    archive_of(path, compression, x=content.getvalue())
    whole = path.read_bytes()
    for place in random.integers(0, len(whole), 150):
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        path.write_bytes(broken)
        try:
            batch = open_data(DataRequest(uri=str(path))).batch(0, 2000)
        except RequestError:
            continue
        # A byte that means nothing (a date, the name's other copy): the data is unharmed.
        assert all(array.tolist() == values.tolist() for array in batch.values())


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_truncated_archives(path: Path, share: float) -> None:
    save(path, x=np.random.default_rng(0).random(500))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    error = refusal(path)
    assert error.code == ("broken-data" if share > 0.005 else "unknown-data")


def test_encrypted_members(path: Path) -> None:
    save(path, x=np.zeros(3))
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    path.write_bytes(content)
    assert refusal(path).code == "broken-data"


def test_unknown_compression(path: Path) -> None:
    save(path, x=np.zeros(3))
    content = bytearray(path.read_bytes())
    for signature, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        struct.pack_into("<H", content, content.index(signature) + method, 77)
    path.write_bytes(content)
    assert refusal(path).code == "broken-data"


def bomb(path: Path, size: int, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """An honest member of zeros, deflated by blocks so that the test needs no memory for it."""
    head = header("|u1", (size,))
    with (
        zipfile.ZipFile(path, "w", method, compresslevel=1) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(head)
        for start in range(0, size, 1 << 22):
            member.write(bytes(min(1 << 22, size - start)))
    return path


def test_zip_bombs_are_refused_before_they_are_unpacked(path: Path) -> None:
    bomb(path, (1 << 28) + 1)
    assert path.stat().st_size < 2_000_000
    assert refusal(path).code == "suspicious-data"


def test_a_size_that_only_the_directory_claims(path: Path) -> None:
    size = 3 << 28
    content = header("|u1", (size,)) + zlib.compress(bytes(100))
    archive_of(path, x=content)
    raw = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into(
            "<I", raw, raw.index(signature) + place, size + len(header("|u1", (size,)))
        )
    path.write_bytes(raw)
    assert refusal(path).code == "suspicious-data"


def test_equal_numbers_may_shrink_a_thousandfold(path: Path) -> None:
    np.savez_compressed(path, attention_mask=np.ones((2000, 512), dtype=np.int64))
    assert path.stat().st_size * 500 < 2000 * 512 * 8
    assert opened(path).samples == 2000


# ------------------------------------------------------------------------------------- opening


def test_kinds_are_told_by_content(tmp_path: Path) -> None:
    npz = save(tmp_path / "no_suffix.npz", x=np.zeros(2)).rename(tmp_path / "no_suffix")
    assert is_npz(npz)
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a.txt", "hello")
    assert not is_npz(other)
    assert refusal(other).code == "unknown-data"


@pytest.mark.parametrize("name", ["missing.npz", "n" * 400, "nul\0byte"])
def test_files_that_cannot_be_there(tmp_path: Path, name: str) -> None:
    assert refusal(tmp_path / name).code == "missing-data"


def test_a_folder_is_no_data(tmp_path: Path) -> None:
    assert refusal(tmp_path).code == "unknown-data"
