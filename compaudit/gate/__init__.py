"""Requirements against results: passed, failed, inconclusive or not measured.

No evidence is never a pass.

A requirement names a value by its path in the JSON report: ``alpha.file_bytes >= 3.5``,
``accuracy.top1.delta >= -2 pp``, ``divergence.outputs["a.b"].cosine >= 0.99``. An estimate is
judged by its whole interval; ``.value`` names the point. The limit may be made from another figure:
``compressed.latency.median_s <= 0.8 * original.latency.median_s``, ``delta >= baseline - 10 %``.

`path` reads and checks paths, `requirement` the whole language, `contradiction` refuses what cannot
hold together, `judgement` holds requirements against a report, `baseline` says what an earlier
report can be compared in, and `sample_size` how much data an undecided one would take.
"""

from compaudit.gate.baseline import regressions, require_comparable
from compaudit.gate.contradiction import require_consistent
from compaudit.gate.judgement import exit_code_of, gate_of, judge
from compaudit.gate.path import format_path
from compaudit.gate.requirement import Requirement, parse_requirement

__all__ = [
    "Requirement",
    "exit_code_of",
    "format_path",
    "gate_of",
    "judge",
    "parse_requirement",
    "regressions",
    "require_comparable",
    "require_consistent",
]
