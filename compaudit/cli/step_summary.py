"""The summary of a step on GitHub: Markdown at the end of the file that the runner names."""

from __future__ import annotations

import os
from pathlib import Path

from compaudit.cli.output import say_error
from compaudit.report import View, render
from compaudit.results import Report

__all__ = ["append_summary"]

_VARIABLE = "GITHUB_STEP_SUMMARY"
_MOST_BYTES = 1024 * 1024
"""GitHub shows nothing of a step that wrote more."""


def append_summary(report: Report, view: View | None = None) -> None:
    """Append the report where a runner wants it; what goes wrong is said and changes nothing."""
    path = os.environ.get(_VARIABLE)
    if not path:
        return
    text = render(report, "markdown", view=view)
    try:
        written = Path(path).stat().st_size if Path(path).exists() else 0
        if written + len(text) + 1 > _MOST_BYTES:
            say_error(f"the step's summary is full: {path} would be larger than 1 MiB", "use -o")
            return
        with Path(path).open("ab") as stream:
            stream.write(b"\n" + text if written else text)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        say_error(f"cannot write the step's summary {path}: {reason}", f"unset {_VARIABLE}")
