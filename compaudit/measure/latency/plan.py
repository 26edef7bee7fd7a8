"""How much to measure within a time budget, and what to give up first when it is short.

MEASURING §1, rule 7: quads go from 8 to 2, then calls per block to 1, then epochs from 6 to 3. A
quarter of the budget is kept for the sentinel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from compaudit.config import DEFAULT_TIME_BUDGET_S, SLOW_MODEL_TIME_BUDGET_S

__all__ = [
    "LEAST_EPOCHS",
    "SENTINEL_EPOCHS",
    "SENTINEL_QUADS",
    "SENTINEL_SHARE",
    "ArmCost",
    "Plan",
    "grant_budget",
    "make_plan",
]

SENTINEL_EPOCHS = 4
SENTINEL_QUADS = 2
LEAST_EPOCHS = 3
SENTINEL_SHARE = 0.25
_BLOCK_S = 0.03
_LEAST_CALLS = 4
_MOST_CALLS = 10_000
# Above this time of a call, waking up costs a block nothing that shows, and no call is discarded.
_NO_DISCARD_S = 0.02
_PILOT_EPOCHS = 6
_QUADS = (8, 6, 4, 3, 2)
_BLOCKS_PER_ARM = 2

# What is given up first: (epochs, quads, one call a block), the fullest pilot first.
_STEPS = (
    *((_PILOT_EPOCHS, quads, False) for quads in _QUADS),
    *((epochs, _QUADS[-1], True) for epochs in range(_PILOT_EPOCHS, LEAST_EPOCHS - 1, -1)),
)


@dataclass(frozen=True, slots=True)
class ArmCost:
    """What one model costs: seconds of one call."""

    call_s: float

    def calls(self, *, shortest: bool = False) -> int:
        """Calls of one block: 30 ms worth and at least 4; 1 in the shortest block."""
        if shortest:
            return 1
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
        sentinel_s: what the original against itself is expected to take; 0 without room for it.
    """

    budget_s: float
    epochs: int
    quads: int
    shortest: bool
    epoch_s: float
    sentinel_s: float


def grant_budget(asked_s: float | None, setup_s: float, arms: tuple[ArmCost, ...]) -> float:
    """The time budget: as asked; else 30 s, and up to 120 s where the models need it.

    They need what holds a full pilot and the sentinel, and of what the sentinel is a quarter.
    """
    if asked_s is not None:
        return asked_s
    pilot_s = _PILOT_EPOCHS * _epoch_s(setup_s, arms, _QUADS[0], shortest=False)
    sentinel_s = _sentinel_s(setup_s, arms)
    needed_s = max(pilot_s + sentinel_s, sentinel_s / SENTINEL_SHARE)
    return min(max(DEFAULT_TIME_BUDGET_S, needed_s), SLOW_MODEL_TIME_BUDGET_S)


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
    for epochs, quads, shortest in _STEPS:
        epoch_s = _epoch_s(setup_s, arms, quads, shortest=shortest)
        if epochs * epoch_s + kept_s <= budget_s:
            return Plan(budget_s, epochs, quads, shortest, epoch_s, kept_s)
    for quads in (_QUADS[-1], 1):
        epoch_s = _epoch_s(setup_s, arms, quads, shortest=True)
        if epoch_s <= budget_s:
            break
    return Plan(budget_s, max(1, int(budget_s / epoch_s)), quads, True, epoch_s, 0.0)


def _epoch_s(setup_s: float, arms: tuple[ArmCost, ...], quads: int, *, shortest: bool) -> float:
    blocks = sum(arm.block_s(shortest=shortest) for arm in arms)
    return setup_s + quads * _BLOCKS_PER_ARM * blocks


def _sentinel_s(setup_s: float, arms: tuple[ArmCost, ...]) -> float:
    """What the original against itself takes; nothing where one model is timed alone."""
    if len(arms) < 2:
        return 0.0
    epoch_s = _epoch_s(setup_s, (arms[0], arms[0]), SENTINEL_QUADS, shortest=False)
    return SENTINEL_EPOCHS * epoch_s
