"""Requirements against results: passed, failed, or inconclusive. No evidence is never a pass.

A requirement names a value by its path in the JSON report: ``alpha.file_bytes >= 3.5``,
``accuracy.top1.delta >= -2 pp``, ``divergence.outputs["a.b"].cosine >= 0.99``. An estimate is
judged by its whole interval; ``.value`` names the point.

`requirement` parses and checks what is asked for, `judgement` holds it against a report, and
`sample_size` says how much data an undecided one would take.
"""

from compaudit.gate.judgement import exit_code_of, gate_of, judge
from compaudit.gate.requirement import Requirement, parse_requirement

__all__ = ["Requirement", "exit_code_of", "gate_of", "judge", "parse_requirement"]
