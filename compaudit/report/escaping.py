"""Text as it is, in Markdown and in HTML: names from files mark nothing up and call nobody."""

from __future__ import annotations

import re

from compaudit.units import without_controls

__all__ = ["as_html", "as_markdown", "as_paragraph"]

_APART = "&#8203;"
"""A zero-width space: GitHub looks for mentions and references in the text that it shows, where
escapes are gone already."""
_CALLS = re.compile(
    r"(?P<before>"
    r"@(?=[A-Za-z0-9])"
    r"|#(?=\d)"
    r"|\bGH(?=-\d)"
    r"|:(?=//)"
    r"|\bwww(?=\.)"
    r"|:(?=[A-Za-z0-9_+-]+:)"
    r")",
    re.IGNORECASE,
)
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_MARKS = {"\\": "&#92;", "|": "&#124;", "$": "&#36;"} | {mark: f"\\{mark}" for mark in "*`[]~#"}
# Within a word an underscore marks nothing up, and names with them stay readable.
_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_LIST = re.compile(r"^(\d{1,9})([.)])|^([-+=])")
_HIDDEN = "\0"


def as_markdown(text: str) -> str:
    """The text on one line of GitHub-flavoured Markdown, in a cell of a table too."""
    text = _called(text)
    marked = "".join(_MARKS.get(letter) or _HTML.get(letter, letter) for letter in text)
    return _UNDERSCORE.sub(r"\\_", marked).replace(_HIDDEN, _APART)


def as_paragraph(text: str) -> str:
    """The text as a paragraph of its own, which is no list either."""
    return _LIST.sub(_no_list, as_markdown(text))


def as_html(text: str) -> str:
    """The text in an HTML element, where Markdown means nothing."""
    escaped = "".join(_HTML.get(letter, letter) for letter in _called(text))
    return escaped.replace(_HIDDEN, _APART)


def _called(text: str) -> str:
    """Printable text on one line, with a NUL behind whatever would become a link."""
    return _CALLS.sub(rf"\g<before>{_HIDDEN}", without_controls(text).strip())


def _no_list(found: re.Match[str]) -> str:
    number, dot, mark = found.groups()
    return f"\\{mark}" if mark else f"{number}\\{dot}"
