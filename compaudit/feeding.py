"""What both models are fed: samples chosen once, matched to each one's inputs, so many at once."""

from __future__ import annotations

from compaudit.config import Config
from compaudit.findings import Run
from compaudit.measure.batches import Fed, batch_size, evaluation_batch, require_same_batch
from compaudit.measure.signature import (
    Samples,
    Signature,
    choose_samples,
    feeds_of,
    require_inputs,
    require_labels,
)
from compaudit.pair import Pair, Side

__all__ = ["choose_inputs", "match_inputs", "run_of"]


def choose_inputs(config: Config, pair: Pair) -> Samples | None:
    """Open the data, or make inputs up, once for every model that loaded.

    What is wrong with the request is recorded in the pair; None where nothing can be fed.
    """
    signatures = _signatures(config, pair)
    samples = None
    with pair.surviving():
        if signatures:
            require_inputs(config, signatures)
            samples = choose_samples(config, signatures)
            require_labels(config, samples)
    return samples


def match_inputs(config: Config, pair: Pair, samples: Samples) -> None:
    """Decide what feeds which input, and how many samples one timed inference takes.

    What does not fit is recorded in the pair: of one model, or of both where their times would not
    compare.
    """
    for side, signature in zip(pair.alive, _signatures(config, pair), strict=True):
        with pair.surviving(side):
            side.feeds = feeds_of(signature, samples)
    fed = {side.name: Fed(side.name, side.source.spec, side.feeds or ()) for side in pair.running}
    for side in pair.running:
        with pair.surviving(side):
            side.batch_size = batch_size(config, fed[side.name], fed.values())
    if config.profile or config.wants("latency"):
        with pair.surviving():
            require_same_batch([(fed[side.name], side.batch_size) for side in pair.running])


def run_of(config: Config, side: Side) -> Run | None:
    """How a model was run, for the findings; None where it was not."""
    if side.feeds is None:
        return None
    if config.profile or config.wants("latency", "memory"):
        return Run(side.settings, side.batch_size)
    fed = Fed(side.name, side.source.spec, side.feeds)
    return Run(side.settings, fed.fixed or evaluation_batch(config, side.name))


def _signatures(config: Config, pair: Pair) -> list[Signature]:
    """What every model takes that still lives; all of them have been loaded."""
    return [
        Signature(side.name, side.source.spec, config.of(side.name), side.loaded, side.model)
        for side in pair.alive
        if side.loaded is not None
    ]
