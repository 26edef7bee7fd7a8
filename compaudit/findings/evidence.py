"""What a finding may look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compaudit.models.base import Model
from compaudit.results import (
    Accuracy,
    Delta,
    Divergence,
    Finding,
    Layer,
    ModelResult,
    Profile,
    RatesWithLimit,
    TensorResult,
)

__all__ = ["Evidence", "Rule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything a rule may look at. What was not measured is None, or empty."""

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


Rule = Callable[[Evidence], Finding | None]
