"""Blocks of a GPU: longer ones, and the device alone after them, on a fake clock."""

import pytest
from removal import needs
from synthetic_machine import FakeClock, SyntheticMachine, experiment, pair

from compaudit.measure.latency.blocks import run_block, warm_until
from compaudit.measure.latency.epochs import cpu_epoch_values
from compaudit.measure.latency.estimate import estimate_delta, summarise
from compaudit.measure.latency.plan import ArmCost
from compaudit.models.base import Inference

SUBMIT_S = 5e-6


class Device:
    """Works through a queue of calls, each of which takes `call_s`; queueing one takes 5 µs."""

    def __init__(self, call_s: float) -> None:
        self.clock = FakeClock()
        self.calls = 0
        self.waits = 0
        self._call_s, self._free_at = call_s, 0.0

    def queue(self) -> None:
        self.calls += 1
        self.clock.advance(SUBMIT_S)
        self._free_at = max(self._free_at, self.clock.now) + self._call_s

    def wait(self) -> None:
        self.waits += 1
        self.clock.now = max(self.clock.now, self._free_at)

    @property
    def inference(self) -> Inference:
        return Inference(self.queue, self.wait)


class TestBlock:
    @pytest.mark.parametrize("discard_first", [True, False])
    def test_queued_calls_are_waited_for(self, discard_first: bool) -> None:
        device = Device(0.001)
        block = run_block(device.inference, 50, discard_first, device.clock, device.clock)
        assert device.calls == 50 + discard_first
        assert device.waits == 2
        assert block.elapsed_s == pytest.approx(50 * 0.001, abs=2 * SUBMIT_S)

    def test_the_discarded_call_is_over_before_the_block_begins(self) -> None:
        """It takes a second, and no part of it may reach the block."""

        def check() -> None:
            device = Device(0.001)
            slow_first = iter([1.0])

            def queue() -> None:
                device._call_s = next(slow_first, 0.001)
                device.queue()

            inference = Inference(queue, device.wait)
            block = run_block(inference, 20, True, device.clock, device.clock)
            assert block.elapsed_s < 0.03

        needs(check, (Device, "wait", lambda self: _only_at_the_end(self)))

    def test_a_queued_call_has_no_time_of_its_own(self) -> None:
        device = Device(0.001)
        assert run_block(device.inference, 20, True, device.clock, device.clock).times_s == []

    def test_what_is_queued_before_the_block_is_no_part_of_it(self) -> None:
        device = Device(0.001)
        device.queue()
        device._free_at += 1.0
        block = run_block(device.inference, 20, False, device.clock, device.clock)
        assert block.elapsed_s == pytest.approx(0.020, abs=2 * SUBMIT_S)


def _only_at_the_end(device: Device) -> None:
    """A wait that is left out after the discarded call."""
    if device.calls > 1:
        device.clock.now = max(device.clock.now, device._free_at)


class TestWarmUp:
    @pytest.mark.parametrize("call_s", [0.00002, 0.0005, 0.004, 0.2])
    def test_windows_end_with_the_device_done(self, call_s: float) -> None:
        def check() -> None:
            device = Device(call_s)
            warm = warm_until(device.inference, 2.0, device.clock)
            assert warm.steady
            assert warm.call_s == pytest.approx(call_s, rel=0.1, abs=SUBMIT_S)

        needs(check, (Device, "wait", lambda self: None))

    @pytest.mark.parametrize("call_s", [0.00002, 0.0005, 0.004, 0.2])
    def test_the_queue_stays_short(self, call_s: float) -> None:
        """6,000 calls can be queued in 30 ms; at 4 ms each they would take 24 s."""
        device = Device(call_s)
        warm_until(device.inference, 2.0, device.clock)
        assert device.clock.now <= 3 * (2 * 0.03 + 2 * (call_s + SUBMIT_S))


class TestExperiment:
    def machine(self, **others: object) -> SyntheticMachine:
        end_to_end, on_device = pair(0.002, 0.001), pair(0.0012, 0.0004)
        return SyntheticMachine(end_to_end, device_s=on_device, **others)  # type: ignore[arg-type]

    def test_the_device_is_timed_apart_in_every_epoch(self) -> None:
        machine = self.machine()
        trace = machine.run(experiment(60))
        assert {block.epoch for block in trace.device} == {block.epoch for block in trace.blocks}
        assert len(trace.device) == 6 * 2 * 4
        assert all(block.times_s == [] for block in trace.device)
        assert all(block.times_s for block in trace.blocks)
        assert [block.position for block in trace.device[:4]] == [0, 1, 2, 3]

    def test_blocks_last_50_ms_and_20_calls(self) -> None:
        machine = self.machine()
        trace = machine.run(experiment(60))
        for block in (*trace.blocks, *trace.sentinel, *trace.device):
            assert block.elapsed_s >= 0.05
            assert block.calls >= 20
        assert {calls for _, calls, _ in machine.asked_of_device} == {50, 150}

    def test_the_two_rates_and_times_are_kept_apart(self) -> None:
        trace = self.machine().run(experiment(60))
        delta = estimate_delta(trace, 0.95, 0.03, cpu_time=False)
        assert delta.value == pytest.approx(2.0)
        assert delta.device_ratio is not None
        assert delta.device_ratio.value == pytest.approx(3.0)
        assert delta.device_ratio.low == pytest.approx(3.0)
        figures = summarise(trace, "compressed", 0.95)
        assert figures is not None
        assert figures.device is not None
        assert figures.device.value == pytest.approx(0.0004)
        assert figures.median.value == pytest.approx(0.001)
        assert figures.p99 == pytest.approx(0.001)

    def test_a_short_budget_gives_up_the_device_first(self) -> None:
        # Six epochs of 1 + 16 x (0.062 + 0.061) s fit 18 s, and 4 x (0.061 + 0.060) s more do not.
        trace = self.machine().run(experiment(18))
        assert trace.device == []
        assert len(trace.blocks) == 6 * 8 * 4
        delta = estimate_delta(trace, 0.95, 0.03, cpu_time=False)
        assert delta.device_ratio is None
        figures = summarise(trace, "original", 0.95)
        assert figures is not None
        assert figures.device is None

    def test_the_budget_holds_them(self) -> None:
        for budget_s in (14.0, 20.0, 30.0):
            machine = self.machine()
            machine.run(experiment(budget_s))
            assert machine.clock.now <= budget_s

    def test_one_model_alone(self) -> None:
        trace = self.machine().run(experiment(60, models=("compressed",)))
        assert {block.model for block in trace.device} == {"compressed"}
        figures = summarise(trace, "compressed", 0.95)
        assert figures is not None
        assert figures.device is not None
        assert figures.device.value == pytest.approx(0.0004)

    def test_without_a_gpu_there_is_none(self) -> None:
        trace = SyntheticMachine(pair(0.002, 0.001)).run(experiment(60))
        assert trace.device == []
        assert estimate_delta(trace, 0.95, 0.03, cpu_time=True).device_ratio is None

    def test_processor_time_is_compared_only_where_asked(self) -> None:
        trace = self.machine().run(experiment(60))
        assert cpu_epoch_values(trace.blocks)
        assert estimate_delta(trace, 0.95, 0.03, cpu_time=False).cpu_time_ratio is None


class TestCost:
    @pytest.mark.parametrize("call_s", [0.00001, 0.001, 0.0026, 0.05, 2.0])
    def test_at_least_50_ms_and_20_calls(self, call_s: float) -> None:
        cost = ArmCost(call_s, on_gpu=True)
        assert cost.calls() >= 20
        assert cost.calls() * call_s >= 0.05
        assert cost.calls() == 20 or cost.calls() * call_s <= 0.065
        assert cost.calls(shortest=True) == 1

    def test_the_device_has_a_cost_of_its_own(self) -> None:
        device = ArmCost(0.02, on_gpu=True, device_call_s=0.001).device
        assert device is not None
        assert device.calls() == 60
        assert ArmCost(0.02).device is None
