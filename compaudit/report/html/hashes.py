"""What it takes beside the command to run several models again: files by their hashes, the data."""

from __future__ import annotations

from collections.abc import Iterator

from compaudit.report.rows.base import Section, columns
from compaudit.results import Benchmark, Ranking
from compaudit.units import NOT_MEASURED

__all__ = ["hashes_section"]


def hashes_section(report: Ranking | Benchmark) -> Section:
    """Every model by its content, the data and the seed."""
    data = report.data
    rows = [(name, f"{path}, SHA-256 {sha or NOT_MEASURED}") for name, path, sha in _models(report)]
    if data is not None:
        rows += [
            ("data", data.uri or "SYNTHETIC inputs"),
            ("its digest", data.digest),
            ("seed", str(data.seed)),
        ]
    rows += [(report.tool.name, report.tool.version), ("written", report.created_at)]
    return Section("How to reproduce", columns("", "value", words="last"), tuple(rows))


def _models(report: Ranking | Benchmark) -> Iterator[tuple[str, str, str | None]]:
    """A name, the path and the hash of each."""
    if isinstance(report, Benchmark):
        for one, model in zip(report.settings[0].models, report.models, strict=True):
            yield one.model, model.path, model.sha256
        return
    yield "original", report.original.path, report.original.sha256
    for candidate in report.candidates:
        counted = candidate.compressed
        yield candidate.label, candidate.path, None if counted is None else counted.sha256
