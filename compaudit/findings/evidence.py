"""What a finding may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from compaudit.models.base import Model, RunSettings
from compaudit.results import (
    Accuracy,
    Data,
    Delta,
    Divergence,
    Finding,
    Layer,
    ModelResult,
    Profile,
    RatesWithLimit,
    TensorResult,
    TracedOutput,
)
from compaudit.results.behaviour import Degenerate, Extremes, MemoryGrowth, OutputChange
from compaudit.results.placement import Fallback

__all__ = ["Evidence", "Rule", "Run"]


@dataclass(frozen=True, slots=True)
class Run:
    """How one model was run: its settings, and how many samples one inference takes."""

    settings: RunSettings
    batch_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything a rule may look at. What was not measured is None, or empty.

    The keys of mappings are ``original`` and ``compressed``. `recompiled` counts the timed blocks
    in which the framework compiled the model. `reasons` say why a figure of the
    outputs is null, by its path. `first_break` is the first output in `trace` that is far from the
    original's. `degenerate` are scales of the compressed model, `extremes` the ends of every
    output of both. `instruction_sets` are the processor's, where it computes.
    """

    original: ModelResult
    compressed: ModelResult
    original_model: Model | None
    compressed_model: Model | None
    compressed_tensors: Sequence[TensorResult]
    runtimes: tuple[str | None, str | None]
    alpha: RatesWithLimit
    layers: Sequence[Layer]
    delta: Delta | None
    accuracy: Accuracy | None
    divergence: Divergence | None
    never_steady: tuple[str, ...]
    profile: Profile | None = None
    runs: tuple[Run | None, Run | None] = (None, None)
    usable_cores: int | None = None
    output_changes: Mapping[str, OutputChange] = field(default_factory=dict)
    memory_growth: Mapping[str, MemoryGrowth] = field(default_factory=dict)
    recompiled: Mapping[str, int] = field(default_factory=dict)
    fallbacks: Mapping[str, Fallback] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    data: Data | None = None
    trace: Sequence[TracedOutput] = ()
    first_break: TracedOutput | None = None
    degenerate: Sequence[Degenerate] = ()
    extremes: Mapping[str, tuple[Extremes, Extremes]] = field(default_factory=dict)
    instruction_sets: frozenset[str] = frozenset()


Rule = Callable[[Evidence], Finding | None]
