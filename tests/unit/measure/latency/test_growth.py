"""A leak is named with its bytes per call; what only warms up, settles or fluctuates is not."""

from collections.abc import Callable
from random import Random

import pytest

from compaudit.measure.latency.growth import memory_growth, memory_growth_by_model
from compaudit.results import RawBlock

CALLS = 9  # and a tenth that is discarded: at 3 ms a call every block throws its first one away
CALL_S = 0.003
KIB, MIB = 2**10, 2**20
Memory = Callable[[int, int], float]
"""Bytes of a process, by its epoch and by the calls it has run."""


def blocks(
    memory: Memory, epochs: int = 6, quads: int = 8, calls: int = CALLS, call_s: float = CALL_S
) -> list[RawBlock]:
    """What a process of this memory would report, beside an original that stays as it is."""
    found = []
    for epoch in range(epochs):
        done = 0
        for quad in range(quads):
            for position in range(4):
                compressed = position in (1, 2)
                if compressed:
                    done += calls + (call_s <= 0.02)
                resident = 300 * MIB + (memory(epoch, done) if compressed else 0)
                found.append(block(epoch, quad, position, compressed, calls, call_s, int(resident)))
    return found


def block(
    epoch: int,
    quad: int,
    position: int,
    compressed: bool,
    calls: int,
    call_s: float,
    resident: int | None,
) -> RawBlock:
    return RawBlock(
        epoch=epoch,
        quad=quad,
        position=position,
        model="compressed" if compressed else "original",
        calls=calls,
        elapsed_s=calls * call_s,
        cpu_s=calls * call_s,
        times_s=[call_s] * calls,
        compilations=0,
        resident_bytes=resident,
    )


def test_a_leak_is_stated_per_call() -> None:
    leak = memory_growth(blocks(lambda epoch, calls: 10 * KIB * calls), "compressed")
    assert leak is not None
    assert leak.bytes_per_call == pytest.approx(10 * KIB)
    # Seven quads after the first, two blocks each, ten calls a block, six epochs.
    assert leak.calls == 7 * 2 * 10 * 6
    assert leak.total_bytes == 10 * KIB * 840
    assert leak.epochs == 6


def test_slow_calls_of_which_none_is_discarded_are_counted_as_they_are() -> None:
    slow = blocks(lambda epoch, calls: MIB * calls, epochs=3, quads=2, calls=1, call_s=0.1)
    leak = memory_growth(slow, "compressed")
    assert leak is not None
    assert leak.bytes_per_call == pytest.approx(MIB)
    assert leak.calls == 3 * 2


def test_only_the_model_that_leaks_is_named() -> None:
    assert set(memory_growth_by_model(blocks(lambda epoch, calls: MIB * calls))) == {"compressed"}
    assert memory_growth_by_model([]) == {}


def noisy(spread_bytes: float, leak_bytes: float = 0) -> Memory:
    random = Random(7)
    return lambda epoch, calls: leak_bytes * calls + random.uniform(-spread_bytes, spread_bytes)


def test_a_leak_shows_through_the_noise_of_an_allocator() -> None:
    leak = memory_growth(blocks(noisy(MIB, 100 * KIB)), "compressed")
    assert leak is not None
    assert leak.bytes_per_call == pytest.approx(100 * KIB, rel=0.2)


def test_a_leak_in_the_steps_that_an_allocator_takes() -> None:
    stepped = blocks(lambda epoch, calls: 10 * KIB * calls // (132 * KIB) * (132 * KIB))
    leak = memory_growth(stepped, "compressed")
    assert leak is not None
    assert leak.bytes_per_call == pytest.approx(10 * KIB, rel=0.1)


@pytest.mark.parametrize(
    "memory",
    [
        lambda epoch, calls: 0,
        lambda epoch, calls: 500 * MIB * min(1, calls / 20),  # all of it in the first quad
        lambda epoch, calls: 100 * MIB * min(1, calls / 60),  # a plateau after three of eight
        lambda epoch, calls: 100 * MIB * (1 - 0.5 ** (calls / 20)),  # settles, ever more slowly
        lambda epoch, calls: 100 * MIB * (calls > 80),  # one allocation, in the middle
        lambda epoch, calls: -MIB * calls,  # gives back
        lambda epoch, calls: 100 * calls,  # 0.1 kB a call: nothing that could be told apart
        lambda epoch, calls: MIB * calls * (epoch != 3),  # one process does not grow
        lambda epoch, calls: MIB * calls * (1 if epoch else 100),  # one grows like no other
        lambda epoch, calls: 20 * MIB * (calls // 20 % 3),  # saw teeth: a collector at work
        *(noisy(spread * MIB) for spread in (0.1, 2, 50)),
    ],
)
def test_no_leak(memory: Memory) -> None:
    assert memory_growth(blocks(memory), "compressed") is None


def test_noise_alone_is_seldom_called_a_leak_even_in_a_short_run() -> None:
    """Three epochs of two quads are the least that there is."""
    random = Random(1)
    found = sum(
        memory_growth(
            blocks(lambda epoch, calls: random.gauss(0, MIB), epochs=3, quads=2), "compressed"
        )
        is not None
        for _ in range(1000)
    )
    assert found <= 10


def test_too_little_to_say_anything() -> None:
    def leaking(epochs: int, quads: int) -> list[RawBlock]:
        return blocks(lambda epoch, calls: MIB * calls, epochs=epochs, quads=quads)

    assert memory_growth(leaking(3, 2), "compressed") is not None
    assert memory_growth(leaking(2, 8), "compressed") is None
    assert memory_growth(leaking(6, 1), "compressed") is None
    assert memory_growth([], "compressed") is None
    untold = [
        block(epoch, quad, 0, True, CALLS, CALL_S, None) for epoch in range(6) for quad in range(8)
    ]
    assert memory_growth(untold, "compressed") is None
