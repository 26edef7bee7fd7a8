"""What an experiment leaves: every timed block, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from msgspec import structs

from compaudit.results import RawBlock, RawSamples, TimedBlock

__all__ = ["ModelName", "Trace", "raw"]

ModelName = str
"""What an experiment calls a model: ``original`` and ``compressed`` where there are two."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Every block that was timed, and what the schedule was.

    Attributes:
        blocks: in the order of the run. A model that died has none in the epoch that it died in.
        sentinel: of the first model against itself, as ``original`` and ``compressed``.
        two_looks: an extension was possible, so that the error is shared between two looks.
        device: blocks on a GPU, without the copies there and back; empty on a CPU.
    """

    blocks: Sequence[TimedBlock]
    sentinel: Sequence[TimedBlock]
    budget_s: float
    two_looks: bool
    never_steady: tuple[ModelName, ...]
    device: Sequence[TimedBlock] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """How many there are."""
        return len({block.epoch for block in self.blocks})

    def between(self, original: ModelName, compressed: ModelName) -> Trace:
        """The same of two models alone, as though they had been the only ones.

        They keep their places in every round, and so their mirror symmetry. Epochs in which one of
        them was not timed are left out.

        Args:
            original: the model that becomes ``original``.
            compressed: the model that becomes ``compressed``.
        """
        names = {original: "original", compressed: "compressed"}
        return replace(
            self,
            blocks=_of_both(self.blocks, names),
            device=_of_both(self.device, names),
            never_steady=tuple(names[name] for name in self.never_steady if name in names),
        )

    def followed_by(self, later: Trace) -> Trace:
        """The same with the epochs of another experiment, such as that of one model alone."""
        return replace(
            self,
            blocks=[*self.blocks, *_shifted(later.blocks, self.epochs)],
            device=[*self.device, *_shifted(later.device, self.epochs)],
            never_steady=tuple(dict.fromkeys((*self.never_steady, *later.never_steady))),
        )

    def as_raw(self) -> RawSamples:
        """The blocks of ``original`` and ``compressed`` as a report of the two keeps them."""
        return RawSamples(
            blocks=raw(self.blocks),
            sentinel=raw(self.sentinel),
            device=raw(self.device),
            two_looks=self.two_looks,
        )


def _of_both(blocks: Sequence[TimedBlock], names: dict[ModelName, str]) -> list[TimedBlock]:
    mine = [block for block in blocks if block.model in names]
    shared = set.intersection(
        *({block.epoch for block in mine if block.model == name} for name in names)
    )
    return [
        structs.replace(block, model=names[block.model]) for block in mine if block.epoch in shared
    ]


def _shifted(blocks: Sequence[TimedBlock], epochs: int) -> list[TimedBlock]:
    return [structs.replace(block, epoch=block.epoch + epochs) for block in blocks]


def raw(blocks: Sequence[TimedBlock]) -> list[RawBlock]:
    """Blocks of ``original`` and ``compressed`` as those of a pair."""
    return [RawBlock(**structs.asdict(block)) for block in blocks]
