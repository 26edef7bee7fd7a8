"""What of a model did not run where it was asked to."""

from __future__ import annotations

import msgspec

__all__ = ["Fallback"]


class Fallback(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a model that another execution provider runs than the one asked for.

    `nodes` of `total_nodes` fell back from `wanted` to `providers`. `time_share` is what they take
    of one inference, without the copies to and fro that they cause; null where no profile tells.
    `operators` are theirs in words, those that cost most first; empty where untold.
    """

    wanted: str
    providers: tuple[str, ...]
    nodes: int
    total_nodes: int
    time_share: float | None
    operators: str
