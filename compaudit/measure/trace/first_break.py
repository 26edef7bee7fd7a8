"""Which is the first intermediate output that breaks?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from compaudit.results.quality import TracedOutput

__all__ = ["first_break"]

_BROKEN_DB = 3.0
_DROP_DB = 20.0
_HARMED_DB = 10.0


def first_break(trace: Sequence[TracedOutput]) -> TracedOutput | None:
    """The output at which a compressed model breaks; None where it nowhere does.

    An output breaks where the compressed model has a NaN or an infinity that the original has not,
    or where, at once, little is left of it: its SQNR is below 3 dB (the error has half the power of
    the output itself: a layer that gives zeros, or twice what it should, has 0 dB), and at least
    20 dB below that of every output compared before. Noise that adds up along the depth, as
    quantisation makes it, falls by a few decibels a layer and never so far in one. Nor does a model
    that was trained again after it was pruned or factorised: it differs from its first layer on,
    and nothing stands out.

    What is put right again did no harm: there is no break where the last output compared still has
    10 dB. A network of its own, trained from scratch, has nothing in common with the original and
    breaks by this rule at its first layer; so ask only where the outputs are worse, too.

    Args:
        trace: in the order of execution.
    """
    if not trace or not _is_harmed(trace[-1]):
        return None
    lowest_db = math.inf
    for output in trace:
        if _has_new_nonfinite(output):
            return output
        if output.sqnr_db is None:
            continue
        if output.sqnr_db < _BROKEN_DB and output.sqnr_db <= lowest_db - _DROP_DB:
            return output
        lowest_db = min(lowest_db, output.sqnr_db)
    return None


def _is_harmed(output: TracedOutput) -> bool:
    if output.sqnr_db is None:
        return not output.identical
    return output.sqnr_db < _HARMED_DB


def _has_new_nonfinite(output: TracedOutput) -> bool:
    return not output.identical and output.nonfinite_compressed > output.nonfinite_original
