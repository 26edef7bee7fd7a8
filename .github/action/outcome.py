"""What became of an audit, as outputs of a step: ``outcome.py REPORTS CODE STDERR``.

Where nothing could be measured there is no report; then it writes an annotation, and a page that
says so to the step's summary and as ``report.md``, so that a comment of an earlier run does not
stay. Only the standard library: it also speaks of a compaudit that does not start.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

MARKER = "<!-- compaudit -->"
"""The first line of every Markdown report."""
_ERRORS = {2: "the request was wrong", 70: "a bug in compaudit", 130: "interrupted"}
_FIGURES = {
    "alpha-file-bytes": ("alpha", "file_bytes"),
    "alpha-weight-bytes": ("alpha", "weight_bytes"),
    "delta": ("delta", "value"),
    "delta-low": ("delta", "low"),
    "delta-high": ("delta", "high"),
    "accuracy-top1-delta": ("accuracy", "top1", "delta", "value"),
}
_SHOWN_LINES = 60


def main(reports: Path, code: int, stderr: str) -> None:
    """Write the outputs, and where there is no report what went wrong."""
    document = _document(reports / "report.json")
    if document is None:
        _tell_failure(reports / "report.md", code, stderr)
    outputs = {
        "exit-code": str(code),
        "verdict": _verdict(document, code),
        "reports": str(reports),
        **{name: _text(_at(document, path)) for name, path in _FIGURES.items()},
    }
    files = {"report": "json", "markdown": "md", "junit": "xml", "html": "html"}
    for name, suffix in files.items():
        path = reports / f"report.{suffix}"
        outputs[name] = str(path) if path.is_file() else ""
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as stream:
        for name, value in outputs.items():
            end = uuid4().hex  # so that no value can end itself and begin another output
            stream.write(f"{name}<<{end}\n{value}\n{end}\n")


def _document(path: Path) -> dict[str, Any] | None:
    """The JSON report; None where there is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _verdict(document: dict[str, Any] | None, code: int) -> str:
    """The gate's status; ``error`` for every exit code that is no verdict."""
    status = _at(document, ("gate", "status"))
    return str(status) if status is not None and code in (0, 1, 3) else "error"


def _at(document: Any, path: tuple[str, ...]) -> Any:
    """The value at this path; None where the way to it ends."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _text(value: float | None) -> str:
    return "" if value is None else repr(value)


def _tell_failure(page: Path, code: int, stderr: str) -> None:
    lines = [_shown(line) for line in stderr.splitlines()]
    told = [line for line in lines if line.startswith(("error: ", "hint: "))]
    title = _ERRORS.get(code, "nothing could be measured")
    message = "\n".join(told or lines[-1:]) or f"compaudit ended with exit code {code}"
    sys.stdout.write(f"::error title=compaudit%3A {title}::{_encoded(message)}\n")
    text = "\n".join(lines[-_SHOWN_LINES:]) or message
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=2))
    body = f"{MARKER}\n## ❌ compaudit: {title} (exit code {code})\n\n{fence}\n{text}\n{fence}\n"
    page.write_text(body, encoding="utf-8")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as stream:
            stream.write(body)


def _encoded(message: str) -> str:
    """A message as the value of a workflow command."""
    return message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _shown(line: str) -> str:
    """A line without control characters, and of bearable length."""
    return "".join(letter for letter in line[:2_000] if letter.isprintable())


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        int(sys.argv[2]),
        Path(sys.argv[3]).read_text(encoding="utf-8", errors="replace"),
    )
