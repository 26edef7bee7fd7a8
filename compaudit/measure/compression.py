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


def compare_sizes(
    original: ModelResult, compressed: ModelResult
) -> tuple[RatesWithLimit, Rates, Rates, list[Skipped]]:
    """α, β and space saving, and why those that are None are."""
    pairs = {basis: (_count(original, basis), _count(compressed, basis)) for basis in BASES}

    def each(rate: Callable[[float, float], float | None]) -> dict[str, float | None]:
        return {
            basis: None if a is None or b is None else rate(a, b) for basis, (a, b) in pairs.items()
        }

    alpha = each(rates.compression_rate)
    limit = None
    if original.weight_bytes is not None and compressed.entropy_bytes is not None:
        limit = rates.compression_rate(original.weight_bytes, compressed.entropy_bytes)
    skipped = [
        Skipped(metric=f"alpha.{basis}", reason=f"undefined: {a:,.0f} against {b:,.0f}")
        for basis, (a, b) in pairs.items()
        if a is not None and b is not None and alpha[basis] is None
    ]
    return (
        RatesWithLimit(**alpha, coding_limit=limit),
        Rates(**each(rates.space_saving_rate)),
        Rates(**each(rates.space_saving)),
        skipped,
    )


def _count(model: ModelResult, basis: str) -> int | None:
    if basis == "macs":
        return model.macs.total if model.macs is not None else None
    count: int | None = getattr(model, basis)
    return count
