"""Rows of a paper, from a CSV file that a person wrote.

The first line names the columns: ``label`` (or ``model``), ``top1``, ``top5``, ``speedup``,
``compression`` with its ``basis``, ``weight_bytes``, ``file_bytes`` and ``source``; also by the
headings of the survey's tables. Shares are ``80.03%`` or ``0.8003``, rates ``1.82`` or ``1.82×``,
bytes ``27 kB``. What is left empty is not known.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

from compaudit.errors import RequestError
from compaudit.results import Published
from compaudit.results.published import Basis
from compaudit.units import parse_bytes, parse_quantity, parse_share

__all__ = ["read_all", "read_published"]

_MOST_BYTES = 1_000_000
_FIGURES = ("top1", "top5", "speedup", "compression", "weight_bytes", "file_bytes")
_COLUMNS = ("label", *_FIGURES, "basis", "source")
_OTHER_NAMES = {
    "model": "label",
    "top_1": "top1",
    "top_5": "top5",
    "top_1_accuracy": "top1",
    "top_5_accuracy": "top5",
    "speed_up": "speedup",
    "compression_rate": "compression",
}
_AN_EXAMPLE = "label,top5,speedup,compression,source"


def read_all(paths: Iterable[str]) -> list[Published]:
    """The rows of several files, one behind the other. Raises RequestError as `read_published`."""
    return [row for path in paths for row in read_published(path)]


def read_published(path: str) -> list[Published]:
    """The rows of a CSV file, in their order.

    Raises:
        RequestError: it cannot be read, or is no such table: which line, which column, and why.
    """
    reader = csv.reader(io.StringIO(_text_of(path), newline=""), strict=True)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise _refused(path, f"line {reader.line_num}: {error}") from error
    lines = [(number, cells) for number, cells in lines if any(cells)]
    if not lines:
        raise _refused(path, "it is empty", f"its first line is, for instance, {_AN_EXAMPLE}")
    (_, heads), *rows = lines
    columns = _columns_of(path, heads)
    if not rows:
        raise _refused(path, "it has a heading and no rows")
    found = [_row(path, number, columns, cells) for number, cells in rows]
    seen: set[tuple[str, str]] = set()
    for (number, _), row in zip(rows, found, strict=True):
        if (row.label, row.source) in seen:
            raise _refused(path, f"line {number}: {row.label!r} is there twice")
        seen.add((row.label, row.source))
    return found


def _text_of(path: str) -> str:
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error
    if len(content) > _MOST_BYTES:
        raise _refused(path, "it has more than 1 MB, which no paper's table has")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(path, "it is not UTF-8", "save it as CSV UTF-8") from error


def _columns_of(path: str, heads: list[str]) -> list[str]:
    if len(heads) == 1 and re.search("[;\t|]", heads[0]):
        raise _refused(path, "its columns are not separated by commas", f"such as {_AN_EXAMPLE}")
    columns = []
    for head in heads:
        key = re.sub(r"[\s\-]+", "_", head.lower())
        key = _OTHER_NAMES.get(key, key)
        if key not in _COLUMNS:
            raise _refused(path, f"the column {head!r} is not known", _close_to(key))
        if key in columns:
            raise _refused(path, f"the column {key} is there twice")
        columns.append(key)
    if "label" not in columns:
        raise _refused(path, "it lacks the column label", f"such as {_AN_EXAMPLE}")
    if not set(_FIGURES) & set(columns):
        raise _refused(path, "it has no column of figures", f"known: {', '.join(_FIGURES)}")
    return columns


def _row(path: str, number: int, columns: list[str], cells: list[str]) -> Published:
    if len(cells) != len(columns):
        raise _refused(
            path,
            f"line {number}: {len(cells)} cells under {len(columns)} columns",
            'a cell with a comma in it stands in quotes: "Han et al. 2016, Table 1"',
        )
    row: dict[str, Any] = dict.fromkeys(_COLUMNS)
    row["source"] = ""
    for key, cell in zip(columns, cells, strict=True):
        if cell:
            try:
                row[key] = _READ[key](cell)
            except ValueError as error:
                raise _refused(path, f"line {number}, {key}: {error}") from error
    if row["label"] is None:
        raise _refused(path, f"line {number}: it has no label")
    if row["basis"] is not None and row["compression"] is None:
        raise _refused(path, f"line {number}: a basis without a compression")
    return Published(**row)


def _share(text: str) -> float:
    value = parse_share(text)
    if not 0 <= value <= 1:
        raise ValueError(f"{text} is no share of one: write 80.03% or 0.8003")
    return value


def _rate(text: str) -> float:
    number = text[:-1].rstrip() if text[-1:] in ("x", "×") else text
    if number[-1:].isalpha() or number[-1:] == "%":
        raise ValueError(f"{text} is no rate: write 1.82 or 1.82×")
    value = parse_quantity(number)
    if value <= 0:
        raise ValueError(f"{text} is no rate, for a rate is above zero")
    return value


def _bytes(text: str) -> int:
    value = parse_bytes(text.replace(",", ""))
    if value == 0:
        raise ValueError("no model takes 0 bytes")
    return value


def _basis(text: str) -> str:
    known = get_args(Basis)
    if text not in known:
        raise ValueError(f"{text!r} is no basis of α; known: {', '.join(known)}")
    return text


_READ: dict[str, Callable[[str], object]] = {
    "label": str,
    "source": str,
    "basis": _basis,
    "top1": _share,
    "top5": _share,
    "speedup": _rate,
    "compression": _rate,
    "weight_bytes": _bytes,
    "file_bytes": _bytes,
}


def _close_to(key: str) -> str:
    import difflib

    close = difflib.get_close_matches(key, [*_COLUMNS, *_OTHER_NAMES], n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(_COLUMNS)}"


def _refused(path: str, why: str, hint: str = "") -> RequestError:
    return RequestError(
        f"cannot take published figures from {path}: {why}",
        hint=hint or "its columns are described in the README, at --published",
        code="bad-published",
    )
