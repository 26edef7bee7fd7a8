"""The story of many: one original, any number of candidates, one experiment, one table.

`candidates` finds out who takes part, `story` is what happens to them, `placing` the Pareto front
(on `axes`, from `times`), `choice` the one that is asked for, and `document` what is reported.
"""

from compaudit.ranking.document import exit_code_of
from compaudit.ranking.story import rank

__all__ = ["exit_code_of", "rank"]
