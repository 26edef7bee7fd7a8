"""What every document begins with, and the document that holds nothing else: a failed request."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from compaudit.errors import CompauditError, ExitCode, most_serious
from compaudit.results import SCHEMA_VERSION, ErrorReport, Failure, Tool
from compaudit.version import __version__

__all__ = ["envelope", "error_report", "gravest"]


def envelope(command: str, error: CompauditError | None) -> dict[str, Any]:
    """The first keys of a document, as keyword arguments of its type."""
    failure = None
    if error is not None:
        failure = Failure(
            code=error.code,
            exit=int(error.exit_code),
            message=_encodable(error.message),
            hint=_encodable(error.hint),
            model=error.model,
            stage=error.stage,
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": Tool(name="compaudit", version=__version__),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "error": failure,
    }


def _encodable(text: str) -> str:
    """Text for JSON: what a file name that is not UTF-8 left in it becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def error_report(error: CompauditError, command: str) -> ErrorReport:
    """The document of a request that failed before anything was measured."""
    return ErrorReport(**envelope(command, error))


def gravest(errors: Sequence[CompauditError]) -> CompauditError | None:
    """The error whose exit code wins; the earliest of several."""
    worst: ExitCode = most_serious(error.exit_code for error in errors)
    return next((error for error in errors if error.exit_code == worst), None)
