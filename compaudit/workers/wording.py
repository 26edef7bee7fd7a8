"""How the ways a worker can end are put into words."""

from __future__ import annotations

import signal

__all__ = ["LAST_WORDS", "cause_of_death", "doing", "memory_hint"]

LAST_WORDS = "its last words: "
"""How a hint begins that has them."""


_STAGES = {
    "read": "being read",
    "load": "being loaded",
    "shapes": "having its sizes inferred",
    "memory": "running its first inference",
    "warm-up": "warming up",
    "latency": "being timed",
    "evaluate": "being evaluated",
    "profile": "being profiled",
    "trace": "being traced",
}
_WITHOUT_INPUTS = ("read", "load", "shapes")


def doing(stage: str) -> str:
    """What the model was doing in this stage."""
    return _STAGES.get(stage, stage)


def memory_hint(stage: str) -> str:
    """What helps a model that took more memory than it may; before it has inputs, no batch size."""
    hint = "raise --memory-limit"
    return hint if stage in _WITHOUT_INPUTS else f"{hint}, or use a smaller --batch-size"


def cause_of_death(status: int | None, last_words: str) -> tuple[str, str]:
    """What happened, and a hint.

    Args:
        status: the exit status, negative for a signal; None for a process that still ran.
        last_words: the last line it wrote.
    """
    hint = f"{LAST_WORDS}{last_words}" if last_words else ""
    hint = hint or "the fault is in the model or in what runs it"
    if status is None:
        return "closed its connection", hint
    if status >= 0:
        return f"ended its process with exit status {status}", hint
    if status == -signal.SIGKILL:
        hint = "the system kills what takes too much memory: use a smaller --batch-size"
    return f"crashed with {_signal_name(-status)}", hint


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
