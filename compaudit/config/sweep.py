"""What ``compaudit bench`` was asked for: models, and the settings that each is timed at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, NamedTuple

import msgspec

from compaudit.config.checks import check_device, check_whole
from compaudit.config.settings import MOST_THREADS, Config
from compaudit.errors import RequestError

__all__ = ["Setting", "Sweep", "parse_names", "parse_numbers"]

_MOST_SETTINGS = 1000
"""Each takes seconds; a mistyped list would take days."""


class Setting(NamedTuple):
    """How models are run, all of them at once; None takes the machine's default of threads."""

    device: str
    threads: int | None
    batch_size: int


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """Models and the settings to time them at.

    Attributes:
        models: the first is what the others are compared with.
        devices: in the order asked for.
        threads: ascending; empty for the machine's default.
        batch_sizes: ascending.
        common: everything else, which holds at every setting. Its `time_budget_s` is for one.
    """

    models: tuple[str, ...]
    devices: tuple[str, ...]
    threads: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    common: Config

    def __post_init__(self) -> None:
        for device in self.devices:
            check_device(device)
        for count in self.threads:
            check_whole("threads", count, 1, MOST_THREADS)
        for size in self.batch_sizes:
            check_whole("batch-size", size, 1, 2**31 - 1)
        if len(self) > _MOST_SETTINGS:
            raise RequestError(
                f"{len(self):,} settings are more than anybody waits for",
                hint="shorten --device, --threads or --batch-size",
                code="too-many-settings",
            )

    def __iter__(self) -> Iterator[Setting]:
        """Every setting: devices, then threads, then batch sizes."""
        threads: tuple[int | None, ...] = self.threads or (None,)
        return map(Setting._make, product(self.devices, threads, self.batch_sizes))

    def __len__(self) -> int:
        return len(self.devices) * max(1, len(self.threads)) * len(self.batch_sizes)

    def as_json(self) -> dict[str, Any]:
        """The settings for the report."""
        return {
            **self.common.as_json(),
            "models": list(self.models),
            "devices": list(self.devices),
            "threads": list(self.threads),
            "batch_sizes": list(self.batch_sizes),
        }


def parse_numbers(option: str, text: str) -> tuple[int, ...]:
    """``1,8,32`` as numbers, ascending, each once. Raises RequestError for anything else."""
    names = parse_names(option, [text])
    if not all(name.isascii() and name.isdigit() and int(name) > 0 for name in names):
        raise RequestError(
            f"--{option} {text!r} is no list of whole numbers above zero",
            hint=f"for example --{option} 1,8,32",
            code="bad-option",
        )
    return tuple(sorted({int(name) for name in names}))


def parse_names(option: str, values: Iterable[str]) -> tuple[str, ...]:
    """``cpu,cuda`` as names, each once. Raises RequestError where there is none."""
    names = [name.strip() for value in values for name in value.split(",")]
    if not names or not all(names):
        raise RequestError(
            f"--{option} is a list with an empty place",
            hint=f"separate what --{option} lists by single commas",
            code="bad-option",
        )
    return tuple(dict.fromkeys(names))
