"""What to change on this machine: a closed list, and each says what to do."""

from __future__ import annotations

from collections.abc import Callable

from compaudit.machine.instructions import INT8
from compaudit.results import Checkup
from compaudit.units import format_seconds, format_share

__all__ = ["ADVICE", "advise"]

_BUSY_PERCENT = 25.0
_BUSY_LOAD = 0.5
_STOLEN_PERCENT = 2.0
_COARSE_CLOCK_S = 1e-6
_SLOW_CLOCKS = ("acpi_pm", "hpet", "jiffies", "refined-jiffies", "pit")
_FINE = 0.05
"""The equivalence margin: who cannot resolve it cannot say "no change" either."""


def advise(found: Checkup) -> list[str]:
    """Everything that applies, in the order of the list below."""
    return [text for advice in ADVICE if (text := advice(found)) is not None]


def _no_onnxruntime(found: Checkup) -> str | None:
    if found.environment.providers:
        return None
    return "to run ONNX models: pip install 'compaudit[cpu]', or [gpu] for CUDA"


def _no_torch(found: Checkup) -> str | None:
    if "torch" in found.environment.packages:
        return None
    return "to run PyTorch models: pip install 'compaudit[torch]'"


def _busy(found: Checkup) -> str | None:
    load, cores = found.environment.load_average[0], found.environment.usable_cores
    if found.busy_percent <= _BUSY_PERCENT and load <= cores * _BUSY_LOAD:
        return None
    return (
        f"other programs are at work (processors {found.busy_percent:.0f} % busy, load {load:.2f}):"
        " end them or wait, a quieter machine gives narrower intervals"
    )


def _stolen(found: Checkup) -> str | None:
    stolen = max(found.steal_percent_now or 0.0, found.environment.steal_percent or 0.0)
    if stolen <= _STOLEN_PERCENT:
        return None
    return (
        f"the hypervisor gives {stolen:.1f} % of this machine's time to others: time on a "
        "dedicated instance, or give a longer --time-budget"
    )


def _quota(found: Checkup) -> str | None:
    quota = found.environment.cpu_quota
    if quota is None:
        return None
    stopped = f", {format_seconds(found.throttled_s)} so far" if found.throttled_s else ""
    return (
        f"this container's quota of {quota:g} processors stops models in the middle of a "
        f"call{stopped}: give it whole processors instead (docker run --cpuset-cpus)"
    )


def _one_core(found: Checkup) -> str | None:
    if found.environment.usable_cores > 1:
        return None
    return (
        "there is one core for the model and for everything else: time on a machine, or in a "
        "container, with two or more"
    )


def _governor(found: Checkup) -> str | None:
    governor = found.environment.governor
    if governor in (None, "performance"):
        return None
    return (
        f"the {governor!r} governor changes the clock rate while timing: choose 'performance' "
        "(sudo cpupower frequency-set -g performance)"
    )


def _battery(found: Checkup) -> str | None:
    if not found.on_battery:
        return None
    return "this machine runs on its battery, and slowly: plug it in"


def _heat(found: Checkup) -> str | None:
    if not found.thermal_throttles:
        return None
    return (
        f"heat has slowed the processor down {found.thermal_throttles} times since it was "
        "started: let it cool between audits, or use fewer --threads"
    )


def _hyperthreads(found: Checkup) -> str | None:
    if not found.hyperthreads:
        return None
    return (
        "two logical processors share a core: give --threads at most the number of physical "
        f"cores ({found.environment.physical_cores})"
    )


def _threads_elsewhere(found: Checkup) -> str | None:
    counts = {
        name: value for name, value in found.thread_settings.items() if name.endswith("_THREADS")
    }
    if not counts:
        return None
    settings = ", ".join(f"{name}={value}" for name, value in counts.items())
    return (
        f"{settings} is not what models get here, they get {found.threads}: to time them as "
        "you run them, give --threads"
    )


def _slow_int8(found: Checkup) -> str | None:
    known = set(found.environment.instruction_sets)
    if not known or known & INT8:
        return None
    return (
        "this processor has no instructions for int8 (VNNI, AMX, dotprod, i8mm), so that int8 "
        "models may be slower than float32 here: time them on the kind of processor they will "
        "run on"
    )


def _clock(found: Checkup) -> str | None:
    if found.clock_source in _SLOW_CLOCKS:
        return (
            f"Linux reads the time from {found.clock_source!r}, which is slow: boot with "
            "clocksource=tsc where the processor allows it"
        )
    if found.clock_resolution_s <= _COARSE_CLOCK_S:
        return None
    return (
        f"the clock moves in steps of {format_seconds(found.clock_resolution_s)}: give small "
        "models a larger --batch-size"
    )


def _no_lock(found: Checkup) -> str | None:
    if found.timing_lock is not None:
        return None
    return (
        "audits at the same time cannot wait for one another: point XDG_RUNTIME_DIR or TMPDIR to "
        "a folder that can be written"
    )


def _false_alarm(found: Checkup) -> str | None:
    if found.noise is None or found.noise.delta.verdict not in ("faster", "slower", "invalid"):
        return None
    return (
        "the same model was found to differ from itself: trust no speed-up from this machine as "
        "it is now; end other programs, use fewer --threads, and run doctor --noise again"
    )


def _coarse(found: Checkup) -> str | None:
    if found.noise is None:
        return None
    effect = found.noise.resolvable
    if effect is not None and effect <= _FINE:
        return None
    found_then = "nothing" if effect is None else f"only changes above {format_share(effect)}"
    return (
        f"30 s of timing find {found_then} here: a --time-budget four times as long halves that, "
        "and so may fewer --threads or a quieter machine"
    )


def _never_steady(found: Checkup) -> str | None:
    if found.noise is None or found.noise.steady:
        return None
    return (
        "a call of the built-in model took another time again and again: look for what changes "
        "the processor's rate (heat, energy saving, a burstable instance) and switch it off"
    )


ADVICE: tuple[Callable[[Checkup], str | None], ...] = (
    _no_onnxruntime,
    _no_torch,
    _busy,
    _stolen,
    _quota,
    _one_core,
    _governor,
    _battery,
    _heat,
    _hyperthreads,
    _threads_elsewhere,
    _slow_int8,
    _clock,
    _no_lock,
    _false_alarm,
    _coarse,
    _never_steady,
)
