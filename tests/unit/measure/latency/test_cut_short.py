"""A model that dies while it is timed: the epochs that both finished stay."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from synthetic_machine import SyntheticMachine, experiment, pair

from compaudit.errors import MeasurementError
from compaudit.measure.latency.blocks import BlockTimes
from compaudit.measure.latency.estimate import summarise
from compaudit.measure.latency.experiment import Arm, ModelName, Trace, run_experiment

DEATH = MeasurementError("b.onnx crashed", code="crashed", model="b.onnx", stage="latency")


class Mortal:
    """An arm that dies in its block of that number, from zero."""

    def __init__(self, arm: Arm, dies_in_block: int) -> None:
        self._arm, self._blocks_left = arm, dies_in_block
        self.name, self.cost, self.steady = arm.name, arm.cost, arm.steady

    def block(self, calls: int, discard_first: bool) -> BlockTimes:
        if self._blocks_left == 0:
            raise DEATH
        self._blocks_left -= 1
        return self._arm.block(calls, discard_first)

    def device_block(self, calls: int, discard_first: bool) -> BlockTimes:
        return self._arm.device_block(calls, discard_first)


def run_until_death(epoch: int, block: int) -> list[Trace]:
    """What was kept, when the compressed model dies in this block of this epoch."""
    machine = SyntheticMachine(pair(0.004, 0.002))
    kept: list[Trace] = []

    @contextmanager
    def open_arms(models: Sequence[ModelName], second_first: bool) -> Iterator[Sequence[Arm]]:
        with machine.open_arms(models, second_first) as (original, compressed):
            last = len(machine.opened) == epoch + 1
            yield (original, Mortal(compressed, block)) if last else (original, compressed)

    with pytest.raises(MeasurementError) as caught:
        run_experiment(
            experiment(30.0),
            open_arms,
            machine.clock,
            lambda what, share: None,
            on_epoch=kept.append,
        )
    assert caught.value is DEATH
    return kept


def test_whole_epochs_are_kept_and_the_broken_one_is_not() -> None:
    kept = run_until_death(epoch=2, block=5)
    assert [trace.epochs for trace in kept] == [1, 2]
    for model in ("original", "compressed"):
        quads = {(one.epoch, one.quad) for one in kept[-1].blocks if one.model == model}
        assert quads == {(epoch, quad) for epoch in range(2) for quad in range(8)}


def test_nothing_is_kept_of_a_death_in_the_first_epoch() -> None:
    assert run_until_death(epoch=0, block=3) == []


def test_what_was_kept_does_not_change_any_more() -> None:
    first, second = run_until_death(epoch=2, block=0)
    assert len(second.blocks) == 2 * len(first.blocks)


def test_the_survivor_goes_on_alone_behind_what_was_kept() -> None:
    kept = run_until_death(epoch=2, block=0)[-1]
    machine = SyntheticMachine(pair(0.004, 0.002))
    alone = machine.run(experiment(15.0, models=("original",)))
    both = kept.followed_by(alone)
    assert both.epochs == 2 + alone.epochs
    assert len(both.blocks) == len(kept.blocks) + len(alone.blocks)
    original, compressed = (summarise(both, name, 0.95) for name in ("original", "compressed"))
    assert original is not None
    assert compressed is not None
    assert original.median.value == pytest.approx(0.004)
    assert compressed.median.value == pytest.approx(0.002)
    assert original.median.low is not None
    assert compressed.median.low is None  # two epochs
