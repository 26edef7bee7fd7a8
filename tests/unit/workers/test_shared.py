"""Arrays that stay in shared memory, within one process and from a real worker."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import numpy as np
import pytest
import worker_functions as does

from compaudit.workers import protocol, shared
from compaudit.workers.limits import Limits
from compaudit.workers.protocol import MalformedError
from compaudit.workers.shared import LEAST_BYTES, Places, Room, make_places
from compaudit.workers.worker import Worker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="shared memory is Linux's")

LARGE = np.arange(LEAST_BYTES // 4, dtype=np.float32)
MOST = 2**30


@pytest.fixture
def descriptors() -> Iterator[tuple[int, ...]]:
    with ExitStack() as owned:
        yield make_places(owned)


@pytest.fixture
def places(descriptors: tuple[int, ...]) -> Places:
    return Places(descriptors, MOST)


@pytest.fixture
def room(descriptors: tuple[int, ...]) -> Room:
    return Room(descriptors[0])


def sent(message: Any, room: Room, places: Places) -> tuple[Any, int]:
    """What arrives of a message, and the bytes that went through the pipe."""
    frame = protocol.encode(message, room)
    body = frame[protocol.PREFIX_BYTES :]
    return protocol.decode(body, Any, lambda: places.map(0)), len(frame)


@pytest.mark.parametrize(
    "array",
    [
        LARGE,
        LARGE.astype(">i8"),
        LARGE.reshape(2, -1)[:, ::-1],
        np.asfortranarray(np.arange(90_000.0).reshape(300, 300)),
        np.full((64, 1024), 1 + 2j, np.complex64),
    ],
    ids=["float32", "big-endian", "reversed", "Fortran", "complex"],
)
def test_a_large_array_arrives_without_the_pipe(
    array: np.ndarray, room: Room, places: Places
) -> None:
    received, through_the_pipe = sent(array, room, places)
    np.testing.assert_array_equal(received, array, strict=True)
    assert isinstance(received, np.ndarray)
    assert received.flags.aligned
    assert through_the_pipe < 200


def test_small_arrays_and_texts_go_through_the_pipe(room: Room, places: Places) -> None:
    small = LARGE[:-1].copy()
    received, through_the_pipe = sent(small, room, places)
    np.testing.assert_array_equal(received, small)
    assert through_the_pipe > small.nbytes
    texts = np.array(["word"] * LEAST_BYTES, dtype=object)
    assert sent(texts, room, places)[0].tolist() == texts.tolist()


def test_several_arrays_of_one_message(room: Room, places: Places) -> None:
    message = {"a": LARGE, "b": [LARGE.astype(np.uint8)[:1], -LARGE], "c": LARGE[::2].repeat(3)}
    received, _ = sent(message, room, places)
    for found, expected in (
        (received["a"], message["a"]),
        (received["b"][1], message["b"][1]),
        (received["c"], message["c"]),
    ):
        np.testing.assert_array_equal(found, expected)


def test_a_place_is_free_when_no_array_in_it_is_left(room: Room, places: Places) -> None:
    assert places.free() == 0
    received, _ = sent([LARGE, LARGE], room, places)
    part = received[0][5:]
    del received
    gc.collect()
    assert places.free() == 1
    assert part[0] == 5.0
    del part
    gc.collect()
    assert places.free() == 0


def test_the_next_message_takes_the_same_memory(
    room: Room, places: Places, descriptors: tuple[int, ...]
) -> None:
    sizes = []
    for value in (1.0, 2.0, 3.0):
        room.clear()
        received, _ = sent(np.full(100_000, value), room, places)
        assert received.tolist() == [value] * 100_000
        sizes.append(os.fstat(descriptors[0]).st_size)
    assert len(set(sizes)) == 1


def test_a_system_that_gives_no_memory_has_no_places(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, command: int, argument: int) -> None:
        raise OSError("not permitted")

    monkeypatch.setattr(shared.fcntl, "fcntl", refuse)
    with ExitStack() as owned:
        assert make_places(owned) == ()
    assert Places((), MOST).free() is None


def test_without_room_arrays_go_through_the_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, size: int) -> None:
        raise OSError("no memory left")

    monkeypatch.setattr(shared.os, "ftruncate", refuse)
    frame = protocol.encode(LARGE, Room(0))
    received = protocol.decode(frame[protocol.PREFIX_BYTES :], Any)
    np.testing.assert_array_equal(received, LARGE)


def test_memory_cannot_be_cut_off_under_a_reader(
    room: Room, places: Places, descriptors: tuple[int, ...]
) -> None:
    received, _ = sent(LARGE, room, places)
    with pytest.raises(OSError, match="permitted"):
        os.ftruncate(descriptors[0], 0)
    assert received[-1] == LARGE[-1]


@pytest.mark.parametrize(
    "where",
    [
        ("<f4", [LARGE.size * 4], 0),
        ("<f4", [4], 2**40),
        ("<f4", [4], -4),
        ("<f4", [-1], 0),
        ("|O", [4], 0),
        ("no type", [4], 0),
        ("<f4", [4]),
        "text",
    ],
)
def test_what_does_not_lie_there_is_malformed(where: object, room: Room, places: Places) -> None:
    sent(LARGE, room, places)
    lie = msgspec.msgpack.encode(msgspec.msgpack.Ext(2, msgspec.msgpack.encode(where)))
    with pytest.raises(MalformedError):
        protocol.decode(lie, Any, lambda: places.map(0))


def test_more_memory_than_a_worker_may_have_is_malformed(
    room: Room, descriptors: tuple[int, ...]
) -> None:
    frame = protocol.encode(LARGE, room)
    for most in (1000, 0):
        places = Places(descriptors, most)
        with pytest.raises(MalformedError):
            protocol.decode(frame[protocol.PREFIX_BYTES :], Any, lambda p=places: p.map(0))


def test_nothing_was_shared() -> None:
    lie = msgspec.msgpack.encode(msgspec.msgpack.Ext(2, b""))
    with pytest.raises(MalformedError):
        protocol.decode(lie, Any)


class TestFromAWorker:
    def test_what_is_held_is_not_written_over(self, worker: Worker) -> None:
        held = [worker.call("echo", does.echo_array, LARGE + number) for number in range(5)]
        for number, array in enumerate(held):
            np.testing.assert_array_equal(array, LARGE + number)

    def test_it_can_be_read_when_the_worker_is_gone(self) -> None:
        with Worker("a.onnx", Limits(timeout_s=60.0)) as worker:
            received = worker.call("echo", does.echo_array, LARGE)
        np.testing.assert_array_equal(received, LARGE)

    def test_an_answer_that_nobody_waited_for(self, worker: Worker) -> None:
        worker.begin("echo", does.echo_array, LARGE)
        received = worker.call("echo", does.echo_array, -LARGE)
        np.testing.assert_array_equal(received, -LARGE)
