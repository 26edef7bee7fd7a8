"""Frames and arrays, without a process."""

import struct
from typing import Any

import ml_dtypes
import msgspec
import numpy as np
import pytest
import worker_functions
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from compaudit.workers import protocol
from compaudit.workers.protocol import MalformedError


def there_and_back(message: Any, kind: Any = Any) -> Any:
    frame = protocol.encode(message)
    assert protocol.frame_length(frame[: protocol.PREFIX_BYTES]) == len(frame) - 8
    return protocol.decode(frame[protocol.PREFIX_BYTES :], kind)


ARRAYS = {
    "0-d": np.array(3.5, np.float32),
    "empty": np.zeros((0, 3), np.float32),
    "empty inside": np.zeros((2, 0), np.int8),
    "C order": np.arange(24, dtype=np.int64).reshape(2, 3, 4),
    "Fortran order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(20)[::3],
    "reversed": np.arange(5)[::-1],
    "broadcast": np.broadcast_to(np.arange(3), (4, 3)),
    "big-endian": np.arange(4, dtype=">f4"),
    "bool": np.array([True, False]),
    "float16": np.array([1.5, -0.0, np.inf, np.nan], np.float16),
    "complex64": np.array([1 + 2j], np.complex64),
    "uint64": np.array([2**64 - 1], np.uint64),
    "text": np.array([["a", "bcd"]]),
    "text objects": np.array(["ü", "zebra"], dtype=object),
    "bytes": np.array([b"x", b"yz"]),
    "bfloat16": np.array([1.5, 3.0], ml_dtypes.bfloat16),
    "float8": np.array([1.5, 3.0], ml_dtypes.float8_e4m3fn),
    "int4": np.array([-8, 7], ml_dtypes.int4),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_arrive_as_they_left(name: str) -> None:
    sent = ARRAYS[name]
    received = there_and_back(sent)
    assert isinstance(received, np.ndarray)
    assert received.dtype == sent.dtype
    assert received.shape == sent.shape
    assert received.flags.aligned
    if not sent.dtype.hasobject:
        assert received.tobytes() == sent.tobytes()
    assert received.tolist() == sent.tolist() or name == "float16"


def test_arrays_stay_arrays_inside_anything() -> None:
    message = {"a": [np.arange(3), {"b": np.array(1)}], "c": None, "d": ("x", 1.5, b"raw")}
    received = there_and_back(message)
    assert received["a"][0].tolist() == [0, 1, 2]
    assert received["a"][1]["b"].shape == ()
    assert received["d"] == ["x", 1.5, b"raw"]


def test_numpy_numbers_become_numbers() -> None:
    received = there_and_back([np.float32(0.5), np.int8(-3), np.bool_(True)])
    assert received == [0.5, -3, True]
    assert type(received[1]) is int


@given(st.lists(st.integers(0, 5), max_size=4), st.sampled_from("bBhHiIlLefd?"))
def test_any_shape_and_type(shape: list[int], code: str) -> None:
    sent = (np.arange(int(np.prod(shape, dtype=int))) % 100).astype(code).reshape(shape)
    received = there_and_back(sent)
    np.testing.assert_array_equal(received, sent, strict=True)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        np.array([object()]),
        np.array([1, "a", None], dtype=object),
        np.zeros(2, dtype=[("a", "i4"), ("b", "f4")]),
        lambda: None,
    ],
    ids=["object", "array of objects", "mixed array", "records", "function"],
)
def test_what_is_no_data_is_not_sent(value: Any) -> None:
    with pytest.raises(TypeError):
        protocol.encode(value)


class TestMalformed:
    def array_frame(self, dtype: str, shape: tuple[int, ...], data: bytes) -> bytes:
        header = msgspec.msgpack.encode((dtype, shape))
        packed = struct.pack("<Q", len(header)) + header + data
        return msgspec.msgpack.encode(msgspec.msgpack.Ext(1, packed))

    def test_the_frame_builder_is_right(self) -> None:
        received = protocol.decode(self.array_frame("<i4", (1,), b"\1\0\0\0"), Any)
        assert received.tolist() == [1]

    @pytest.mark.parametrize(
        ("dtype", "shape", "data"),
        [
            ("<i4", (2,), b"\1\0\0\0"),
            ("<i4", (-1,), b"\1\0\0\0"),
            ("<i4", (2**40, 2**40), b""),
            ("no-such-type", (1,), b"\1"),
            ("|O", (1,), b"\1\2\3\4\5\6\7\10"),
            ("|V8,|O", (1,), bytes(16)),
            ("texts", (3,), msgspec.msgpack.encode(["a"])),
            ("texts", (1,), b"\xc1"),
        ],
        ids=["short", "negative", "huge", "type", "pointers", "more pointers", "count", "texts"],
    )
    def test_arrays_that_are_not_what_they_say(
        self, dtype: str, shape: tuple[int, ...], data: bytes
    ) -> None:
        with pytest.raises(MalformedError):
            protocol.decode(self.array_frame(dtype, shape, data), Any)

    @pytest.mark.parametrize(
        "body",
        [b"", b"\xc1", b"\x93\x01", b"\xc7\x03\x07abc", b"\xc7\x02\x01ab", b"\xa2\xff\xff"],
        ids=["nothing", "reserved", "cut off", "other extension", "cut-off array", "not UTF-8"],
    )
    def test_bytes_that_are_no_message(self, body: bytes) -> None:
        with pytest.raises(MalformedError):
            protocol.decode(body, Any)

    @given(st.binary(max_size=64))
    def test_any_bytes_are_a_message_or_malformed(self, body: bytes) -> None:
        try:
            protocol.decode(body, protocol.Reply)
        except MalformedError:
            return

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            ("seven", int),
            ([1, 2], NDArray[Any]),
            ({"a": [1]}, dict[str, NDArray[Any]]),
            ({"x": 1.0}, worker_functions.Point),
            (np.arange(3), int),
            (np.arange(3), list[int]),
        ],
    )
    def test_another_type_than_promised(self, value: Any, kind: Any) -> None:
        with pytest.raises(MalformedError):
            there_and_back(value, kind)


class TestFunctions:
    def test_their_name_is_importable(self) -> None:
        assert protocol.function_name(worker_functions.move) == "worker_functions:move"

    def test_their_types_leave_out_the_workspace(self) -> None:
        assert protocol.argument_types(worker_functions.move) == (worker_functions.Point, float)
        assert protocol.result_type(worker_functions.move) is worker_functions.Point
        assert protocol.argument_types(worker_functions.nothing) == ()
        assert protocol.result_type(worker_functions.nothing) is type(None)

    def test_a_struct_arrives_as_its_type(self) -> None:
        point = worker_functions.Point(1.0, 2.0, ("a", "b"))
        assert there_and_back(point, worker_functions.Point) == point
