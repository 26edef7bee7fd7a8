"""Reasons of one model's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compaudit.results import ModelResult, Skipped
from compaudit.unmeasured.times import NO_GPU

if TYPE_CHECKING:
    from compaudit.pair import Side

__all__ = ["unmeasured"]


def unmeasured(
    prefix: str, result: ModelResult, side: Side, not_run: str, no_macs: str = ""
) -> list[Skipped]:
    """A reason for every figure of one model that is null.

    Args:
        prefix: where the model stands in the document.
        result: its figures.
        side: the model.
        not_run: why it was not run, where it was not.
        no_macs: why its operations were not counted, where nobody tried.
    """
    uncounted = side.ledger.uncounted if side.ledger else "the model could not be read"
    counted = {
        "parameters": uncounted or "it has none",
        "nonzero_parameters": uncounted or "some values cannot be read",
        "sparsity": uncounted or "it has no parameters",
        "bits_per_weight": uncounted or "it has no parameters",
        "entropy_bytes": "some values cannot be read",
        "entropy_bits_per_weight": uncounted
        or ("some values cannot be read" if result.parameters else "it has no parameters"),
        "macs": no_macs or _why_no_macs(side),
        "file_bytes": "a bare factory ships no file",
        "graph_bytes": "a bare factory ships no file",
        "sha256": "a bare factory ships no file",
        "load_s": not_run,
        "first_inference_s": not_run,
        **_why_no_memory(side, not_run),
    }
    return [
        Skipped(metric=f"{prefix}.{key}", reason=reason)
        for key, reason in counted.items()
        if getattr(result, key) is None
    ]


def _why_no_memory(side: Side, not_run: str) -> dict[str, str]:
    untold = "this system does not tell it"
    on_gpu = side.loaded is not None and side.loaded.on_gpu
    reasons = {
        "peak_memory_bytes": untold,
        "resident_anonymous_bytes": untold,
        "resident_file_bytes": untold,
        "peak_device_memory_bytes": "its framework does not tell it" if on_gpu else NO_GPU,
    }
    return {
        key: reason if side.first_run and getattr(side.first_run, key) is None else not_run
        for key, reason in reasons.items()
    }


def _why_no_macs(side: Side) -> str:
    if side.model is not None and side.model.graph is None:
        return "it holds tensors and no operators"
    return "its operations are not known"
