"""The wording of a look at the machine."""

from __future__ import annotations

from compaudit.report.rows.base import Note, Page, Section
from compaudit.results import Checkup
from compaudit.units import NOT_MEASURED, format_bytes, format_seconds

__all__ = ["checkup_page"]


def checkup_page(report: Checkup) -> Page:
    """The page of ``compaudit doctor``."""
    environment = report.environment
    cores = f"{environment.usable_cores} usable"
    if environment.physical_cores is not None:
        cores += f", {environment.physical_cores} physical"
    if environment.cpu_quota is not None:
        cores += f", quota {environment.cpu_quota:g}"
    steal = environment.steal_percent
    machine = (
        ("system", environment.os),
        ("processor", environment.cpu),
        ("cores", cores),
        ("threads by default", f"{report.threads} for each model"),
        ("memory", format_bytes(environment.memory_bytes)),
        ("load", ", ".join(f"{load:.2f}" for load in environment.load_average)),
        ("stolen by others", NOT_MEASURED if steal is None else f"{steal:g} % since boot"),
        ("governor", environment.governor or NOT_MEASURED),
        ("clock resolution", format_seconds(report.clock_resolution_s)),
        ("devices", ", ".join(environment.devices)),
        ("providers", ", ".join(environment.providers) or "none"),
    )
    software = (("python", environment.python), *environment.packages.items())
    return Page(
        title="compaudit doctor",
        subtitle="",
        verdict=(),
        sections=(
            Section("Machine", ("", "found"), machine),
            Section("Software", ("", "version"), software),
        ),
        findings=(),
        checks=(),
        footnotes=tuple(Note("advice", text) for text in report.advice),
    )
