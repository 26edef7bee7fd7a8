import dataclasses
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from compaudit.measure.ledger import content_hash, take
from compaudit.models.base import Model, Role, Source, Tensor
from compaudit.models.quantized import Quantization, Shared


def tensor(
    values: Any,
    zero: Quantization | None = None,
    *,
    name: str = "w",
    role: Role = Role.WEIGHT,
    shape: tuple[int, ...] | None = None,
    chunk: int = 3,
    **changes: Any,
) -> Tensor:
    """A tensor that reads its values in small chunks."""
    array = np.asarray(values)
    flat = array.reshape(-1)

    def read() -> Iterator[NDArray[Any]]:
        for start in range(0, flat.size, chunk):
            yield flat[start : start + chunk]

    details: dict[str, Any] = {
        "dtype": array.dtype.name.replace("float8_", "float8").replace("_", ""),
        "stored_elements": array.size,
        "bytes": array.nbytes,
        "values": read,
        **changes,
    }
    return Tensor(
        name, role, shape=array.shape if shape is None else shape, quantization=zero, **details
    )


def zero_at(code: Any) -> Quantization:
    return Quantization(zero_point=Shared.one(code))


def channels(codes: NDArray[Any], axis: int, shape: tuple[int, ...]) -> Quantization:
    return Quantization(zero_point=Shared.per_channel(codes, axis, shape))


def model(*tensors: Tensor, files: tuple[Path, ...] = (), uncounted: str | None = None) -> Model:
    return Model(Source("m", "onnx"), tensors, None, files, uncounted)


def nonzeros(*args: Any, **kwargs: Any) -> int | None:
    return take(model(tensor(*args, **kwargs))).nonzero_parameters


# ----------------------------------------------------------------------------- zeros and others


def test_minus_zero_is_zero_and_nan_is_not() -> None:
    assert nonzeros([0.0, -0.0, np.nan, np.inf, 1e-45, 2.0]) == 4


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_small_types(dtype: Any) -> None:
    assert nonzeros(np.array([0.0, -0.0, np.nan, 1.0, -2.0]).astype(dtype)) == 3


@pytest.mark.parametrize("chunk", [1, 2, 4, 5, 100])
def test_zero_point_of_the_tensor(chunk: int) -> None:
    codes = np.uint8([[128, 0, 128, 7], [0, 128, 255, 128]])
    assert nonzeros(codes, zero_at(np.uint8([128])), chunk=chunk) == 4
    assert nonzeros(codes, zero_at(np.array(128, np.uint8)), chunk=chunk) == 4
    assert nonzeros(codes, chunk=chunk) == 6  # without one, the code 0 is zero


def test_zero_points_of_another_type_than_the_codes() -> None:
    assert nonzeros(np.uint8([200, 0, 56]), zero_at(np.int8([-56]))) == 3
    assert nonzeros(np.uint8([200, 0, 56]), zero_at(np.int64([200]))) == 2


@pytest.mark.parametrize("chunk", [1, 2, 4, 5, 100])
@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (0, 0 + 2 + 2),  # 1 is zero in the first row, 2 in the second, 0 in the third
        (1, 2 + 2 + 2),  # and so in the columns
        (-1, 6),
        (-2, 4),
    ],
)
def test_zero_point_of_each_channel(axis: int, expected: int, chunk: int) -> None:
    codes = np.int8([[1, 1, 1], [2, 0, 1], [2, 2, 0]])
    assert nonzeros(codes, channels(np.int8([1, 2, 0]), axis, (3, 3)), chunk=chunk) == expected


@pytest.mark.parametrize("chunk", [1, 3, 4, 100])
def test_equal_zero_points_of_the_channels(chunk: int) -> None:
    codes = np.int8([[1, 1, 0], [2, 0, 1]])
    assert nonzeros(codes, channels(np.int8([1, 1]), 0, (2, 3)), chunk=chunk) == 3


@pytest.mark.parametrize("chunk", [1, 3, 4, 100])
@pytest.mark.parametrize("axis", [1, -1])
def test_zero_point_of_each_block(axis: int, chunk: int) -> None:
    codes = np.uint8([[8, 8, 7, 7, 1], [0, 8, 3, 3, 3]])
    # Blocks of two along the rows; the last is short. Zeros: 8 8 | 7 7 | 1 and 0 | 3 | none
    zeros = np.uint8([[8, 7, 1], [0, 3, 9]])
    # row 0: none is left; row 1: block (0, 8) leaves 8, (3, 3) nothing, (3) leaves 3
    assert (
        nonzeros(codes, Quantization(zero_point=Shared.blocked(zeros, axis, 2)), chunk=chunk) == 2
    )


def test_blocks_along_the_first_axis() -> None:
    codes = np.uint8([[1, 2], [1, 2], [1, 2]])
    zeros = np.uint8([[1, 9], [9, 2]])  # rows 0 and 1, then row 2
    assert nonzeros(codes, Quantization(zero_point=Shared.blocked(zeros, 0, 2))) == 2 + 1


@pytest.mark.parametrize(
    ("value", "zero", "expected"),
    [(0.5, None, 1000), (0.0, None, 0), (np.uint8(3), zero_at(np.uint8([3])), 0)],
)
def test_one_stored_value_for_all(value: Any, zero: Quantization | None, expected: int) -> None:
    ledger = take(model(tensor([value], zero, shape=(10, 100), fill=True)))
    assert ledger.parameters == 1000
    assert ledger.nonzero_parameters == expected
    assert ledger.weight_bytes == np.asarray(value).nbytes


# -------------------------------------------------------------------------------------- sums


def test_roles() -> None:
    ledger = take(
        model(
            tensor(np.int8([[0, 1], [2, 0]]), name="w"),
            tensor(np.float32([0, 1]), name="b", role=Role.BIAS),
            tensor(np.float32([0.5, 0.5]), name="scale", role=Role.QUANTIZATION),
            tensor(np.float32([1, 2, 3]), name="mean", role=Role.BUFFER),
            tensor(np.int64([1]), name="axes", role=Role.CONSTANT),
            tensor(np.float32([1, 1]), name="adam", role=Role.UNUSED),
        )
    )
    assert ledger.parameters == 4 + 2
    assert ledger.nonzero_parameters == 2 + 1
    assert ledger.sparsity == 0.5
    assert ledger.weight_bytes == 4 + 8 + 8
    assert ledger.bits_per_weight == 8 * 20 / 6
    assert ledger.precision == {"int8": 4, "float32": 2}
    assert ledger.elements_by_role == {
        "weight": 4,
        "bias": 2,
        "quantization": 2,
        "buffer": 3,
        "constant": 1,
        "unused": 2,
    }
    assert ledger.bytes_by_role == {
        "weight": 4,
        "bias": 8,
        "quantization": 8,
        "buffer": 12,
        "constant": 8,
        "unused": 8,
    }
    assert (ledger.file_bytes, ledger.graph_bytes, ledger.sha256) == (None, None, None)


def test_tied_tensors_count_once_and_duplicates_twice() -> None:
    weights = np.float32([1, 0, 2])
    tied = tensor(weights, name="head", tied_to="embedding", bytes=0)
    ledger = take(model(tensor(weights, name="embedding"), tied))
    assert (ledger.parameters, ledger.nonzero_parameters, ledger.weight_bytes) == (3, 2, 12)
    assert ledger.elements_by_role == {"weight": 3}
    assert ledger.bytes_by_role == {"weight": 12}
    copy = take(model(tensor(weights, name="a"), tensor(weights, name="b")))
    assert (copy.parameters, copy.nonzero_parameters, copy.weight_bytes) == (6, 4, 24)


def test_packed_elements_have_their_logical_size() -> None:
    packed = tensor(np.int8([1, 0, -2, 0]), dtype="int4", bytes=2, stored_elements=4)
    ledger = take(model(packed))
    assert (ledger.parameters, ledger.nonzero_parameters) == (4, 2)
    assert ledger.bits_per_weight == 4
    assert ledger.precision == {"int4": 4}


def test_unreadable_values_leave_no_count_of_zeros() -> None:
    unreadable = dataclasses.replace(tensor(np.ones(3), name="b"), values=None)
    ledger = take(model(tensor(np.ones(3), name="a"), unreadable))
    assert ledger.parameters == 6
    assert ledger.nonzero_parameters is None
    assert ledger.sparsity is None


def test_what_cannot_be_counted() -> None:
    ledger = take(model(tensor(np.ones(3)), uncounted="an unknown packing"))
    assert (ledger.parameters, ledger.nonzero_parameters, ledger.bits_per_weight) == (None,) * 3
    assert ledger.weight_bytes == 24


def test_no_tensors() -> None:
    ledger = take(model())
    assert (ledger.parameters, ledger.weight_bytes) == (0, 0)
    assert (ledger.sparsity, ledger.bits_per_weight) == (None, None)


def test_every_byte_is_a_tensors_or_the_graphs(tmp_path: Path) -> None:
    files = tmp_path / "m.onnx", tmp_path / "m.data"
    files[0].write_bytes(bytes(100))
    files[1].write_bytes(bytes(24))
    ledger = take(model(tensor(np.ones(3)), tensor(np.ones(1), role=Role.CONSTANT), files=files))
    assert ledger.file_bytes == 124
    assert ledger.graph_bytes == 124 - 24 - 8
    assert ledger.sha256 == content_hash(files)


def test_rows_say_how_zeros_lie_and_what_is_there_twice() -> None:
    """Half of the rows are zero, and the second tensor holds the same bytes as the first."""
    weights = np.random.default_rng(0).normal(size=(10, 50)).astype(np.float32)
    weights[::2] = 0
    bias = np.zeros(10, np.float32)
    first, second, third = take(
        model(
            tensor(weights, name="a"),
            tensor(weights, name="b"),
            tensor(bias, name="c", role=Role.BIAS),
        )
    ).tensors
    assert (first.duplicate_of, second.duplicate_of, third.duplicate_of) == (None, "a", None)
    for row in (first, second):
        assert row.sparsity_structure is not None
        assert row.sparsity_structure.structure == "channel"
        assert row.sparsity_structure.zero_output_channels == 5
        assert row.sparsity_structure.zeros == 250
    assert third.sparsity_structure is None


# -------------------------------------------------------------------------------------- hashes


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def written(folder: Path, **contents: bytes) -> list[Path]:
    paths = []
    for name, content in contents.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        paths.append(path)
    return paths


def test_hash_of_no_file_and_of_one(tmp_path: Path) -> None:
    assert content_hash([]) is None
    assert content_hash(written(tmp_path, a=b"abc")) == sha256(b"abc")


def test_hash_of_several_files(tmp_path: Path) -> None:
    paths = written(tmp_path, b=b"2", a=b"1")
    expected = sha256(f"a {sha256(b'1')}\nb {sha256(b'2')}\n".encode())
    assert content_hash(paths) == expected
    assert content_hash(paths[::-1]) == expected


def test_files_of_one_name_in_different_folders_both_count(tmp_path: Path) -> None:
    one = content_hash(written(tmp_path / "1", x__w=b"1", y__w=b"2"))
    other = content_hash(written(tmp_path / "2", x__w=b"3", y__w=b"2"))
    swapped = content_hash(written(tmp_path / "3", x__w=b"2", y__w=b"1"))
    assert len({one, other, swapped, sha256(b"2")}) == 4


def test_a_model_has_the_same_hash_wherever_it_lies(tmp_path: Path) -> None:
    paths = written(tmp_path / "here", model=b"m", weights__a=b"1")
    shutil.copytree(tmp_path / "here", tmp_path / "there" / "deep")
    moved = [tmp_path / "there" / "deep" / p.relative_to(tmp_path / "here") for p in paths]
    assert content_hash(moved) == content_hash(paths)


def test_relative_paths_hash_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = written(tmp_path, a=b"1", b=b"2")
    monkeypatch.chdir(tmp_path)
    assert content_hash([Path("a"), Path("b")]) == content_hash(paths)
