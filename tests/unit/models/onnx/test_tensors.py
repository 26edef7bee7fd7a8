"""Bytes and values of single tensors, against onnx's own reader and by hand."""

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from compaudit.models.base import bits_of
from compaudit.models.onnx import tensors
from compaudit.models.onnx.elements import (
    NUMBERS,
    NUMPY,
    PACKED_BITS,
    is_real,
    name_of,
    packed_bytes,
    unpack,
)
from compaudit.models.onnx.external import ExternalFiles
from compaudit.models.onnx.tensors import chunks_of_bytes, payload_of

NUMERIC = sorted(set(NUMBERS) - {"string"})


@pytest.fixture
def files(tmp_path):
    return ExternalFiles(tmp_path / "model.onnx")


def test_every_onnx_type_has_a_name_bits_and_a_numpy_type() -> None:
    for name, number in TensorProto.DataType.items():
        if name != "UNDEFINED":
            ours = name_of(number)
            assert NUMBERS[ours] == number
            assert bits_of(ours) > 0
            assert ours == "string" or ours in NUMPY


def test_names() -> None:
    assert (name_of(1), name_of(11), name_of(16), name_of(22)) == (
        *("float32", "float64", "bfloat16", "int4"),
    )
    assert is_real("float8e4m3fn")
    assert is_real("bfloat16")
    assert not is_real("uint4")


@pytest.mark.parametrize("dtype", NUMERIC)
@pytest.mark.parametrize("raw", [True, False])
def test_values_agree_with_onnx(files, dtype, raw) -> None:
    shape = (5, 7)
    rng = np.random.default_rng(0)
    size = 35 if dtype.startswith("complex") else packed_bytes(35, bits_of(dtype))
    if dtype.startswith(("float16", "float32", "float64", "complex", "bool")):
        data = rng.integers(0, 2, shape).astype(NUMPY[dtype])
        proto = helper.make_tensor(
            "t", NUMBERS[dtype], shape, data.tobytes() if raw else data.reshape(-1), raw=raw
        )
    elif raw:
        proto = TensorProto(data_type=NUMBERS[dtype], dims=shape, raw_data=rng.bytes(size))
    else:
        top = 1 << min(bits_of(dtype), 31)
        entries = size if dtype in PACKED_BITS and PACKED_BITS[dtype] != 6 else 35
        top = 256 if entries != 35 else top
        numbers = [int(value) for value in rng.integers(0, top // 2, entries)]
        field = {"int64": "int64_data", "uint32": "uint64_data", "uint64": "uint64_data"}
        proto = TensorProto(
            data_type=NUMBERS[dtype], dims=shape, **{field.get(dtype, "int32_data"): numbers}
        )
    payload = payload_of(proto, "t", files)
    expected = numpy_helper.to_array(proto).reshape(-1)
    got = payload.array()
    if dtype in ("int4", "int2", "uint4", "uint2"):  # one plain integer code per element
        expected = expected.astype(np.int64)
        got = got.astype(np.int64)
    np.testing.assert_array_equal(got.view(f"V{got.itemsize}"), expected.view(f"V{got.itemsize}"))
    if raw:
        assert payload.bytes == len(proto.raw_data)


@pytest.mark.parametrize(
    ("dtype", "data", "codes"),
    [
        ("uint4", [0x21, 0x43], [1, 2, 3]),
        ("int4", [0x81, 0x0F], [1, -8, -1]),
        ("uint2", [0b11100100], [0, 1, 2]),
        ("int2", [0b11100100], [0, 1, -2]),
    ],
)
def test_packed_codes_lowest_first(dtype, data, codes) -> None:
    assert unpack(np.array(data, np.uint8), dtype, 3).tolist() == codes


def test_six_bits_cross_bytes() -> None:
    # codes 1, 2, 3, 4 of six bits: 1 | 2 << 6 | 3 << 12 | 4 << 18 = 0x103081
    codes = unpack(np.array([0x81, 0x30, 0x10], np.uint8), "float6e2m3", 4)
    assert codes.view(np.uint8).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("numbers", "size"),
    [([0], 1), ([127], 1), ([128], 2), ([-1], 10), ([2**31 - 1], 5), ([-1, 0, 300], 13)],
)
def test_bytes_of_listed_integers_are_those_of_protobuf(files, numbers, size) -> None:
    proto = TensorProto(data_type=TensorProto.INT32, dims=[len(numbers)], int32_data=numbers)
    assert payload_of(proto, "t", files).bytes == size
    bare = TensorProto(data_type=TensorProto.INT32, dims=[len(numbers)])
    assert proto.ByteSize() - bare.ByteSize() == size + 2  # packed: tag and length


def test_bytes_of_other_lists(files) -> None:
    def size(kind, values, dims):
        return payload_of(helper.make_tensor("t", kind, dims, values), "t", files).bytes

    assert size(TensorProto.FLOAT, [1.0, 2.0], [2]) == 8
    assert size(TensorProto.DOUBLE, [1.0], [1]) == 8
    assert size(TensorProto.COMPLEX64, [1 + 1j], [1]) == 8
    assert size(TensorProto.STRING, [b"abc", b""], [2]) == 3
    assert size(TensorProto.UINT64, [2**63], [1]) == 10
    assert size(TensorProto.FLOAT16, [1.0], [1]) == 2  # the bit pattern 0x3c00 as a varint


def test_chunks_are_bounded_and_complete(monkeypatch) -> None:
    monkeypatch.setattr(tensors, "CHUNK_ELEMENTS", 16)
    data = np.arange(50, dtype=np.uint8)
    parts = list(chunks_of_bytes(data, "uint4", 99))
    assert [part.size for part in parts] == [16, 16, 16, 16, 16, 16, 3]
    assert np.concatenate(parts).tolist() == [code for b in data for code in (b & 15, b >> 4)][:99]


def test_unaligned_bytes_become_aligned_numbers() -> None:
    data = np.zeros(41, np.uint8)[1:]
    (part,) = chunks_of_bytes(data, "float32", 10)
    assert part.flags.aligned


def test_empty_tensor(files) -> None:
    proto = numpy_helper.from_array(np.empty((0, 3), np.float32))
    payload = payload_of(proto, "t", files)
    assert (payload.bytes, payload.elements, payload.array().size) == (0, 0, 0)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20))
@settings(deadline=None)
def test_any_int64_list_costs_what_protobuf_writes(numbers) -> None:
    proto = TensorProto(data_type=TensorProto.INT64, dims=[len(numbers)], int64_data=numbers)
    attribute = onnx.AttributeProto(ints=numbers)  # not packed: one tag byte a number
    payload = payload_of(proto, "t", ExternalFiles(Path("/nowhere/model.onnx")))
    assert payload.bytes == attribute.ByteSize() - len(numbers)
    assert payload.array().tolist() == numbers
    assert payload.elements == math.prod(payload.shape)
