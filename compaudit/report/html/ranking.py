"""What it takes to run a ranking again: the files by their hashes, the data and the seed."""

from __future__ import annotations

from compaudit.report.rows.base import Section, columns
from compaudit.results import Ranking
from compaudit.units import NOT_MEASURED

__all__ = ["hashes_section"]


def hashes_section(report: Ranking) -> Section:
    """The command, what it was run with, and every model by its content."""
    data = report.data
    rows = [
        ("command", report.command),
        ("written", report.created_at),
        (report.tool.name, report.tool.version),
        ("Python", report.environment.python),
        *report.environment.packages.items(),
        ("original", _named(report.original.path, report.original.sha256)),
    ]
    for one in report.candidates:
        sha256 = None if one.compressed is None else one.compressed.sha256
        rows.append((one.label, _named(one.path, sha256)))
    if data is not None:
        rows += [("digest of the data", data.digest), ("seed", str(data.seed))]
    return Section("How to reproduce", columns("", "value", words="last"), tuple(rows))


def _named(path: str, sha256: str | None) -> str:
    return f"{path}, SHA-256 {sha256 or NOT_MEASURED}"
