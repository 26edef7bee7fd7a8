"""What holds of the schedule for any two models, any budget and any machine."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_machine import SyntheticMachine, experiment, lognormal, pair

from compaudit.measure.latency.estimate import estimate_delta

ORDERS = (
    ("original", "compressed", "compressed", "original"),
    ("compressed", "original", "original", "compressed"),
)

quick = settings(deadline=None, max_examples=200)


def log_uniform(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(math.log(low), math.log(high)).map(math.exp)


CALL_S = log_uniform(1e-5, 10.0)
SETUP_S = log_uniform(0.01, 20.0)


class TestSchedule:
    """Any two models, from 10 µs to 10 s a call, in any budget."""

    def machine(self, a: float, b: float, setup_s: float, seed: int) -> SyntheticMachine:
        return SyntheticMachine(
            pair(a, b),
            setup_s=setup_s,
            seed=seed,
            process_noise=lognormal(0.03),
            whole_blocks=True,
        )

    @quick
    @given(CALL_S, CALL_S, SETUP_S, st.floats(1.0, 120.0), st.integers(0, 2**32))
    def test_the_budget_is_kept_to_within_one_epoch(
        self, a: float, b: float, setup_s: float, budget_s: float, seed: int
    ) -> None:
        machine = self.machine(a, b, setup_s, seed)
        machine.run(experiment(budget_s, seed=seed))
        ends = [0.0, *machine.epoch_ends]
        longest_s = max(after - before for before, after in itertools.pairwise(ends))
        assert machine.clock.now <= budget_s + longest_s

    @quick
    @given(CALL_S, CALL_S, SETUP_S, st.none() | st.floats(1.0, 120.0), st.integers(0, 2**32))
    def test_blocks_come_in_mirrored_quads_and_last_as_the_rule_says(
        self, a: float, b: float, setup_s: float, budget_s: float | None, seed: int
    ) -> None:
        machine = self.machine(a, b, setup_s, seed)
        trace = machine.run(experiment(budget_s, seed=seed))
        for blocks in (trace.blocks, trace.sentinel):
            for first in range(0, len(blocks), 4):
                quad = blocks[first : first + 4]
                assert tuple(block.model for block in quad) in ORDERS
                assert [block.position for block in quad] == [0, 1, 2, 3]
                assert len({(block.epoch, block.quad) for block in quad}) == 1
        for name in ("original", "compressed"):
            assert sum(b.model == name for b in trace.blocks) * 2 == len(trace.blocks)
        shortest = trace.blocks[0].calls == 1
        for name, calls, discards in machine.asked:
            call_s = machine.call_s[name]
            assert discards == (call_s <= 0.020)
            if shortest:
                assert calls == 1
            else:
                assert calls == 4 or 0.02 <= calls * call_s <= 0.05

    @quick
    @given(CALL_S, CALL_S, SETUP_S, st.floats(1.0, 120.0))
    def test_the_sentinel_takes_at_most_a_quarter(
        self, a: float, b: float, setup_s: float, budget_s: float
    ) -> None:
        machine = SyntheticMachine(pair(a, b), setup_s=setup_s, whole_blocks=True)
        trace = machine.run(experiment(budget_s))
        if trace.sentinel:
            assert machine.epoch_ends[-1] - machine.epoch_ends[-5] <= 0.25 * budget_s * (1 + 1e-9)

    @quick
    @given(CALL_S, CALL_S, SETUP_S, st.floats(1.0, 120.0), st.integers(0, 2**32))
    def test_without_noise_the_ratio_is_exact(
        self, a: float, b: float, setup_s: float, budget_s: float, seed: int
    ) -> None:
        machine = SyntheticMachine(pair(a, b), setup_s=setup_s, whole_blocks=True)
        trace = machine.run(experiment(budget_s, seed=seed))
        delta = estimate_delta(trace, 0.95, 0.03, cpu_time=False)
        assert delta.value == pytest.approx(a / b, rel=1e-9)
        assert (delta.low is None) == (delta.epochs < 3)
