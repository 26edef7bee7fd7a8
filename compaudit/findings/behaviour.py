"""CA2xx: what a model does to the process it runs in, call after call."""

from __future__ import annotations

from compaudit.findings.evidence import Evidence, Rule
from compaudit.results import Finding
from compaudit.units import format_bytes, format_count

__all__ = ["RULES"]


def memory_grows(evidence: Evidence) -> Finding | None:
    """CA206: every call takes memory and does not give it back."""
    if not evidence.memory_growth:
        return None
    detail = "; ".join(
        f"every call of the {model} model keeps about {format_bytes(growth.bytes_per_call)} "
        f"({format_bytes(growth.total_bytes)} over {format_count(growth.calls)} calls, alike in "
        f"each of {growth.epochs} fresh processes)"
        for model, growth in evidence.memory_growth.items()
    )
    return Finding(
        code="CA206",
        severity="warning",
        title="memory grows from call to call",
        detail=f"{detail}: a service that runs it long enough runs out of memory, and peak memory "
        "is no bound",
        hint="look for what an inference leaves behind: a list, a cache or a state that only grows",
    )


RULES: tuple[Rule, ...] = (memory_grows,)
