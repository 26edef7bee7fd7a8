"""Every way compaudit can end, and every error it can raise.

An error carries one sentence (`message`), the next thing to type (`hint`), a stable `code`, the
exit code, and, where known, the model and the stage it belongs to. Framework exceptions are
translated into these where the framework is used, with ``raise ... from error``.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

__all__ = [
    "CompauditError",
    "ExitCode",
    "InternalError",
    "Interrupted",
    "MeasurementError",
    "RequestError",
    "most_serious",
]


class ExitCode(IntEnum):
    """Exit codes of the command line; each means one thing and nothing else."""

    DONE = 0
    REQUIREMENT_FAILED = 1
    BAD_REQUEST = 2
    UNDECIDED = 3
    MEASUREMENT_DIED = 4
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


# Where several hold at once, the first of these wins.
_PRECEDENCE = (
    ExitCode.BUG,
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.BAD_REQUEST,
    ExitCode.REQUIREMENT_FAILED,
    ExitCode.MEASUREMENT_DIED,
    ExitCode.UNDECIDED,
    ExitCode.DONE,
)


def most_serious(codes: Iterable[ExitCode]) -> ExitCode:
    """The exit code that is reported where several hold; ``DONE`` where none does."""
    return min(codes, key=_PRECEDENCE.index, default=ExitCode.DONE)


def _shortened(text: str, longest: int | None) -> str:
    """The text, without its middle where it is very long."""
    if longest is None or len(text) <= longest:
        return text
    return f"{text[: longest // 2]} … {text[len(text) - longest // 2 :]}"


class CompauditError(Exception):
    """Base of every error a user can meet.

    Args:
        message: one sentence that says what is wrong, naming the file or option.
        hint: the next thing to type or to look at; empty when there is none.
        code: a stable, kebab-case name of this kind of error.
        model: the model it concerns, as the user named it.
        stage: what was being done: ``open``, ``load``, ``warm-up``, ``evaluate`` …
    """

    exit_code = ExitCode.BUG
    longest: int | None = 2000
    """Characters of a message or hint; names from files may be as long as the file."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str,
        model: str | None = None,
        stage: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = _shortened(message, self.longest)
        self.hint = _shortened(hint, self.longest)
        self.code = code
        self.model = model
        self.stage = stage


class RequestError(CompauditError):
    """The request was wrong: usage, config, a file, or models and data that do not fit (exit 2)."""

    exit_code = ExitCode.BAD_REQUEST


class MeasurementError(CompauditError):
    """A model crashed, hung, ran out of memory or produced nothing usable (exit 4)."""

    exit_code = ExitCode.MEASUREMENT_DIED


class InternalError(CompauditError):
    """A bug in compaudit itself, met in a worker process (exit 70)."""

    exit_code = ExitCode.BUG
    longest = None  # its message is a traceback


class Interrupted(BaseException):
    """SIGTERM arrived. A BaseException, as KeyboardInterrupt is: no handler may swallow it."""
