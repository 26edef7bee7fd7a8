"""Why a figure is null: a reason for every part of a report that was not measured.

`parts` goes through a comparison, `models` has the reasons of one model's figures, `times` those of
latencies and δ, `quality` those of outputs and accuracy.
"""

from compaudit.unmeasured.models import unmeasured
from compaudit.unmeasured.parts import unmeasured_parts

__all__ = ["unmeasured", "unmeasured_parts"]
