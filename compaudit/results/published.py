"""What somebody else published: rows of a paper beside those that were measured here."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Basis", "Published"]

Basis = Literal[
    "parameters",
    "nonzero_parameters",
    "weight_bytes",
    "file_bytes",
    "entropy_bytes",
    "macs",
    "coding_limit",
]
"""What a compression rate is of: the names of α."""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a paper. Nothing of it was measured here, and nothing is judged by it.

    `basis` is what `compression` counts, null where the paper does not say. `top1` and `top5` are
    shares of one.
    """

    label: str
    top1: float | None
    top5: float | None
    speedup: float | None
    compression: float | None
    basis: Basis | None
    weight_bytes: int | None
    file_bytes: int | None
    source: str
