from __future__ import annotations

import json
import struct

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from compaudit.errors import RequestError
from compaudit.models.base import Head, Role, RunSettings, Source
from compaudit.models.safetensors import SafetensorsFormat

FORMAT = SafetensorsFormat()


def head(path):
    return Head(path, path.read_bytes()[:65536], path.stat().st_size)


def source(path):
    return Source(str(path), "safetensors", path=str(path))


def read(path):
    assert FORMAT.recognise(head(path))
    return FORMAT.read(source(path))


def write(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def numbers(tensor):
    return np.concatenate([*tensor.values()])


def test_the_ledger_of_a_small_file(tmp_path):
    path = tmp_path / "w.safetensors"
    weight = np.array([[0, 1, 2], [0, 0, 5]], np.float32)
    save_file({"fc.weight": weight, "fc.bias": np.zeros(2, np.float16)}, path)
    model = read(path)
    tensors = {tensor.name: tensor for tensor in model.tensors}
    assert (tensors["fc.weight"].role, tensors["fc.bias"].role) == (Role.WEIGHT, Role.BIAS)
    assert (tensors["fc.weight"].dtype, tensors["fc.weight"].shape) == ("float32", (2, 3))
    assert (tensors["fc.weight"].bytes, tensors["fc.bias"].bytes) == (24, 4)
    assert numbers(tensors["fc.weight"]).tolist() == [0, 1, 2, 0, 0, 5]
    assert model.graph is None
    assert model.files == (path,)


def test_bytes_and_header_add_up_to_the_file(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a.weight": np.ones(7, np.int8), "b.weight": np.ones((2, 3), np.float64)}, path)
    header = 8 + struct.unpack("<Q", path.read_bytes()[:8])[0]
    assert sum(t.bytes for t in read(path).tensors) + header == path.stat().st_size


@pytest.mark.parametrize(
    ("dtype", "name", "stored", "expected"),
    [
        ("BOOL", "bool", b"\0\1\1", [0, 1, 1]),
        ("U8", "uint8", b"\0\1\xff", [0, 1, 255]),
        ("I16", "int16", struct.pack("<3h", -1, 0, 7), [-1, 0, 7]),
        ("I64", "int64", struct.pack("<3q", -1, 0, 7), [-1, 0, 7]),
        ("BF16", "bfloat16", np.array([0, 1, -2], ml_dtypes.bfloat16).tobytes(), [0, 1, -2]),
        ("F8_E4M3", "float8e4m3fn", b"\x00\x38\xb8", [0, 1, -1]),
        ("F8_E5M2", "float8e5m2", b"\x00\x3c\xbc", [0, 1, -1]),
        ("F64", "float64", struct.pack("<3d", 0, 1, -2), [0, 1, -2]),
    ],
)
def test_element_types(tmp_path, dtype, name, stored, expected):
    path = write(tmp_path / "w", {"x.weight": entry(dtype, [3], 0, len(stored))}, stored)
    (tensor,) = read(path).tensors
    assert tensor.dtype == name
    assert numbers(tensor).astype(np.float64).tolist() == expected


def test_four_bit_floats_have_their_logical_shape(tmp_path):
    path = write(tmp_path / "w", {"x.weight": entry("F4", [4], 0, 2)}, b"\x20\x0f")
    (tensor,) = read(path).tensors
    assert (tensor.dtype, tensor.shape, tensor.bytes) == ("float4e2m1", (4,), 2)
    assert np.count_nonzero(numbers(tensor)) == 2


def test_nan_is_not_zero_and_negative_zero_is(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"x.weight": np.array([np.nan, -0.0, 0.0, 1.0], np.float32)}, path)
    assert np.count_nonzero(numbers(read(path).tensors[0])) == 2


def test_a_pruned_weight_is_what_its_mask_leaves(tmp_path):
    path = tmp_path / "w.safetensors"
    weight, mask = np.arange(1, 5, dtype=np.float32), np.array([1, 0, 0, 1], np.float32)
    save_file({"fc.weight_orig": weight, "fc.weight_mask": mask}, path)
    tensors = {tensor.name: tensor for tensor in read(path).tensors}
    assert tensors["fc.weight_mask"].role is Role.CONSTANT
    assert tensors["fc.weight_orig"].role is Role.WEIGHT
    assert numbers(tensors["fc.weight_orig"]).tolist() == [1, 0, 0, 4]


def test_packed_weights_are_not_counted(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"fc.qweight": np.ones((4, 4), np.int32)}, path)
    assert "config.json" in read(path).uncounted


def test_an_empty_file_of_no_tensors(tmp_path):
    assert read(write(tmp_path / "w", {})).tensors == ()


def test_large_tensors_come_in_chunks(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"x.weight": np.ones(5 * 2**20, np.int8)}, path)
    assert [len(chunk) for chunk in read(path).tensors[0].values()] == [4 * 2**20, 2**20]


X = entry("U8", [4], 0, 4)


@pytest.mark.parametrize(
    ("header", "data"),
    [
        (b'{"a":' + json.dumps(X).encode() + b',"a":' + json.dumps(X).encode() + b"}", b"1234"),
        ({"a": X, "b": entry("U8", [4], 2, 6)}, b"123456"),  # overlap
        ({"a": X, "b": entry("U8", [4], 5, 9)}, b"123456789"),  # hole
        ({"a": X}, b"123"),  # short
        ({"a": X}, b"12345"),  # long
        ({"a": entry("U8", [5], 0, 4)}, b"1234"),
        ({"a": entry("U8", [-4], 0, 4)}, b"1234"),
        ({"a": entry("U8", [2**33, 2**33], 0, 4)}, b"1234"),
        ({"a": entry("U8", [4], 4, 0)}, b"1234"),
        ({"a": entry("Q7", [4], 0, 4)}, b"1234"),
        ({"a": {"dtype": "U8"}}, b"1234"),
        (b'{"a": ', b""),
        (b"{" + b'"a":{' * 100_000, b""),
        (b"{\xff\xfe}", b""),
    ],
)
def test_malformed_files_are_refused(tmp_path, header, data):
    path = write(tmp_path / "w.safetensors", header, data)
    with pytest.raises(RequestError) as caught:
        read(path)
    assert caught.value.code == "broken-model"
    assert str(path) in caught.value.message


@pytest.mark.parametrize("length", [3, 50_000_000, 99_999_999])
def test_a_header_longer_than_the_file_is_refused(tmp_path, length):
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}")
    with pytest.raises(RequestError):
        FORMAT.read(source(path))


@pytest.mark.parametrize(
    "start", [b"", b"\x08\x0a{", b"PK\x03\x04aaaa{", b"\xff" * 8 + b"{", b"\0" * 8 + b"{"]
)
def test_other_files_are_not_recognised(tmp_path, start):
    path = tmp_path / "x"
    path.write_bytes(start)
    assert not FORMAT.recognise(head(path))


def test_it_cannot_run(tmp_path):
    with pytest.raises(RequestError) as caught:
        FORMAT.load(source(tmp_path / "w.safetensors"), RunSettings())
    assert caught.value.code == "not-executable"
    assert "module:factory@" in caught.value.hint
