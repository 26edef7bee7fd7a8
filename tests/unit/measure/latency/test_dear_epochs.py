"""When epochs turn out dearer than the first one, by which everything was planned.

The pair costs 1 s to start and 0.17 s a quad: 2.36 s an epoch, 14.2 s a pilot of six. The sentinel
is 4 epochs of 1.4 s, 5.6 s, less than a quarter of the 24 s that are given.
"""

import pytest
from synthetic_machine import SyntheticMachine, experiment, pair

from compaudit.measure.latency.experiment import Trace

PAIR = ("original", "compressed")
TWINS = ("original", "original")
FIRST_S = 2.36


def machine_of(*epochs_s: float) -> SyntheticMachine:
    """Epochs that take so many seconds after the first; those after them as the last."""
    machine = SyntheticMachine(pair(0.010, 0.005))
    factors = [1.0, *(seconds / FIRST_S for seconds in epochs_s)]
    machine.load = lambda now: factors[min(len(machine.opened) - 1, len(factors) - 1)]
    return machine


def epochs_of(trace: Trace) -> int:
    return len({block.epoch for block in trace.blocks})


def test_an_epoch_costs_what_it_says_above() -> None:
    machine = machine_of()
    machine.run(experiment(24))
    assert machine.epoch_ends[0] == pytest.approx(FIRST_S)
    assert machine.epoch_ends[-1] - machine.epoch_ends[-5] == pytest.approx(5.6)


def test_room_for_one_more_epoch_makes_two_looks() -> None:
    # A pilot of 14.2 s and the sentinel leave 4.2 s.
    assert machine_of().run(experiment(24)).two_looks


def test_the_third_epoch_goes_before_the_sentinel() -> None:
    # 18.4 s after two: half an epoch more, 23.0 s, is within 24 s, but not beside the sentinel.
    machine = machine_of(16.0, 2.0)
    assert epochs_of(machine.run(experiment(24))) == 3


def test_the_fourth_does_not() -> None:
    # 17.4 s after three: half an epoch more, 20.3 s, is within 24 s but not beside the sentinel.
    machine = machine_of(7.5)
    assert epochs_of(machine.run(experiment(24))) == 3


def test_two_that_took_everything_are_all() -> None:
    # 20.4 s after two, and half an epoch more is 25.5 s.
    machine = machine_of(18.0)
    assert epochs_of(machine.run(experiment(24))) == 2


def test_a_sentinel_that_would_not_end_in_time_is_not_begun() -> None:
    machine = machine_of(7.5)
    trace = machine.run(experiment(24))
    assert trace.sentinel == []
    assert {models for models, _ in machine.opened} == {PAIR}


def test_a_sentinel_that_takes_more_than_a_quarter_is_dropped() -> None:
    # 120 s would hold it, but four epochs of 12 s after a pilot of 14 s are more than 30 s.
    machine = machine_of(*[FIRST_S] * 5, 12.0 * FIRST_S / 1.4)
    trace = machine.run(experiment(120))
    assert machine.opened[-1][0] == TWINS
    assert machine.clock.now < 120
    assert trace.sentinel == []


@pytest.mark.parametrize("began", [0.0, 12_345.0])
def test_the_zero_of_the_clock_does_not_matter(began: float) -> None:
    machine = machine_of()
    machine.clock.advance(began)
    trace = machine.run(experiment(24))
    assert (epochs_of(trace), len(trace.blocks), len(trace.sentinel)) == (6, 6 * 8 * 4, 4 * 2 * 4)
