"""How much to measure within a time budget, and what to give up first when it is short.

MEASURING §1, rule 7. The device-only blocks of a GPU go first, as δ does not need them; then quads
go from 8 to 2, then calls per block to 1, then epochs from 6 to 3. A quarter of the budget is kept
for the sentinel; where that is too little for it, or three epochs do not fit beside it, there is
none. A smaller budget never gets more of anything.

Two quads an epoch are the least that a sentinel takes, and what is kept for it. Where its quarter
holds five, of which the extremes are trimmed away, there are five; and then further epochs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from compaudit.config import DEFAULT_TIME_BUDGET_S, SLOW_MODEL_TIME_BUDGET_S

__all__ = [
    "LEAST_EPOCHS",
    "SENTINEL_EPOCHS",
    "SENTINEL_MOST_EPOCHS",
    "SENTINEL_QUADS",
    "SENTINEL_SHARE",
    "ArmCost",
    "Plan",
    "default_budget_s",
    "grant_budget",
    "make_plan",
]

SENTINEL_EPOCHS, SENTINEL_MOST_EPOCHS = 4, 12
SENTINEL_QUADS = (5, 2)
"""Quads of its epochs, where there is room and at the least: of five, trimming drops two."""
LEAST_EPOCHS = 3
SENTINEL_SHARE = 0.25
# Seconds and calls of a block: 20 to 50 ms on a CPU, at least 50 on a GPU (rule 4).
_BLOCK_S, _LEAST_CALLS = 0.03, 4
_GPU_BLOCK_S, _GPU_LEAST_CALLS = 0.06, 20
_MOST_CALLS = 10_000
# Above this time of a call, waking up costs a block nothing that shows, and no call is discarded.
_NO_DISCARD_S = 0.02
_PILOT_EPOCHS = 6
_QUADS = (8, 6, 4, 3, 2)
_DEVICE_QUADS = 2
_BLOCKS_PER_ARM = 2
_FURTHER_MODEL_S = 6.0


@dataclass(frozen=True, slots=True)
class ArmCost:
    """What one model costs: seconds of one call.

    Attributes:
        call_s: from end to end.
        on_gpu: its work is done beside its process.
        device_call_s: of one call whose inputs and outputs stay on the device; None without one.
    """

    call_s: float
    on_gpu: bool = False
    device_call_s: float | None = None

    def calls(self, *, shortest: bool = False) -> int:
        """Calls of one block: 30 ms worth and at least 4, on a GPU 60 and 20; or 1 if `shortest`.

        A GPU's blocks are longer as its clocks and its queue take longer to settle.
        """
        if shortest:
            return 1
        seconds, least = (
            (_GPU_BLOCK_S, _GPU_LEAST_CALLS) if self.on_gpu else (_BLOCK_S, _LEAST_CALLS)
        )
        return min(_MOST_CALLS, max(least, math.ceil(seconds / self.call_s)))

    @property
    def discards(self) -> bool:
        """Whether the first call of a block is run but not counted."""
        return self.call_s <= _NO_DISCARD_S

    def block_s(self, *, shortest: bool = False) -> float:
        """Seconds that one block takes."""
        return (self.calls(shortest=shortest) + self.discards) * self.call_s

    @property
    def device(self) -> ArmCost | None:
        """What its device-only blocks cost; None without a device."""
        return None if self.device_call_s is None else ArmCost(self.device_call_s, self.on_gpu)


@dataclass(frozen=True, slots=True)
class Plan:
    """The pilot: epochs of quads of blocks.

    Attributes:
        budget_s: seconds for everything, the sentinel included.
        epochs: of the pilot; an extension may follow.
        quads: in each epoch.
        shortest: one call a block.
        epoch_s: what one epoch is expected to take.
        sentinel_s: what the original against itself is expected to take; 0 without room for it.
        device_quads: quads of device-only blocks after those; 0 without room, or without a device.
        sentinel_quad_s: what a further quad in each of the sentinel's epochs takes.
    """

    budget_s: float
    epochs: int
    quads: int
    shortest: bool
    epoch_s: float
    sentinel_s: float
    device_quads: int = 0
    sentinel_quad_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Step:
    """One size of the pilot."""

    epochs: int
    quads: int
    shortest: bool = False
    device_quads: int = 0

    def epoch_s(self, setup_s: float, arms: tuple[ArmCost, ...]) -> float:
        blocks_s = self.quads * sum(arm.block_s(shortest=self.shortest) for arm in arms)
        device_s = self.device_quads * sum(arm.device.block_s() for arm in arms if arm.device)
        return setup_s + _BLOCKS_PER_ARM * (blocks_s + device_s)


# What is given up first, from the fullest pilot on.
_STEPS = (
    *(_Step(_PILOT_EPOCHS, quads) for quads in _QUADS),
    *(
        _Step(epochs, _QUADS[-1], shortest=True)
        for epochs in range(_PILOT_EPOCHS, LEAST_EPOCHS - 1, -1)
    ),
)


def default_budget_s(models: int) -> float:
    """Seconds for so many models where nobody says how many: 30 for two, and 6 for each further.

    Of many models most time goes into their blocks, as the sentinel is that of two all the same,
    and everything else is once for all of them.
    """
    return DEFAULT_TIME_BUDGET_S + _FURTHER_MODEL_S * max(0, models - 2)


def grant_budget(asked_s: float | None, setup_s: float, arms: tuple[ArmCost, ...]) -> float:
    """The time budget: as asked; else the default, up to four times that where the models need it.

    They need what holds a full pilot and the sentinel, and of what the sentinel is a quarter. Of
    more than two models the pilot has the fewest rounds: on a busy machine starting them all takes
    most of an epoch, and should not take four times as long because of it.
    """
    if asked_s is not None:
        return asked_s
    default_s = default_budget_s(len(arms))
    pilot = _steps(arms)[0] if len(arms) <= 2 else _Step(_PILOT_EPOCHS, _QUADS[-1])
    pilot_s = _PILOT_EPOCHS * pilot.epoch_s(setup_s, arms)
    sentinel_s = _sentinel_s(setup_s, arms)
    needed_s = max(pilot_s + sentinel_s, sentinel_s / SENTINEL_SHARE)
    most_s = default_s * SLOW_MODEL_TIME_BUDGET_S / DEFAULT_TIME_BUDGET_S
    return min(max(default_s, needed_s), most_s)


def make_plan(budget_s: float, setup_s: float, arms: tuple[ArmCost, ...]) -> Plan:
    """The fullest pilot that fits the budget beside the sentinel.

    Where three epochs do not, the sentinel goes; then there are two epochs, or one, and in the end
    one of a single quad.

    Args:
        budget_s: seconds for everything.
        setup_s: seconds to start, load and warm up the processes of one epoch.
        arms: the models that take turns.
    """
    sentinel_s = _sentinel_s(setup_s, arms)
    kept_s = sentinel_s if sentinel_s <= budget_s * SENTINEL_SHARE else 0.0
    # Without a sentinel, the pilot is no fuller than beside the smallest that would fit: what is
    # left may become an extension.
    beside_s = sentinel_s / SENTINEL_SHARE - sentinel_s
    pilot_s = budget_s - kept_s if kept_s or not sentinel_s else min(budget_s, beside_s)
    for step in _steps(arms):
        epoch_s = step.epoch_s(setup_s, arms)
        if step.epochs * epoch_s <= pilot_s:
            return Plan(
                budget_s,
                step.epochs,
                step.quads,
                step.shortest,
                epoch_s,
                kept_s,
                step.device_quads,
                SENTINEL_EPOCHS * _Step(1, 1).epoch_s(0.0, (arms[0], arms[0])),
            )
    for quads in (_QUADS[-1], 1):
        epoch_s = _Step(1, quads, shortest=True).epoch_s(setup_s, arms)
        if epoch_s <= budget_s:
            break
    return Plan(budget_s, max(1, int(budget_s / epoch_s)), quads, True, epoch_s, 0.0)


def _steps(arms: tuple[ArmCost, ...]) -> tuple[_Step, ...]:
    """Every size of the pilot for these arms, the fullest first."""
    if any(arm.device is None for arm in arms):
        return _STEPS
    return (_Step(_PILOT_EPOCHS, _QUADS[0], device_quads=_DEVICE_QUADS), *_STEPS)


def _sentinel_s(setup_s: float, arms: tuple[ArmCost, ...]) -> float:
    """What the original against itself takes; nothing where one model is timed alone."""
    if len(arms) < 2:
        return 0.0
    twins = (arms[0], arms[0])
    of_two_s = setup_s * len(twins) / len(arms)
    return SENTINEL_EPOCHS * _Step(1, SENTINEL_QUADS[-1]).epoch_s(of_two_s, twins)
