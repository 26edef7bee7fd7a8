"""CA3xx: how the two models were run."""

from __future__ import annotations

from compaudit.findings.evidence import Evidence, Rule
from compaudit.results import Finding

__all__ = ["RULES"]


def different_runtimes(evidence: Evidence) -> Finding | None:
    """CA301: the two models are executed by different frameworks."""
    original, compressed = evidence.runtimes
    if original is None or compressed is None or original == compressed:
        return None
    return Finding(
        code="CA301",
        severity="info",
        title="different runtimes",
        detail=f"the original runs in {original} and the compressed model in {compressed}: δ "
        "compares the runtimes as much as the models",
        hint="export both to one format to see what the compression alone gives",
    )


def synthetic_inputs(evidence: Evidence) -> Finding | None:
    """CA302: the outputs were compared on made-up inputs."""
    divergence = evidence.divergence
    if divergence is None or divergence.source != "synthetic":
        return None
    return Finding(
        code="CA302",
        severity="info",
        title="synthetic inputs",
        detail=f"divergence was measured on {divergence.samples} made-up inputs, which say little "
        "about real ones; accuracy was not measured",
        hint="give real samples with --data",
    )


RULES: tuple[Rule, ...] = (different_runtimes, synthetic_inputs)
