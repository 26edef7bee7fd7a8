"""How a model behaved while it ran, in so far as only findings speak of it."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Degenerate", "Extremes", "MemoryGrowth", "OutputChange"]


class Degenerate(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor that a scale or a zero point makes nothing of.

    ``lost`` are codes that a scale of zero takes away, `count` of them; ``zero`` and ``not finite``
    are scales or zero points, `count` of them. `name` is that of the codes, or of the scale where
    it belongs to no stored codes.
    """

    name: str
    what: Literal["lost", "zero", "not finite"]
    count: int


class Extremes(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest and the largest number of an output, and how many are exactly that."""

    elements: int
    lowest: float
    at_lowest: int
    highest: float
    at_highest: int


class MemoryGrowth(msgspec.Struct, frozen=True, kw_only=True):
    """Memory that a model's process took with its calls and did not give back.

    `total_bytes` is the growth that was seen, in `epochs` fresh processes together and over
    `calls` calls, each process's first ones left out.
    """

    bytes_per_call: float
    total_bytes: int
    calls: int
    epochs: int


class OutputChange(msgspec.Struct, frozen=True, kw_only=True):
    """An output that differed between runs of one model on the same inputs.

    `largest_difference` is null where there is none to state: for text, another shape or type, and
    where an element is a number in one run only; `what` says so in words. `largest_value` is the
    largest absolute value of the first run. `others` counts further outputs that differed.
    """

    output: str
    what: str
    largest_difference: float | None
    largest_value: float
    real: bool
    others: int
