"""Arms and the worker's half: for each rule a check that holds, and fails without the rule.

MEASURING §1, rules 2 to 4, on workers whose clock is a fake; `test_real_processes.py` looks at real
ones.
"""

from typing import Any

import pytest
from removal import needs
from synthetic_machine import experiment, pair
from synthetic_workers import Rig, SyntheticWorker

from compaudit.measure.latency import blocks, plan
from compaudit.measure.latency.arms import WorkerArm
from compaudit.measure.latency.blocks import BlockTimes, Warmup
from compaudit.measure.latency.estimate import estimate_delta
from compaudit.models.base import Inference
from compaudit.results import Delta


def delta_on(rig: Rig, time_budget_s: float = 30.0) -> Delta:
    return estimate_delta(rig.run(experiment(time_budget_s)), 0.95, 0.03, cpu_time=False)


class TestQuiescence:
    def test_the_idle_worker_is_suspended(self) -> None:
        """Its threads would spin and cost each call 5 ms: a true 2 reads 15/10."""

        def check() -> None:
            assert delta_on(Rig(pair(0.010, 0.005), spin_s=0.005)).value == pytest.approx(2.0)

        def left_running(self: WorkerArm, calls: int, discard_first: bool) -> BlockTimes:
            return self._worker.call("latency", blocks.time_block, calls, discard_first)

        needs(check, (WorkerArm, "block", left_running))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(WorkerArm, "block", left_running)
            delta = delta_on(Rig(pair(0.010, 0.005), spin_s=0.005))
        assert delta.value == pytest.approx(1.5, rel=0.01)
        assert delta.verdict == "faster"

    def test_so_it_is_between_blocks_on_the_device(self) -> None:
        def check() -> None:
            rig = Rig(pair(0.002, 0.001), device=True)
            assert rig.run(experiment(30)).device
            assert rig.disturbed == 0

        def left_running(self: WorkerArm, calls: int, discard_first: bool) -> BlockTimes:
            return self._worker.call("latency", blocks.time_device_block, calls, discard_first)

        needs(check, (WorkerArm, "device_block", left_running))


class TestWarmUp:
    @pytest.mark.parametrize(("timeout_s", "cap_s"), [(300.0, 2.0), (4.0, 2.0), (1.0, 0.5)])
    def test_it_is_cut_short_after_2_s_and_before_it_looks_like_a_hang(
        self, monkeypatch: pytest.MonkeyPatch, timeout_s: float, cap_s: float
    ) -> None:
        caps: set[float] = set()

        def recorded(inference: Inference, cap_s: float, clock: blocks.Clock) -> Warmup:
            caps.add(cap_s)
            return Warmup(0.01, 3, True)

        monkeypatch.setattr(blocks, "warm_until", recorded)
        Rig(pair(0.010, 0.005), timeout_s=timeout_s).run(experiment(30))
        assert caps == {cap_s}

    def test_a_model_that_is_slow_at_first_is_called_until_it_is_steady(self) -> None:
        """The original begins at three times its time and settles within some 50 calls."""

        def check() -> None:
            rig = Rig(pair(0.002, 0.001), settles_in={"original": 10})
            assert delta_on(rig).value == pytest.approx(2.0, rel=0.005)

        def at_once(inference: Inference, cap_s: float, clock: blocks.Clock) -> Warmup:
            began = clock()
            inference.call()
            return Warmup(clock() - began, 1, True)

        needs(check, (blocks, "warm_until", at_once))


class TestFirstCall:
    def test_the_first_call_after_a_rest_is_not_counted(self) -> None:
        """Waking up costs 10 ms, whatever the model: 4 calls of 18 and of 9 ms read 82 to 46."""

        def check() -> None:
            delta = delta_on(Rig(pair(0.018, 0.009), wake_s=0.010))
            assert delta.value == pytest.approx(2.0, rel=1e-6)

        needs(check, (plan.ArmCost, "discards", False))


class TestCompilations:
    """A model that is compiled while it is timed is not timed."""

    def test_those_of_a_block_are_counted(self) -> None:
        trace = Rig(pair(0.010, 0.030), recompiles=True).run(experiment(30))
        # One for each call, the uncounted first one of the faster model included.
        assert {(b.model, b.calls, b.compilations) for b in trace.blocks} == {
            ("original", 4, 5),
            ("compressed", 4, 4),
        }

    def test_those_before_it_are_not(self) -> None:
        trace = Rig(pair(0.010, 0.005)).run(experiment(30))
        assert {block.compilations for block in trace.blocks} == {0}


worker_call = SyntheticWorker.call


def without_the_first_call(self: SyntheticWorker, stage: str, function: Any, *args: Any) -> Any:
    return None if function is blocks.call_once else worker_call(self, stage, function, *args)


class TestDevice:
    """Calls are queued in 5 µs each, and the device takes 4 and 2 ms for them."""

    RIG = pair(0.004, 0.002)

    def test_the_end_of_a_block_waits_for_the_device(self) -> None:
        def check() -> None:
            delta = delta_on(Rig(self.RIG, device=True))
            assert delta.device_ratio is not None
            assert delta.device_ratio.value == pytest.approx(2.0, rel=0.01)

        run_block = blocks.run_block

        def submitted(inference: Inference, *rest: Any) -> BlockTimes:
            return run_block(Inference(inference.call), *rest)

        needs(check, (blocks, "run_block", submitted))

    def test_the_start_of_a_block_waits_for_the_call_before_it(self) -> None:
        """The uncounted first call must not run on into the block."""

        def check() -> None:
            trace = Rig(self.RIG, device=True).run(experiment(30))
            call_s = [b.elapsed_s / b.calls for b in trace.device if b.model == "original"]
            assert call_s == pytest.approx([0.004] * len(call_s), rel=0.002)

        run_block = blocks.run_block

        def waiting_once(inference: Inference, calls: int, *rest: Any) -> BlockTimes:
            """Wait after the last call only."""
            assert inference.synchronise is not None
            waits = iter((lambda: None, inference.synchronise))
            return run_block(Inference(inference.call, lambda: next(waits)()), calls, *rest)

        def mutant(inference: Inference, calls: int, *rest: Any) -> BlockTimes:
            queued = inference.synchronise is not None
            return (waiting_once if queued else run_block)(inference, calls, *rest)

        needs(check, (blocks, "run_block", mutant))

    def test_warming_up_times_the_device_and_not_the_queue(self) -> None:
        """A block is planned from it: 60 ms of calls, and not 10,000 of them."""

        def check() -> None:
            trace = Rig(self.RIG, device=True).run(experiment(30))
            calls = {block.model: block.calls for block in trace.device}
            assert calls == {"original": 20, "compressed": 30}

        warm_until = blocks.warm_until

        def of_the_queue(inference: Inference, *rest: Any) -> Warmup:
            return warm_until(Inference(inference.call), *rest)

        needs(check, (blocks, "warm_until", of_the_queue))

    def test_setting_the_device_up_is_no_part_of_warming_up(self) -> None:
        """It takes 3 s, more than warming up may: its one call would be what a call costs."""

        def check() -> None:
            trace = Rig(self.RIG, device=True, compile_s=3.0).run(experiment(120))
            assert min(block.calls for block in trace.blocks) >= 20
            assert trace.never_steady == ()

        needs(check, (SyntheticWorker, "call", without_the_first_call))

    def test_delta_is_from_end_to_end(self) -> None:
        """Copies take 4 ms of every inference: 8/6, and 2 on the device alone."""

        def check() -> None:
            delta = delta_on(Rig(self.RIG, device=True, copies_s=0.004), 120.0)
            assert delta.value == pytest.approx(8 / 6, rel=1e-6)
            assert delta.device_ratio is not None
            assert delta.device_ratio.value == pytest.approx(2.0, rel=0.01)

        needs(check, (WorkerArm, "block", WorkerArm.device_block))
        needs(check, (WorkerArm, "device_block", WorkerArm.block))
