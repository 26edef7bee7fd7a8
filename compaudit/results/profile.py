"""Where the time of one inference goes, from a profiler."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "Cause",
    "ModelProfile",
    "Profile",
    "ProfiledLayer",
    "ProfiledOperator",
]


class ProfiledOperator(msgspec.Struct, frozen=True, kw_only=True):
    """All executed nodes of one operator on one provider; seconds per inference."""

    op: str
    provider: str
    nodes: int
    seconds: float
    share: float


class ModelProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Where one model's inference spends its time, from the profiler of its runtime.

    Shares are of `total_s`, one inference while it was profiled: those of `operators` and
    `overhead_share`, the time between operators, add up to one. `unattributed_share` is spent in
    operators of which it is not known what in the model they stand for.
    """

    runs: int
    total_s: float
    overhead_share: float
    unattributed_share: float
    operators: list[ProfiledOperator]


class ProfiledLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer of the original beside what became of it, in seconds per inference.

    Null where a model executes nothing for it. Names in parentheses gather what is no layer; all
    rows of a model add up to its `total_s`.
    """

    name: str
    original_s: float | None
    compressed_s: float | None
    delta_s: float


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why the compressed model takes the time it takes.

    `seconds` is what it spends so per inference, in `nodes` executed nodes; `extra_s` how much
    more than the original spends on the same, null where that has no counterpart.
    """

    kind: Literal[
        "quantize_nodes",
        "cast_nodes",
        "layout_nodes",
        "transfers",
        "other_provider",
        "float_fallback",
        "integer_operators_no_faster",
        "slower_float_operators",
        "factorized_layers",
        "added_nodes",
        "no_int8_instructions",
    ]
    detail: str
    seconds: float
    extra_s: float | None
    nodes: int


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of both models goes; `causes` the costliest first."""

    original: ModelProfile
    compressed: ModelProfile
    layers: list[ProfiledLayer]
    causes: list[Cause]
