"""The two models of an audit, how each is run, what is known of it, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from compaudit import machine
from compaudit.errors import CompauditError, InternalError, RequestError
from compaudit.models import open as models
from compaudit.models.base import RunSettings

if TYPE_CHECKING:
    from compaudit.config import Config, Which
    from compaudit.data.base import Feed
    from compaudit.measure.layers.weights import Weights
    from compaudit.measure.ledger import Ledger
    from compaudit.measure.macs.count import MacCount
    from compaudit.measure.memory import FirstRun
    from compaudit.measure.resident import Resident
    from compaudit.models.base import Model, Source
    from compaudit.workers.workspace import Loaded

__all__ = ["Pair", "Side", "open_pair", "open_side"]


@dataclass(slots=True)
class Side:
    """One of the two models, and what is known of it so far.

    `settings` are those it is loaded and run with. `model` is None where only a worker could read
    it; `weights` are there all the same.
    """

    name: Which
    source: Source
    settings: RunSettings = field(default_factory=RunSettings)
    model: Model | None = None
    ledger: Ledger | None = None
    weights: Mapping[str, Weights] = field(default_factory=dict)
    loaded: Loaded | None = None
    baseline: Resident | None = None
    feeds: tuple[Feed, ...] | None = None
    batch_size: int = 1
    first_run: FirstRun | None = None
    macs: MacCount | None = None
    alive: bool = True

    @property
    def needed_bytes(self) -> int:
        """Memory that a process with it takes: measured where it has run, else what is stored.

        Its own and that of the frameworks, and the peak of a first inference.
        """
        baseline = 0
        if self.baseline is not None:
            baseline = self.baseline.anonymous or self.baseline.total
        if self.first_run is not None and self.first_run.peak_memory_bytes is not None:
            return baseline + self.first_run.peak_memory_bytes
        stored = self.ledger.file_bytes or self.ledger.weight_bytes if self.ledger else 0
        return baseline + stored


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

    @property
    def running(self) -> list[Side]:
        """Those of them that are ready to run: what they are fed is known."""
        return [side for side in self.alive if side.feeds is not None]

    @property
    def takes_same_batch(self) -> bool:
        """Whether those take equally many samples at once; otherwise times do not compare."""
        return len({side.batch_size for side in self.running}) <= 1

    @property
    def on_gpu(self) -> bool:
        """Whether the work of one of them is done beside its process."""
        return any(side.loaded is not None and side.loaded.on_gpu for side in self)

    @property
    def compares_cpu_time(self) -> bool:
        """Whether processor time tells of the models: of one thread each, and of no GPU."""
        return not self.on_gpu and all(side.settings.threads == 1 for side in self)

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


def open_pair(config: Config, original: Side | None = None) -> Pair:
    """Recognise both models, and decide how each of them is run.

    Args:
        config: what was asked for.
        original: that of another pair, with all that is known of it; None recognises it anew.

    Raises:
        RequestError: a file is no model, or an option is not for models of its kind.
    """
    opened = [] if original is not None else [open_side(config, "original")]
    opened.append(open_side(config, "compressed"))
    pair = Pair(original or opened[0], opened[-1])
    _require_compilable(config, pair)
    return pair


def open_side(config: Config, which: Which) -> Side:
    """Recognise one of the models, and decide how it is run. Raises RequestError as `open_pair`."""
    side = Side(which, models.recognise(getattr(config, which)))
    _require_onnx(config, side)
    side.settings = _settings(config, side)
    return side


def _settings(config: Config, side: Side) -> RunSettings:
    options = config.of(side.name)
    return RunSettings(
        device=config.device,
        threads=config.threads or machine.default_threads(),
        compiled=config.compile and _is_torch(side),
        trust_model_code=config.trust_model_code,
        provider_options=options.provider_options,
        session_options=options.session_options,
        custom_op_libraries=options.custom_op_libraries,
    )


def _require_compilable(config: Config, pair: Pair) -> None:
    """``--compile`` takes a PyTorch model; beside one, a model of another kind is left as it is."""
    if config.compile and not any(_is_torch(side) for side in pair):
        raise RequestError(
            f"--compile is for PyTorch models, and neither {pair.original.source.label} nor "
            f"{pair.compressed.source.label} is one",
            hint="leave --compile out; ONNX Runtime optimises by itself",
            code="not-compilable",
            stage="open",
        )


def _require_onnx(config: Config, side: Side) -> None:
    """What only ONNX Runtime understands is refused where it is said for a PyTorch model."""
    own = config.only(side.name)
    given = {
        "provider-option": own.provider_options,
        "session-option": own.session_options,
        "custom-op-library": own.custom_op_libraries,
    }
    for option, values in given.items():
        if values and _is_torch(side):
            raise RequestError(
                f"--{side.name}-{option} is for ONNX models, and {side.source.label} is run by "
                "PyTorch",
                hint=f"leave --{side.name}-{option} out",
                code="not-for-this-model",
                model=side.source.spec,
                stage="open",
            )


def _is_torch(side: Side) -> bool:
    return models.runtime_of(side.source) == "torch"
