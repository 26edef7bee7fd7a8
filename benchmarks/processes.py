"""Whole commands, timed from outside and interleaved, and the memory each took at its peak."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Command", "Cost", "measure"]

_POLL_S = 0.002
_LIMIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: its name in the tables, its arguments, its folder, and more environment."""

    name: str
    arguments: Sequence[str]
    folder: Path
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command took.

    Attributes:
        seconds: wall time, the median of the repetitions; None where it failed.
        all_seconds: every repetition.
        cpu_seconds: processor time, its children's too, the median; 0 where it failed.
        peak_bytes: the largest resident set (VmHWM), mapped files included; 0 where unknown.
        anonymous_bytes: the largest of its own memory, seen by polling; without mapped files.
        error: the last line it printed, where it failed.
    """

    seconds: float | None
    all_seconds: tuple[float, ...]
    cpu_seconds: float
    peak_bytes: int
    anonymous_bytes: int
    error: str = ""


def measure(commands: Sequence[Command], repetitions: int) -> dict[str, Cost]:
    """Run every command once for its memory (which also warms the caches), then in turns for time.

    The order turns around with every round, so that no command always follows the same one.
    """
    memory = {command.name: _peaks(command) for command in commands}
    seconds: dict[str, list[float]] = {command.name: [] for command in commands}
    processor: dict[str, list[float]] = {command.name: [] for command in commands}
    errors: dict[str, str] = {}
    for round_ in range(repetitions):
        for command in commands[:: -1 if round_ % 2 else 1]:
            if command.name in errors:
                continue
            began, used = time.perf_counter(), _cpu_seconds()
            result = subprocess.run(
                command.arguments,
                cwd=command.folder,
                env={**os.environ, **command.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_LIMIT_S,
                check=False,
            )
            seconds[command.name].append(time.perf_counter() - began)
            processor[command.name].append(_cpu_seconds() - used)
            if result.returncode:
                lines = result.stderr.decode(errors="replace").strip().splitlines()
                errors[command.name] = lines[-1] if lines else f"exit {result.returncode}"
    return {
        name: Cost(
            None if name in errors else statistics.median(taken),
            tuple(taken),
            0.0 if name in errors else statistics.median(processor[name]),
            *memory[name],
            errors.get(name, ""),
        )
        for name, taken in seconds.items()
    }


def _peaks(command: Command) -> tuple[int, int]:
    """VmHWM and the largest RssAnon of one run; those of a child of its own are not in it."""
    child = subprocess.Popen(
        command.arguments,
        cwd=command.folder,
        env={**os.environ, **command.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    status = Path(f"/proc/{child.pid}/status")
    highest = anonymous = 0
    while child.poll() is None:
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except OSError:
            fields = {}
        # A child that is exiting has no memory left to tell of.
        highest = max(highest, _bytes(fields.get("VmHWM")))
        anonymous = max(anonymous, _bytes(fields.get("RssAnon")))
        time.sleep(_POLL_S)
    return highest, anonymous


def _cpu_seconds() -> float:
    """Of all children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def _bytes(field: str | None) -> int:
    return int(field.split()[0]) * 1024 if field else 0
