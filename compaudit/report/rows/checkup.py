"""The wording of a look at the machine."""

from __future__ import annotations

from compaudit.report.rows.base import Note, Page, Section, columns
from compaudit.results import Checkup, Noise
from compaudit.units import (
    NOT_MEASURED,
    format_bytes,
    format_change,
    format_interval,
    format_seconds,
    format_share,
)

__all__ = ["checkup_page"]


def checkup_page(report: Checkup) -> Page:
    """The page of ``compaudit doctor``."""
    environment = report.environment
    software = (("python", environment.python), *environment.packages.items())
    sections = [
        Section("Machine", columns("", "found", words="last"), _machine(report)),
        Section("Now", columns("", "found", words="last"), _activity(report)),
        Section("Software", columns("", "version", words="last"), software),
    ]
    if report.noise is not None:
        sections.append(
            Section(
                "A model against itself", columns("", "found", words="last"), _noise(report.noise)
            )
        )
    return Page(
        title="compaudit doctor",
        subtitle="",
        verdict=(),
        sections=tuple(sections),
        findings=(),
        checks=(),
        footnotes=tuple(Note("advice", text) for text in report.advice),
    )


def _machine(report: Checkup) -> tuple[tuple[str, str], ...]:
    environment = report.environment
    cores = f"{environment.usable_cores} usable"
    if environment.physical_cores is not None:
        cores += f", {environment.physical_cores} physical"
    if report.hyperthreads is not None:
        cores += ", hyperthreads" if report.hyperthreads else ", no hyperthreads"
    if environment.cpu_quota is not None:
        cores += f", quota {environment.cpu_quota:g}"
    elsewhere = (f"{name} {count}" for name, count in report.framework_threads.items())
    settings = (f"{name}={value}" for name, value in report.thread_settings.items())
    return (
        ("system", environment.os),
        ("processor", environment.cpu),
        ("instructions", ", ".join(environment.instruction_sets) or NOT_MEASURED),
        ("cores", cores),
        ("threads by default", f"{report.threads} for each model"),
        ("threads without us", ", ".join(elsewhere) or NOT_MEASURED),
        ("thread settings", ", ".join(settings) or "none"),
        ("memory", format_bytes(environment.memory_bytes)),
        ("memory of a worker", f"at most {format_bytes(report.memory_limit_bytes)}"),
        ("governor", environment.governor or NOT_MEASURED),
        (
            "clock",
            f"{report.clock_source or 'the usual source'}, "
            f"steps of {format_seconds(report.clock_resolution_s)}",
        ),
        ("devices", ", ".join(environment.devices)),
        ("providers", ", ".join(environment.providers) or "none"),
        ("timing lock", report.timing_lock or "none"),
    )


def _activity(report: Checkup) -> tuple[tuple[str, str], ...]:
    environment = report.environment
    now, since = report.steal_percent_now, environment.steal_percent
    stolen = [] if now is None else [f"{now:.1f} % now"]
    stolen += [] if since is None else [f"{since:g} % since boot"]
    throttled = []
    if report.throttled_s is not None:
        seconds = format_seconds(report.throttled_s) if report.throttled_s else "never"
        throttled.append(f"by quota {seconds}")
    if report.thermal_throttles is not None:
        throttled.append(f"by heat {report.thermal_throttles} times")
    power = {None: NOT_MEASURED, True: "battery", False: "mains"}
    return (
        ("processors busy", f"{report.busy_percent:.0f} %"),
        ("load", ", ".join(f"{load:.2f}" for load in environment.load_average)),
        ("stolen by others", ", ".join(stolen) or NOT_MEASURED),
        ("slowed down", ", ".join(throttled) or NOT_MEASURED),
        ("power", power[report.on_battery]),
    )


def _noise(noise: Noise) -> tuple[tuple[str, str], ...]:
    delta = noise.delta
    interval = format_interval(
        None if delta.low is None else format_change(delta.low - 1),
        None if delta.high is None else format_change(delta.high - 1),
    )
    return (
        ("model", f"{noise.model}, {format_seconds(noise.call_s)} a call"),
        ("timed", f"{format_seconds(noise.used_s)}, {delta.epochs} epochs"),
        ("δ − 1 (truly 0)", f"{format_change(delta.value - 1)} {interval}".strip()),
        ("verdict", delta.verdict.replace("_", " ")),
        ("spread of epochs", _share(noise.epoch_spread)),
        ("noise floor", _share(delta.noise_floor)),
        ("detectable in this time", _share(delta.minimal_detectable_effect)),
        ("resolved in 30 s", _share(noise.resolvable)),
    )


def _share(value: float | None) -> str:
    return NOT_MEASURED if value is None else format_share(value)
