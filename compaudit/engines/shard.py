"""Ranges of samples from both models to tallies: what every engine does with every shard."""

from __future__ import annotations

from collections.abc import Callable

from compaudit.data.base import Feed
from compaudit.engines.base import Pass, Tally
from compaudit.engines.inference import Part
from compaudit.engines.labels import LabelReader
from compaudit.engines.pairing import pair_up
from compaudit.engines.sources import OutputSource
from compaudit.engines.walk import Answered, walk
from compaudit.errors import MeasurementError

__all__ = ["ShardRunner", "SourcePair"]

SourcePair = tuple[OutputSource, OutputSource]
"""Where the outputs of the original and of the compressed model come from."""


class ShardRunner:
    """A pair of models that shows shards of a pass to tallies, one shard after the other.

    Args:
        sources: where their outputs come from.
    """

    def __init__(self, sources: SourcePair) -> None:
        self.sources = sources
        self._labels: LabelReader | None = None

    def open(self, evaluation: Pass) -> None:
        """Get ready for a pass. Raises RequestError or MeasurementError."""
        original, compressed = self.sources
        original.open(evaluation, "original")
        compressed.open(evaluation, "compressed")
        # Some data takes seconds to open: once for all shards.
        self._labels = LabelReader(evaluation.data, evaluation.answers)

    def run(
        self, shard: Pass, step: int, tally: Tally, on_progress: Callable[[int], None]
    ) -> dict[int, str]:
        """Show every sample of a shard to a tally once.

        Args:
            shard: the pass that this was opened for, with a `start` and a `stop` of its own.
            step: the most samples at a time; fewer where outputs turn out to be large.
            tally: takes the batches in.
            on_progress: told how many more samples are done.

        Returns:
            The samples that could not be read, by index, and why.

        Raises:
            RequestError: what a source, the data or the tally refuses.
            MeasurementError: a model died, or the data changed meanwhile.
        """
        labels = self._labels
        assert labels is not None, "open comes first"
        # Models that are fed the same arrays cannot read different samples.
        same_arrays = _arrays(shard.original) == _arrays(shard.compressed)
        broken: dict[int, str] = {}

        def take_in(answered: Answered) -> None:
            start, stop = answered.start, answered.stop
            original, compressed = answered.parts
            if same_arrays:
                _require_same_samples(original, compressed)
            read, unlabelled = labels.read(start, stop)
            batch = pair_up(start, stop, original, compressed, (read, unlabelled))
            if len(batch.indices):
                tally.update(batch)
            broken.update(unlabelled | compressed.broken | original.broken)
            on_progress(stop - start)

        sources = list(zip(self.sources, shard.batch_sizes, strict=True))
        walk(sources, shard, step, labels.uniform, take_in)
        return broken

    def kill(self) -> None:
        """End what is under way; whoever waits for it gets a MeasurementError."""
        for source in self.sources:
            source.kill()


def _require_same_samples(original: Part, compressed: Part) -> None:
    if original.broken.keys() != compressed.broken.keys():
        index = min(original.broken.keys() ^ compressed.broken.keys())
        raise MeasurementError(
            f"only one of the two models could read sample {index}",
            hint="the data must not change during an audit; run it again, with --no-cache",
            code="data-changed",
            stage="evaluate",
        )


def _arrays(feeds: tuple[Feed, ...]) -> set[str]:
    return {feed.array for feed in feeds}
