"""What two models are beside one another: rates, speed-up, layers, timed blocks."""

from __future__ import annotations

from typing import Literal

import msgspec

from compaudit.results.model import Estimate, LayerSide

__all__ = [
    "Delta",
    "Layer",
    "Rates",
    "RatesWithLimit",
    "RawBlock",
    "RawSamples",
    "TimedBlock",
]

Verdict = Literal["faster", "slower", "no_measurable_change", "inconclusive", "invalid"]


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """One rate (β or the space saving) for every basis that α has."""

    parameters: float | None
    nonzero_parameters: float | None
    weight_bytes: float | None
    file_bytes: float | None
    entropy_bytes: float | None
    macs: float | None


class RatesWithLimit(Rates, frozen=True, kw_only=True):
    """α for every basis. `coding_limit` is weight_bytes(M) / entropy_bytes(M*)."""

    coding_limit: float | None


class Delta(Estimate, frozen=True, kw_only=True):
    """The speed-up rate δ = s / s*, with what was decided from it.

    δ compares inferences from end to end. `cpu_time_ratio` is the same of processor time (one
    thread), `device_ratio` of what a GPU does, without the copies there and back.
    """

    confidence: float
    verdict: Verdict
    epochs: int
    minimal_detectable_effect: float | None
    noise_floor: float | None
    cpu_time_ratio: Estimate | None
    device_ratio: Estimate | None


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """One layer of the original beside what became of it.

    `change` says how: ``matched`` one to one, ``factorized`` into several, ``folded`` into the
    layer before it (a normalisation), ``removed``, or ``added``; `note` in words. `matched_by` says
    what the match rests on. `compressed` of a factorised layer sums up its factors.
    `weight_sqnr_db` is null where the weights cannot be compared and where they are equal, and
    `weights_equal` tells the two apart.
    """

    name: str
    op: str
    original: LayerSide | None
    compressed: LayerSide | None
    change: Literal["matched", "factorized", "folded", "removed", "added"]
    matched_by: Literal["name", "structure"] | None
    weight_sqnr_db: float | None
    weights_equal: bool | None
    note: str


class TimedBlock(msgspec.Struct, frozen=True, kw_only=True):
    """One timed block of calls of one of any number of models.

    As `RawBlock`, but for: an `epoch` is one set of fresh processes, a `quad` a round in it in
    which every model has two blocks, in an order and then in its reverse, and `position` the place
    in that.
    """

    epoch: int
    quad: int
    position: int
    model: str
    calls: int
    elapsed_s: float
    cpu_s: float
    times_s: list[float]
    compilations: int
    resident_bytes: int | None


class RawBlock(TimedBlock, frozen=True, kw_only=True):
    """One timed block of calls, each of one batch; the block's value is elapsed_s / calls.

    `elapsed_s` is the time of all `calls` together, `cpu_s` the worker's processor time meanwhile,
    `times_s` each call's own. Of fast models one call goes before them that is in none of these: it
    pays for the idle time. An `epoch` is a pair of fresh processes, a `quad` four blocks in it in
    the order ABBA or BAAB, `position` the place in the quad. `compilations` counts how often the
    framework compiled the model meanwhile, `resident_bytes` is the worker's memory after it. Blocks
    on a device have no `times_s`: their calls are queued.
    """

    model: Literal["original", "compressed"]


class RawSamples(msgspec.Struct, frozen=True, kw_only=True):
    """Every timed block in the order of the run, so that the verdict can be computed again.

    In `sentinel` both models are the original, and `compressed` is its second copy. `device` holds
    the blocks on a GPU without the copies there and back. `two_looks` says that the experiment
    could have been extended, so that the error is shared between two looks.
    """

    blocks: list[RawBlock]
    sentinel: list[RawBlock]
    device: list[RawBlock]
    two_looks: bool
