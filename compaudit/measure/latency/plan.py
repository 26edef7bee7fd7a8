"""How much to measure within a time budget, and what to give up first when it is short.

MEASURING §1, rule 7: quads go from 8 to 2, then calls per block to 1, then epochs from 6 to 3. A
quarter of the budget is kept for the sentinel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from compaudit.config import DEFAULT_TIME_BUDGET_S, SLOW_MODEL_TIME_BUDGET_S

__all__ = ["SENTINEL_EPOCHS", "SENTINEL_QUADS", "ArmCost", "Plan", "grant_budget", "make_plan"]

SENTINEL_EPOCHS = 4
SENTINEL_QUADS = 2
_SENTINEL_SHARE = 0.25
_BLOCK_S = 0.03
_LEAST_CALLS = 4
_MOST_CALLS = 10_000
# Above this time of a call, waking up costs a block nothing that shows, and no call is discarded.
_NO_DISCARD_S = 0.02
_PILOT_EPOCHS = 6
_LEAST_EPOCHS = 3
_QUADS = (8, 6, 4, 3, 2)
_BLOCKS_PER_ARM = 2


@dataclass(frozen=True, slots=True)
class ArmCost:
    """What one model costs: seconds of one call."""

    call_s: float

    def calls(self, *, shortest: bool = False) -> int:
        """Calls of one block: 30 ms worth and at least 4; 1 in the shortest block."""
        if shortest and self.discards:
            return 1
        if not self.discards:
            return 1 if shortest else max(1, math.ceil(_BLOCK_S / self.call_s))
        return min(_MOST_CALLS, max(_LEAST_CALLS, math.ceil(_BLOCK_S / self.call_s)))

    @property
    def discards(self) -> bool:
        """Whether the first call of a block is run but not counted."""
        return self.call_s <= _NO_DISCARD_S

    def block_s(self, *, shortest: bool = False) -> float:
        """Seconds that one block takes."""
        return (self.calls(shortest=shortest) + self.discards) * self.call_s


@dataclass(frozen=True, slots=True)
class Plan:
    """The pilot: epochs of quads of blocks.

    Attributes:
        budget_s: seconds for everything, the sentinel included.
        epochs: of the pilot; an extension may follow.
        quads: in each epoch.
        shortest: one call a block.
        epoch_s: what one epoch is expected to take.
        sentinel: whether there is room for the original against itself.
    """

    budget_s: float
    epochs: int
    quads: int
    shortest: bool
    epoch_s: float
    sentinel: bool


def grant_budget(asked_s: float | None, setup_s: float, arms: tuple[ArmCost, ...]) -> float:
    """The time budget: as asked; else 30 s, and up to 120 s where a full pilot needs it."""
    if asked_s is not None:
        return asked_s
    full = _PILOT_EPOCHS * _epoch_s(setup_s, arms, _QUADS[0], shortest=False)
    needed = full / (1 - _SENTINEL_SHARE)
    return min(max(DEFAULT_TIME_BUDGET_S, needed), SLOW_MODEL_TIME_BUDGET_S)


def make_plan(budget_s: float, setup_s: float, arms: tuple[ArmCost, ...]) -> Plan:
    """The fullest pilot that fits the budget; the smallest there is when none does.

    Args:
        budget_s: seconds for everything.
        setup_s: seconds to start, load and warm up the processes of one epoch.
        arms: the models that take turns.
    """
    sentinel_s = SENTINEL_EPOCHS * _epoch_s(
        setup_s, (arms[0], arms[0]), SENTINEL_QUADS, shortest=False
    )
    sentinel = len(arms) > 1 and sentinel_s <= budget_s * _SENTINEL_SHARE
    room = budget_s - (sentinel_s if sentinel else 0.0)
    steps = [(_PILOT_EPOCHS, quads, False) for quads in _QUADS]
    steps.append((_PILOT_EPOCHS, _QUADS[-1], True))
    steps += [(epochs, _QUADS[-1], True) for epochs in range(_PILOT_EPOCHS - 1, 2, -1)]
    for epochs, quads, shortest in steps:
        epoch_s = _epoch_s(setup_s, arms, quads, shortest=shortest)
        if epochs * epoch_s <= room:
            return Plan(budget_s, epochs, quads, shortest, epoch_s, sentinel)
    epoch_s = _epoch_s(setup_s, arms, _QUADS[-1], shortest=True)
    affordable = max(1, min(_LEAST_EPOCHS, int(room / epoch_s)))
    return Plan(budget_s, affordable, _QUADS[-1], True, epoch_s, sentinel=False)


def _epoch_s(setup_s: float, arms: tuple[ArmCost, ...], quads: int, *, shortest: bool) -> float:
    blocks = sum(arm.block_s(shortest=shortest) for arm in arms)
    return setup_s + quads * _BLOCKS_PER_ARM * blocks
