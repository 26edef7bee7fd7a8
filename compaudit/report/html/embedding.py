"""The report's JSON inside its page: for people to save, and for programs to find."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass

from compaudit.results import Report, encode_report

__all__ = ["Embedded", "embed"]

_LONGEST_PLAIN = 300_000
"""Longer JSON (thousands of layers, raw times) would make the page heavy to send."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """The content of a script element that is data.

    `type` is ``application/json``, or ``application/gzip`` for JSON that is packed and in base64.
    """

    type: str
    text: str


def embed(report: Report) -> Embedded:
    """The same JSON value that a file would hold, without a letter that could end its element."""
    value = json.loads(encode_report(report))
    text = json.dumps(value, separators=(",", ":"))  # ASCII: escapes U+2028 too
    text = text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")
    if len(text) <= _LONGEST_PLAIN:
        return Embedded("application/json", text)
    packed = gzip.compress(text.encode("ascii"), 9, mtime=0)
    return Embedded("application/gzip", base64.b64encode(packed).decode("ascii"))
