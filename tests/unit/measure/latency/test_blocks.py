"""The worker's half on a fake clock: warming up, and blocks of calls."""

import math
from collections.abc import Callable, Iterator

import pytest
from synthetic_machine import FakeClock

from compaudit.measure.latency.blocks import run_block, warm_until
from compaudit.models.base import Inference


class Model:
    """An inference whose calls take the given seconds, one after another."""

    def __init__(self, times_s: Iterator[float]) -> None:
        self.clock = FakeClock()
        self.calls = 0
        self._times_s = times_s

    def __call__(self) -> None:
        self.calls += 1
        self.clock.advance(next(self._times_s))


def always(seconds: float) -> Iterator[float]:
    while True:
        yield seconds


def by_turns(*seconds: float, calls: int) -> Iterator[float]:
    while True:
        for one in seconds:
            for _ in range(calls):
                yield one


def then(first: list[float], rest: Iterator[float]) -> Iterator[float]:
    yield from first
    yield from rest


class TestWarmUp:
    def test_a_steady_model_needs_three_windows_of_30_ms(self) -> None:
        model = Model(always(0.01))
        warm = warm_until(Inference(model), 2.0, model.clock)
        assert warm.steady
        assert warm.call_s == pytest.approx(0.01)
        # 3 or 4 calls a window, as rounding has it.
        assert 9 <= warm.calls == model.calls <= 12

    def test_it_goes_on_while_the_calls_become_faster(self) -> None:
        slow_start = [0.1 * 0.8**call + 0.01 for call in range(12)]
        model = Model(then(slow_start, always(0.01)))
        warm = warm_until(Inference(model), 2.0, model.clock)
        assert warm.steady
        assert warm.calls > 12
        assert warm.call_s == pytest.approx(0.01, rel=0.05)

    def test_windows_that_differ_by_more_than_5_percent_are_not_steady(self) -> None:
        model = Model(by_turns(0.040, 0.0425, calls=1))
        warm = warm_until(Inference(model), 2.0, model.clock)
        assert not warm.steady
        assert 2.0 <= model.clock.now < 2.1

    def test_windows_within_5_percent_are_steady(self) -> None:
        model = Model(by_turns(0.040, 0.0415, calls=1))
        warm = warm_until(Inference(model), 2.0, model.clock)
        assert warm.steady
        assert warm.calls == 3

    def test_never_steady_ends_at_the_cap(self) -> None:
        model = Model(by_turns(0.001, 0.002, calls=40))
        warm = warm_until(Inference(model), 0.5, model.clock)
        assert not warm.steady
        assert 0.5 <= model.clock.now <= 0.5 + 0.031 + 0.002

    def test_one_disturbed_window_at_the_end_does_not_set_the_cost(self) -> None:
        # 0.04 s a call, but for the call that runs when the cap is reached.
        model = Model(then([0.04, 0.05, 0.04, 0.05, 0.04, 0.05, 0.04, 4.0], always(9.9)))
        warm = warm_until(Inference(model), 2.0, model.clock)
        assert not warm.steady
        assert warm.call_s == pytest.approx(0.05)

    @pytest.mark.parametrize("seconds", [2.0, 5.0, 60.0])
    def test_a_slow_model_is_called_once_and_nothing_says_it_is_unsteady(
        self, seconds: float
    ) -> None:
        model = Model(always(seconds))
        warm = warm_until(Inference(model), 2.0, model.clock)
        assert (warm.calls, warm.call_s, warm.steady) == (1, seconds, True)

    def test_two_slow_calls_that_differ_are_not_steady(self) -> None:
        model = Model(then([1.5], always(1.0)))
        warm = warm_until(Inference(model), 2.0, model.clock)
        assert (warm.calls, warm.steady) == (2, False)


class TestBlock:
    def test_the_first_call_is_run_and_not_counted(self) -> None:
        model = Model(then([7.0], always(0.01)))
        block = run_block(Inference(model), 4, True, model.clock, model.clock)
        assert model.calls == 5
        assert len(block.times_s) == 4
        assert block.elapsed_s == pytest.approx(0.04)

    def test_nothing_is_discarded_where_that_was_not_asked(self) -> None:
        model = Model(then([7.0], always(0.01)))
        block = run_block(Inference(model), 2, False, model.clock, model.clock)
        assert model.calls == 2
        assert block.elapsed_s == pytest.approx(7.01)

    def test_each_call_has_its_own_time_and_they_sum_to_the_elapsed(self) -> None:
        times = [0.001 * (call % 7 + 1) for call in range(50)]
        model = Model(iter(times))
        block = run_block(Inference(model), 50, False, model.clock, model.clock)
        assert block.times_s == pytest.approx(times)
        assert math.fsum(block.times_s) == pytest.approx(block.elapsed_s, rel=1e-12)

    def test_processor_time_is_read_from_its_own_clock(self) -> None:
        model = Model(always(0.01))
        half: Callable[[], float] = lambda: model.clock.now / 2  # noqa: E731
        block = run_block(Inference(model), 10, True, model.clock, half)
        assert block.elapsed_s == pytest.approx(0.10)
        assert block.cpu_s == pytest.approx(0.05)
