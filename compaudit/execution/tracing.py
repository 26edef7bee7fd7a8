"""The chapter that looks inside: where in the network the outputs begin to differ."""

from __future__ import annotations

from dataclasses import dataclass

from compaudit import interruption
from compaudit.errors import CompauditError
from compaudit.measure.signature import Samples
from compaudit.measure.trace.comparison import Subject, Traced, trace_models
from compaudit.pair import Pair, Side
from compaudit.progress import Progress
from compaudit.workers.limits import Limits

__all__ = ["Inside", "look_inside"]


@dataclass(frozen=True, slots=True)
class Inside:
    """What was found; `why_not` says why there is nothing, or what of it there is not."""

    traced: Traced | None
    why_not: str


def look_inside(pair: Pair, samples: Samples | None, limits: Limits, progress: Progress) -> Inside:
    """Compare what both models compute inside. What goes wrong costs the trace and nothing else.

    Args:
        pair: the models, fed already.
        samples: what they are fed; None where nothing can be.
        limits: of each worker.
        progress: told what is going on.
    """
    sides = [side for side in pair.running if side.ledger is not None]
    if samples is None or len(sides) < 2:
        return Inside(None, "a trace takes both models, ready to run")
    original, compressed = (_subject(side) for side in sides)
    try:
        traced = trace_models(
            original,
            compressed,
            samples.request,
            limits,
            lambda share: progress.stage("comparing what the models compute inside", share),
        )
    except CompauditError as error:
        interruption.raise_pending()
        # Of a bug the message is a traceback, whose last line says what happened.
        reason = (error.message.strip().splitlines() or [error.code])[-1]
        progress.note(f"no trace: {reason}")
        return Inside(None, reason)
    nothing = "" if traced.outputs else "the models have nothing in common inside"
    return Inside(traced, "; ".join(traced.notes) or nothing)


def _subject(side: Side) -> Subject:
    assert side.feeds is not None, "it is ready to run"
    assert side.ledger is not None, "it was read"
    return Subject(
        side.source, side.settings, side.feeds, side.model, side.ledger.tensors, side.macs
    )
