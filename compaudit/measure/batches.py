"""How many samples does each model take at once?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from compaudit.config import Config, Which
from compaudit.data.base import Feed
from compaudit.errors import RequestError

__all__ = ["Fed", "batch_size", "evaluation_batch", "require_same_batch"]

# Large enough to keep the cores busy, small enough for any model that runs at all.
_EVALUATION_BATCH = 64
# Sequences differ in length, and every token has a score for each word.
_LANGUAGE_BATCH = 1


@dataclass(frozen=True, slots=True)
class Fed:
    """A model that is to be run: which of the two, how the user named it, and how it is fed."""

    which: Which
    model: str
    feeds: tuple[Feed, ...]

    @property
    def fixed(self) -> int | None:
        """The number of samples it insists on; None where it takes any."""
        return next((feed.batch for feed in self.feeds if feed.batch is not None), None)


def batch_size(config: Config, one: Fed, fed: Iterable[Fed]) -> int:
    """How many samples one inference of a model takes where it is timed.

    What it insists on, else what was asked for, else what the other one insists on, else one.

    Args:
        config: what was asked for.
        one: the model.
        fed: all that are to be run.

    Raises:
        RequestError: it insists on another number than was asked for.
    """
    asked = config.of(one.which).batch_size
    if one.fixed is None:
        return asked or next((other.fixed for other in fed if other.fixed is not None), 1)
    if asked not in (None, one.fixed):
        own = config.only(one.which).batch_size is not None
        option = f"--{one.which}-batch-size" if own else "--batch-size"
        raise RequestError(
            f"{one.model} takes {_samples(one.fixed)} at once, and {option} asks for {asked}",
            hint=f"leave {option} out, or export it with an open batch dimension",
            code="batch-sizes-differ",
            model=one.model,
            stage="data",
        )
    return one.fixed


def evaluation_batch(config: Config, which: Which) -> int:
    """How many samples a model takes at once where outputs are compared, if it takes any number."""
    default = _LANGUAGE_BATCH if config.task == "causal-lm" else _EVALUATION_BATCH
    return config.of(which).batch_size or default


def require_same_batch(sizes: Sequence[tuple[Fed, int]]) -> None:
    """Refuse to time models that take different numbers of samples at once.

    Args:
        sizes: every model that is to be run, and how many samples it takes.

    Raises:
        RequestError: they differ.
    """
    if len({size for _, size in sizes}) < 2:
        return
    (one, first), (other, second) = sizes
    insisting = one.fixed is not None and other.fixed is not None
    raise RequestError(
        f"the original takes {_samples(first)} at once and the compressed model takes "
        f"{_samples(second)}: their times do not compare",
        hint="export both with the same, or an open, batch dimension"
        if insisting
        else "give both the same --batch-size, or leave the times out with --skip latency",
        code="batch-sizes-differ",
        stage="data",
    )


def _samples(number: int) -> str:
    return "1 sample" if number == 1 else f"{number} samples"
