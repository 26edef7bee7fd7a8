"""What an experiment leaves: every timed block, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from msgspec import structs

from compaudit.results import RawBlock

__all__ = ["ModelName", "Trace"]

ModelName = Literal["original", "compressed"]


@dataclass(frozen=True, slots=True)
class Trace:
    """Every block that was timed, and what the schedule was.

    Attributes:
        two_looks: an extension was possible, so that the error is shared between two looks.
        device: blocks on a GPU, without the copies there and back; empty on a CPU.
    """

    blocks: list[RawBlock]
    sentinel: list[RawBlock]
    budget_s: float
    two_looks: bool
    never_steady: tuple[ModelName, ...]
    device: list[RawBlock] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """How many there are."""
        return len({block.epoch for block in self.blocks})

    def followed_by(self, later: Trace) -> Trace:
        """The same with the epochs of another experiment, such as that of one model alone."""
        return replace(
            self,
            blocks=[*self.blocks, *_shifted(later.blocks, self.epochs)],
            device=[*self.device, *_shifted(later.device, self.epochs)],
            never_steady=tuple(dict.fromkeys((*self.never_steady, *later.never_steady))),
        )


def _shifted(blocks: Sequence[RawBlock], epochs: int) -> list[RawBlock]:
    return [structs.replace(block, epoch=block.epoch + epochs) for block in blocks]
