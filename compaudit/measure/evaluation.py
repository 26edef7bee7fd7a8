"""Both models over the same samples, once: the pass from which divergence and accuracy come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from compaudit.config import Config, Task, Which
from compaudit.data.base import Feed
from compaudit.engines.base import Engine, Meter, Pass
from compaudit.errors import RequestError
from compaudit.measure.accuracy import TASKS, ClassificationMeter, RegressionMeter, choose_task
from compaudit.measure.batches import evaluation_batch
from compaudit.measure.divergence import DivergenceMeter
from compaudit.measure.outputs import Renaming, UnderPairNames
from compaudit.measure.signature import Samples
from compaudit.results import Accuracy, Divergence, Skipped

__all__ = ["Evaluated", "Evaluation"]

# Enough to see what the runtime's own choices do to the outputs.
_FLOOR_SAMPLES = 128


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What the pass gave, and why what is None is."""

    divergence: Divergence | None
    accuracy: Accuracy | None
    skipped: list[Skipped]


class Evaluation:
    """One pass over the samples of an audit.

    Args:
        config: what was asked for.
        samples: what both models are fed.
        named: whether both frameworks name their outputs.
        on_progress: told how many samples are done.

    Raises:
        RequestError: the labels do not suit the task.
    """

    def __init__(
        self, config: Config, samples: Samples, *, named: bool, on_progress: Callable[[int], None]
    ) -> None:
        self._config = config
        self._samples = samples
        self._named = named
        self._on_progress = on_progress
        self._task = _task(config, samples)
        self._outputs = self._meter(config.map_output)
        self._accuracy: ClassificationMeter | RegressionMeter | None = None
        self._floor: DivergenceMeter | None = None

    def run(self, engine: Engine, original: tuple[Feed, ...], compressed: tuple[Feed, ...]) -> None:
        """Show every sample to both models. Raises RequestError or MeasurementError."""
        meters: list[Meter] = [self._outputs]
        wanted = self._samples.labels is not None and self._config.wants("accuracy")
        if wanted and self._task in TASKS:
            self._accuracy = TASKS[self._task](self._outputs)
            meters.append(self._accuracy)
        engine.evaluate(
            self._pass(self._samples.dataset.samples, original, compressed),
            self._samples.labels_of,
            [UnderPairNames(meters, self._renaming("original"), self._renaming("compressed"))],
            self._on_progress,
        )

    @property
    def wants_floor(self) -> bool:
        """Whether there is a distribution whose noise floor could be found."""
        return self._config.wants("divergence") and self._outputs.usable_classes() is not None

    def run_floor(self, engine: Engine, original: tuple[Feed, ...]) -> None:
        """The original against itself at another optimisation level: what is mere rounding."""
        floor = self._meter({})
        samples = min(_FLOOR_SAMPLES, self._samples.dataset.samples)
        renaming = self._renaming("original")
        engine.evaluate(
            self._pass(samples, original, original, twice=True),
            lambda start, stop: None,
            [UnderPairNames([floor], renaming, renaming)],
            _ignore,
        )
        self._floor = floor

    def result(self) -> Evaluated:
        """Divergence and accuracy, as far as they were asked for."""
        config = self._config
        divergence = accuracy = None
        skipped: list[Skipped] = []
        if config.wants("divergence"):
            made_up = self._samples.request.uri is None
            divergence, reasons = self._outputs.result(
                "synthetic" if made_up else "data", config.confidence, self._floor
            )
            skipped += reasons
        if self._accuracy is not None:
            accuracy, reasons = self._accuracy.result(config.confidence)
            skipped += reasons
        return Evaluated(divergence, accuracy, skipped)

    def _meter(self, mapping: dict[str, str]) -> DivergenceMeter:
        return DivergenceMeter(
            mapping,
            named=self._named,
            classes=self._task == "classification",
            output=self._config.model_output,
        )

    def _renaming(self, which: Which) -> Renaming:
        return Renaming(which, self._config.only(which).map_output)

    def _pass(
        self,
        samples: int,
        original: tuple[Feed, ...],
        compressed: tuple[Feed, ...],
        *,
        twice: bool = False,
    ) -> Pass:
        """One pass over so many samples; `twice` where both are the original."""
        second: Which = "original" if twice else "compressed"
        return Pass(
            data=self._samples.request,
            samples=samples,
            batch_sizes=(
                evaluation_batch(self._config, "original"),
                evaluation_batch(self._config, second),
            ),
            original=original,
            compressed=compressed,
        )


def _task(config: Config, samples: Samples) -> Task:
    """What the outputs mean: as declared, or as the labels say, whatever they are for."""
    if samples.labels is None:
        return config.task
    try:
        return choose_task(config.task, samples)
    except RequestError:
        if config.wants("accuracy"):
            raise
        return config.task


def _ignore(done: int) -> None:
    """The floor is short; nobody needs to watch it."""
