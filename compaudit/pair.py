"""The two models of an audit, what is known of each so far, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from compaudit.errors import CompauditError, InternalError

if TYPE_CHECKING:
    from compaudit.data.base import Feed
    from compaudit.measure.latency.experiment import ModelName
    from compaudit.measure.layers.weights import Weights
    from compaudit.measure.ledger import Ledger
    from compaudit.measure.macs.count import MacCount
    from compaudit.measure.memory import FirstRun
    from compaudit.models.base import Model, Source
    from compaudit.workers.workspace import Loaded

__all__ = ["Pair", "Side"]


@dataclass(slots=True)
class Side:
    """One of the two models, and what is known of it so far.

    `model` is None where only a worker could read it; `weights` are there all the same.
    """

    name: ModelName
    source: Source
    model: Model | None = None
    ledger: Ledger | None = None
    weights: Mapping[str, Weights] = field(default_factory=dict)
    loaded: Loaded | None = None
    baseline_bytes: int = 0
    feeds: tuple[Feed, ...] | None = None
    batch_size: int = 1
    first_run: FirstRun | None = None
    macs: MacCount | None = None
    alive: bool = True


@dataclass(slots=True)
class Pair:
    """Both sides. A model that dies takes its own figures with it and nothing else."""

    original: Side
    compressed: Side
    errors: list[CompauditError] = field(default_factory=list)

    def __iter__(self) -> Iterator[Side]:
        yield self.original
        yield self.compressed

    @property
    def alive(self) -> list[Side]:
        """The sides that nothing has happened to yet."""
        return [side for side in self if side.alive]

    @contextmanager
    def surviving(self, side: Side | None = None) -> Iterator[None]:
        """Record an error instead of raising it: the audit goes on with what still lives."""
        try:
            yield
        except InternalError:
            raise
        except CompauditError as error:
            self.record(error, side)

    def record(self, error: CompauditError, side: Side | None = None) -> Side | None:
        """Keep an error; the side it belongs to, which is returned, is out of the audit."""
        self.errors.append(error)
        side = side or next((side for side in self if side.source.spec == error.model), None)
        if side is not None:
            side.alive = False
        return side
