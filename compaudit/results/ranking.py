"""Many compressed models beside one original: a row each, and which of them to choose."""

from __future__ import annotations

from typing import Literal

import msgspec

from compaudit.results.comparison import (
    Delta,
    Rates,
    RatesWithLimit,
    RawBlock,
    TimedBlock,
)
from compaudit.results.context import Failure, Finding, Gate, Skipped
from compaudit.results.model import Estimate, ModelResult
from compaudit.results.quality import Accuracy, Divergence

__all__ = [
    "Axis",
    "Best",
    "Between",
    "Candidate",
    "Front",
    "LeftOut",
    "RankedSamples",
    "Standing",
]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model stands on the Pareto front, for all that the intervals say.

    `on_front` is false where another model surely dominates it: where that one is no worse on any
    axis by more than the axis's margin, and on one better by more than that. Such models are listed
    in `dominated_by` by their labels, the original as ``original``. `sure` says that the intervals
    decide: it is dominated, or nothing that they leave open could dominate it.

    Where they do not decide, `likely_dominated_by` are those that dominate it by the measured
    values alone, and `undecided` the axes, by their metrics, whose intervals would have to be
    narrower; otherwise both are empty. `axes` holds its figures by the metric of the axis, with
    simultaneous intervals.
    """

    on_front: bool
    sure: bool
    dominated_by: list[str]
    likely_dominated_by: list[str] | None
    undecided: list[str]
    axes: dict[str, Estimate]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One compressed model against the original, as in a comparison of the two.

    `compressed` and the rates are null where it could not be read. `error` says what it failed of;
    what was measured before stands all the same. `on_front` is that of `standing`, which is null
    where a figure of an axis is missing.
    """

    label: str
    path: str
    compressed: ModelResult | None
    alpha: RatesWithLimit | None
    beta: Rates | None
    space_saving: Rates | None
    delta: Delta | None
    accuracy: Accuracy | None
    divergence: Divergence | None
    findings: list[Finding]
    gate: Gate
    on_front: bool | None
    standing: Standing | None
    error: Failure | None
    skipped: list[Skipped]


class Between(msgspec.Struct, frozen=True, kw_only=True):
    """How many times faster one candidate is than another: time of `first` / time of `second`.

    Both were timed in the same rounds (`paired`), or each beside the original in an experiment of
    its own. `delta` has the interval of the report's confidence, `simultaneous` that of the front.
    """

    first: str
    second: str
    paired: bool
    delta: Estimate
    simultaneous: Estimate


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """What models are compared by: a figure by its path in a comparison.

    `margin` is the difference up to which two models are as good: a share for ``delta``, and
    otherwise of the figure's own unit; 0 where figures are exact.
    """

    metric: str
    better: Literal["higher", "lower"]
    margin: float


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """How the Pareto front was found.

    Of all `comparisons` of two models on an axis together, `confidence` is the probability that
    every interval holds its truth: each alone has 1 − (1 − confidence) / comparisons (Bonferroni).
    All that is called sure is so with that probability too; there, a model is as good as another by
    a one-sided bound. `original` is where the original itself stands.
    """

    axes: list[Axis]
    confidence: float
    comparisons: int
    original: Standing | None


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """The candidate that ``--best`` asks for, among those that fulfil every requirement.

    `status` is ``undecided`` where none surely does, and ``none`` where all surely fail; `label`
    and `path` are null then. `second` is the next best, and `surely_better` whether the intervals
    set the two apart.
    """

    wanted: str
    status: Literal["found", "undecided", "none"]
    label: str | None
    path: str | None
    value: Estimate | None
    second: str | None
    second_value: Estimate | None
    surely_better: bool | None
    reason: str


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was among the candidates and is none: the original, or one that was there."""

    path: str
    same_as: str
    reason: str


class RankedSamples(msgspec.Struct, frozen=True, kw_only=True):
    """Every timed block of one experiment; a `model` is ``original`` or a candidate's label.

    There are several experiments where not all models fit into memory together. `sentinel` is the
    original against itself, `device` holds the blocks on a GPU without the copies, and `two_looks`
    says that the experiment could have been extended.
    """

    blocks: list[TimedBlock]
    sentinel: list[RawBlock]
    device: list[TimedBlock]
    two_looks: bool
