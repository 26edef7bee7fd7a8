"""What both models are fed: samples chosen once, matched to each one's inputs, so many at once."""

from __future__ import annotations

from pathlib import Path

from compaudit.config import Config
from compaudit.data.function import is_function
from compaudit.data.loader import spool_batches
from compaudit.data.spool import samples_in
from compaudit.errors import MeasurementError, RequestError
from compaudit.findings import Run
from compaudit.measure.batches import Fed, batch_size, evaluation_batch, require_same_batch
from compaudit.measure.signature import (
    Samples,
    Signature,
    choose_samples,
    feeds_of,
    given_samples,
    require_inputs,
    require_labels,
)
from compaudit.pair import Pair, Side
from compaudit.progress import Progress
from compaudit.units import format_seconds
from compaudit.workers.limits import Limits
from compaudit.workers.wording import LAST_WORDS
from compaudit.workers.worker import Worker
from compaudit.workers.workspace import admit_user_modules

__all__ = ["choose_inputs", "match_inputs", "open_given", "run_of"]

_STAGE = "yielding samples"


def open_given(config: Config, limits: Limits, folder: str, progress: Progress) -> Samples | None:
    """Open the data that was given, before minutes are spent on the models; None without any.

    A function is called here, once, in a process of its own; both models get what it yields.

    Args:
        config: what was asked for.
        limits: of that process.
        folder: for what it yields; somebody else removes it.
        progress: told what is going on.

    Raises:
        RequestError: the data cannot be opened, or the function does not yield samples.
    """
    spool = None
    if config.data is not None and is_function(config.data):
        progress.stage(f"reading the samples of {config.data}")
        spool = f"{folder}/samples"
        _spool(config.data, Path(spool), config.limit, limits)
    return given_samples(config, spool)


def choose_inputs(config: Config, pair: Pair, given: Samples | None = None) -> Samples | None:
    """Take the data, or make inputs up, once for every model that loaded.

    What is wrong with the request is recorded in the pair; None where nothing can be fed.

    Args:
        config: what was asked for.
        pair: both models.
        given: the data, if any was given.
    """
    signatures = _signatures(config, pair)
    samples = None
    with pair.surviving():
        if signatures:
            require_inputs(config, signatures)
            samples = choose_samples(config, signatures, given)
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


def _spool(function: str, folder: Path, limit: int | None, limits: Limits) -> None:
    """Have a worker call the function, and say what came of it where it died."""
    try:
        with Worker(function, limits) as worker:
            worker.call(_STAGE, admit_user_modules)
            worker.call(_STAGE, spool_batches, function, str(folder), limit)
    except RequestError as error:
        raise RequestError(error.message, hint=error.hint, code=error.code, stage="data") from error
    except MeasurementError as error:
        read = f"{samples_in(folder):,} samples were read before"
        if error.code == "timeout":
            raise RequestError(
                f"{function} did not end within {format_seconds(limits.timeout_s)}; {read}",
                hint="take a part of them with --limit, or raise --timeout if it is only slow",
                code="data-timeout",
                stage="data",
            ) from error
        hint = error.hint
        if error.code == "out-of-memory":
            hint = "raise --memory-limit, or yield smaller batches"
        elif error.code == "crashed" and not hint.startswith(LAST_WORDS):
            hint = (
                "the fault is in the function or in a library that it uses: go through what it "
                "yields in Python, without compaudit"
            )
        raise RequestError(
            f"{error.message}; {read}", hint=hint, code=f"data-{error.code}", stage="data"
        ) from error
