"""How much smaller is it? α, β and the space saving, each for every basis that was counted."""

from __future__ import annotations

from collections.abc import Callable

from compaudit.results import ModelResult, Rates, RatesWithLimit, Skipped
from compaudit.theory import rates

__all__ = ["BASES", "compare_sizes"]

BASES = (
    "parameters",
    "nonzero_parameters",
    "weight_bytes",
    "file_bytes",
    "entropy_bytes",
    "macs",
)

_COUNTED = ("parameters", "nonzero_parameters", "weight_bytes", "entropy_bytes")
"""Bases whose absence has no reason of its own elsewhere."""


def compare_sizes(
    original: ModelResult, compressed: ModelResult, *, macs_complete: bool
) -> tuple[RatesWithLimit, Rates, Rates, list[Skipped]]:
    """α, β and space saving, and why those that are None are.

    Args:
        original: what was counted of it.
        compressed: likewise.
        macs_complete: no operator that might multiply was left uncounted in either.
    """
    pairs = {basis: (_count(original, basis), _count(compressed, basis)) for basis in BASES}
    if not macs_complete:
        pairs["macs"] = (None, None)

    def each(rate: Callable[[float, float], float | None]) -> dict[str, float | None]:
        return {
            basis: None if a is None or b is None else rate(a, b) for basis, (a, b) in pairs.items()
        }

    alpha, beta = each(rates.compression_rate), each(rates.space_saving_rate)
    saving = each(rates.space_saving)
    limit = None
    if original.weight_bytes is not None and compressed.entropy_bytes is not None:
        limit = rates.compression_rate(original.weight_bytes, compressed.entropy_bytes)
    skipped = [
        Skipped(metric=f"{name}.{basis}", reason=f"undefined: {a:,} against {b:,}")
        for name, rate in (("alpha", alpha), ("beta", beta), ("space_saving", saving))
        for basis, (a, b) in pairs.items()
        if a is not None and b is not None and rate[basis] is None
    ]
    skipped += [
        Skipped(metric=f"{name}.{basis}", reason="it was not counted for both models")
        for name in ("alpha", "beta", "space_saving")
        for basis in _COUNTED
        if None in pairs[basis]
    ]
    return RatesWithLimit(**alpha, coding_limit=limit), Rates(**beta), Rates(**saving), skipped


def _count(model: ModelResult, basis: str) -> int | None:
    if basis == "macs":
        return model.macs.total if model.macs is not None else None
    count: int | None = getattr(model, basis)
    return count
