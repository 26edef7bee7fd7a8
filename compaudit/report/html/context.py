"""Where an audit ran, and what it takes to run it again."""

from __future__ import annotations

from compaudit.report.rows.base import Section, columns
from compaudit.results import Comparison, Ranking
from compaudit.units import NOT_MEASURED, format_bytes, format_count

__all__ = ["environment_section", "reproduction_section"]


def environment_section(report: Comparison | Ranking) -> Section:
    """The machine and the software."""
    found = report.environment
    steal, quota = found.steal_percent, found.cpu_quota
    rows = (
        ("system", found.os),
        ("processor", found.cpu),
        ("instruction sets", ", ".join(found.instruction_sets) or NOT_MEASURED),
        ("physical cores", format_count(found.physical_cores)),
        ("usable cores", format_count(found.usable_cores)),
        ("CPU quota", "none" if quota is None else f"{quota:g}"),
        ("governor", found.governor or NOT_MEASURED),
        ("load average", ", ".join(f"{one:.2f}" for one in found.load_average) or NOT_MEASURED),
        ("steal", NOT_MEASURED if steal is None else f"{steal:.1f} %"),
        ("memory", format_bytes(found.memory_bytes)),
        ("devices", ", ".join(found.devices)),
        ("providers", ", ".join(found.providers)),
    )
    return Section("Environment", columns("", "found", words="last"), rows)


def reproduction_section(report: Comparison) -> Section:
    """The command, the versions, the seed and the hashes."""
    data = report.data
    rows = [
        ("command", report.command),
        ("written", report.created_at),
        (report.tool.name, report.tool.version),
        ("Python", report.environment.python),
        *report.environment.packages.items(),
        ("SHA-256 of the original", report.original.sha256 or NOT_MEASURED),
        ("SHA-256 of the compressed", report.compressed.sha256 or NOT_MEASURED),
    ]
    if data is not None:
        rows += [("digest of the data", data.digest), ("seed", str(data.seed))]
    return Section("How to reproduce", columns("", "value", words="last"), tuple(rows))
