"""Where an audit ran, and what it takes to run it again."""

from __future__ import annotations

from compaudit.report.rows.base import Section, columns
from compaudit.results import Comparison, Environment
from compaudit.units import NOT_MEASURED, format_bytes, format_count

__all__ = ["environment_section", "reproduction_section"]


def environment_section(found: Environment) -> Section:
    """The machine and the software."""
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
        ("devices", ", ".join(found.devices) or NOT_MEASURED),
        ("providers", ", ".join(found.providers) or NOT_MEASURED),
        ("Python", found.python),
        *found.packages.items(),
    )
    return Section("Environment", columns("", "found", words="last"), rows)


def reproduction_section(report: Comparison) -> Section:
    """What it takes beside the command: the files by their hashes, the data, the seed."""
    data = report.data
    rows = [
        ("original", report.original.path),
        ("its SHA-256", report.original.sha256 or NOT_MEASURED),
        ("compressed", report.compressed.path),
        ("its SHA-256", report.compressed.sha256 or NOT_MEASURED),
    ]
    if data is not None:
        rows += [
            ("data", data.uri or "SYNTHETIC inputs"),
            ("its digest", data.digest),
            ("samples", format_count(data.samples)),
            ("seed", str(data.seed)),
        ]
    rows += [(report.tool.name, report.tool.version), ("written", report.created_at)]
    return Section("How to reproduce", columns("", "value", words="last"), tuple(rows))
