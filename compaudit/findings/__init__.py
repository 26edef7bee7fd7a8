"""What the numbers mean together: contradictions, and what a reviewer must know.

One small function per finding, with a stable code, in the tuples `RULES` of the files here. A rule
returns its finding, or None. CA1xx speak of size, CA2xx of speed, CA3xx of how the two were run,
CA4xx of quality. docs/findings.md has a section for each.
"""

from __future__ import annotations

from compaudit.findings import (
    accuracy,
    behaviour,
    circumstances,
    numbers,
    precision,
    quality,
    size,
    speed,
    stored,
)
from compaudit.findings.evidence import Evidence, Rule, Run
from compaudit.results import Finding

__all__ = ["RULES", "Evidence", "Run", "find"]

RULES: tuple[Rule, ...] = (
    *size.RULES,
    *stored.RULES,
    *speed.RULES,
    *behaviour.RULES,
    *precision.RULES,
    *circumstances.RULES,
    *accuracy.RULES,
    *numbers.RULES,
    *quality.RULES,
)


def find(evidence: Evidence) -> list[Finding]:
    """All findings, the gravest first."""
    found = [finding for rule in RULES if (finding := rule(evidence)) is not None]
    order = ("error", "warning", "info")
    return sorted(found, key=lambda finding: order.index(finding.severity))
