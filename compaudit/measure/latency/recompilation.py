"""Was a model compiled while it was timed? Pure: reads the timed blocks, runs nothing."""

from __future__ import annotations

from collections import Counter

from compaudit.measure.latency.trace import Trace

__all__ = ["recompiled_blocks"]


def recompiled_blocks(trace: Trace) -> dict[str, int]:
    """How many timed blocks of each model saw a compilation; models without any are left out."""
    blocks = (*trace.blocks, *trace.sentinel, *trace.device)
    return dict(Counter(block.model for block in blocks if block.compilations))
