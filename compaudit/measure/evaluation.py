"""Both models over the same samples, once: the pass from which divergence and accuracy come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import msgspec

from compaudit.config import Config, Task
from compaudit.data.base import Feed
from compaudit.engines.base import Engine, Pass
from compaudit.errors import RequestError
from compaudit.measure.accuracy import TASKS, choose_task
from compaudit.measure.batches import evaluation_batch
from compaudit.measure.gathering import Gathered
from compaudit.measure.meaning import DECIDING_SAMPLES, Meaning
from compaudit.measure.numerical import NotNumbers
from compaudit.measure.outputs import Renaming
from compaudit.measure.pictures import with_images
from compaudit.measure.recipe import NO_TAPS, Question, Recipe, Taps
from compaudit.measure.scout import Scout
from compaudit.measure.signature import Samples
from compaudit.measure.tally import EvaluationTally
from compaudit.results import Accuracy, Divergence, Skipped, WorstSample
from compaudit.results.behaviour import Extremes

__all__ = ["Evaluated", "Evaluation"]

# Enough to see what the runtime's own choices do to the outputs.
_FLOOR_SAMPLES = 128
_FLOOR_SEQUENCES = 16

# A sequence has many rows of scores; a few sequences decide what they are.
_DECIDING_SEQUENCES = 4
_FURTHER = 4


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What the pass gave, and why what is None is.

    Attributes:
        worst: the samples that suffered most, the worst first.
        broken: the samples that could not be read, by index, and why.
        extremes: the ends of every output, of the original and of the compressed model.
        not_numbers: an output that could not be compared, since it holds none.
    """

    divergence: Divergence | None
    accuracy: Accuracy | None
    skipped: list[Skipped]
    worst: list[WorstSample] = field(default_factory=list)
    broken: Mapping[int, str] = field(default_factory=dict)
    extremes: Mapping[str, tuple[Extremes, Extremes]] = field(default_factory=dict)
    not_numbers: NotNumbers | None = None


class Evaluation:
    """One pass over the samples of an audit.

    Args:
        config: what was asked for.
        samples: what both models are fed.
        named: whether both frameworks name their outputs.
        on_progress: told how many samples are done.
        taps: what the original and the compressed model give beside their outputs.

    Raises:
        RequestError: the labels do not suit the task.
    """

    def __init__(
        self,
        config: Config,
        samples: Samples,
        *,
        named: bool,
        on_progress: Callable[[int], None],
        taps: tuple[Taps, Taps] = (NO_TAPS, NO_TAPS),
    ) -> None:
        self._config = config
        self._samples = samples
        self._on_progress = on_progress
        task = _task(config, samples)
        self._question = Question(
            task=task,
            output=config.model_output,
            mapping=config.map_output,
            renamings=(
                Renaming("original", config.original_only.map_output),
                Renaming("compressed", config.compressed_only.map_output),
            ),
            named=named,
            graded=_is_graded(config, samples) and task in TASKS,
            class_names=samples.dataset.classes,
            confidence=config.confidence,
            worst=config.worst,
            taps=taps,
        )
        self._tally: EvaluationTally | None = None
        self._floor: EvaluationTally | None = None
        self._broken: Mapping[int, str] = {}

    def run(
        self,
        engine: Engine,
        original: tuple[Feed, ...],
        compressed: tuple[Feed, ...],
        elsewhere: Engine | None = None,
    ) -> None:
        """Show every sample to both models.

        Args:
            engine: runs them.
            original: what feeds it.
            compressed: likewise.
            elsewhere: runs the pass over all samples, after `engine` ran the first few; None where
                that does it all.

        Raises:
            RequestError: outputs, labels or data do not fit, or cannot be read.
            MeasurementError: a model died.
        """
        whole = self._pass(original, compressed)
        if elsewhere is None and (self._config.workers or 1) == 1:
            # Nothing is cut into parts: no sample needs to run twice.
            scout = partial(Gathered, partial(Scout, self._question))
            scouted = engine.evaluate(whole, scout, self._on_progress)
            self._tally, self._broken = scouted.tally.finish().finish(), scouted.broken
            return
        recipe = self._find_out(engine, whole)
        spread = elsewhere or engine
        tally = partial(Gathered, partial(EvaluationTally, recipe))
        seen = spread.evaluate(whole, tally, self._on_progress)
        self._tally, self._broken = seen.tally.finish(), seen.broken

    @property
    def wants_floor(self) -> bool:
        """Whether there is a distribution whose noise floor could be found."""
        found = self._tally.usable_classes if self._tally is not None else None
        return self._config.wants("divergence") and found is not None

    def run_floor(self, engine: Engine, original: tuple[Feed, ...]) -> None:
        """The original against itself at another optimisation level: what is mere rounding."""
        assert self._tally is not None, "run comes first"
        recipe = self._tally.recipe.of_original_alone()
        batch = evaluation_batch(self._config, "original")
        few = _FLOOR_SEQUENCES if self._question.per == "token" else _FLOOR_SAMPLES
        evaluation = msgspec.structs.replace(
            self._pass(original, original),
            stop=min(few, self._samples.dataset.samples),
            batch_sizes=(batch, batch),
            answers=None,
            metrics=(),
        )
        self._floor = engine.evaluate(evaluation, partial(EvaluationTally, recipe), _ignore).tally

    def result(self) -> Evaluated:
        """Divergence and accuracy, as far as they were asked for."""
        assert self._tally is not None, "run comes first"
        divergence = accuracy = None
        skipped: list[Skipped] = []
        if self._config.wants("divergence"):
            made_up = self._samples.request.uri is None
            floor = self._floor.usable_classes if self._floor is not None else None
            divergence, reasons = self._tally.divergence("synthetic" if made_up else "data", floor)
            skipped += reasons
        if self._config.wants("accuracy"):
            accuracy, reasons = self._tally.accuracy()
            skipped += reasons
        worst = self._tally.worst(self._samples.dataset.name_of)
        worst = with_images(worst, self._samples)
        return Evaluated(
            divergence,
            accuracy,
            skipped,
            worst,
            self._broken,
            self._tally.extremes(),
            self._tally.not_numbers(),
        )

    def _find_out(self, engine: Engine, whole: Pass) -> Recipe:
        """What the outputs mean, by the first samples that can be read; a few mostly do."""
        tokens = self._question.task == "causal-lm"
        stop = whole.start + (_DECIDING_SEQUENCES if tokens else DECIDING_SAMPLES)
        while True:
            first = msgspec.structs.replace(whole, stop=min(stop, whole.stop), metrics=())
            try:
                found = engine.evaluate(first, partial(Meaning, self._question), _ignore).tally
            except RequestError as error:
                if error.code != "no-readable-samples" or stop >= whole.stop:
                    raise
            else:
                if found.settled or stop >= whole.stop:
                    return found.recipe()
            stop *= _FURTHER

    def _pass(self, original: tuple[Feed, ...], compressed: tuple[Feed, ...]) -> Pass:
        """The pass over all samples."""
        wanted = self._config.wants("accuracy")
        return Pass(
            data=self._samples.request,
            start=0,
            stop=self._samples.dataset.samples,
            batch_sizes=(
                evaluation_batch(self._config, "original"),
                evaluation_batch(self._config, "compressed"),
            ),
            original=original,
            compressed=compressed,
            answers=self._samples.answers if wanted else None,
            metrics=self._config.metrics if wanted else (),
        )


def _is_graded(config: Config, samples: Samples) -> bool:
    """Whether there are right answers, and accuracy is wanted."""
    return samples.labels is not None and config.wants("accuracy")


def _task(config: Config, samples: Samples) -> Task:
    """What the outputs mean: as declared, or as the labels say, whatever they are for."""
    # Tokens differ in number from sample to sample: they are looked at batch by batch.
    if samples.labels is None or config.task in ("causal-lm", "embedding"):
        return config.task
    try:
        return choose_task(config.task, samples)
    except RequestError:
        if config.wants("accuracy"):
            raise
        return config.task


def _ignore(done: int) -> None:
    """These are few samples; nobody needs to watch them."""
