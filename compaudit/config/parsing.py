"""The values of options, from their text."""

from __future__ import annotations

from collections.abc import Iterable

from compaudit import units
from compaudit.config.checks import did_you_mean
from compaudit.config.settings import MEASUREMENTS, Measurement
from compaudit.errors import RequestError

__all__ = ["parse_mapping", "parse_shapes", "parse_with_unit", "select_measurements"]


def select_measurements(only: Iterable[str], skip: Iterable[str]) -> tuple[Measurement, ...]:
    """The measurements left by ``--only`` and ``--skip``, each a comma-separated list.

    Raises:
        RequestError: an unknown name, or nothing left to measure.
    """
    wanted, unwanted = _measurement_names("only", only), _measurement_names("skip", skip)
    selected = tuple(
        name for name in MEASUREMENTS if (not wanted or name in wanted) and name not in unwanted
    )
    if not selected:
        raise RequestError(
            "--only and --skip together leave nothing to measure",
            hint=f"leave at least one of: {', '.join(MEASUREMENTS)}",
            code="nothing-to-measure",
        )
    return selected


def _measurement_names(option: str, values: Iterable[str]) -> set[str]:
    given = list(values)
    names = {name.strip() for value in given for name in value.split(",") if name.strip()}
    if given and not names:
        raise RequestError(
            f"--{option} names no measurement",
            hint=f"choose from: {', '.join(MEASUREMENTS)}",
            code="unknown-measurement",
        )
    for name in sorted(names - set(MEASUREMENTS)):
        raise RequestError(
            f"--{option} names an unknown measurement {name!r}",
            hint=did_you_mean(name, MEASUREMENTS),
            code="unknown-measurement",
        )
    return names


def parse_mapping(option: str, values: Iterable[str]) -> dict[str, str]:
    """``A=B`` options as a dictionary.

    Raises:
        RequestError: anything else, or two values for one name.
    """
    mapping: dict[str, str] = {}
    for value in values:
        key, equals, target = value.partition("=")
        if not equals or not key or not target:
            raise RequestError(
                f"--{option} {value!r} is not of the form A=B",
                hint=f"for example --{option} {key or 'a'}=b",
                code="bad-option",
            )
        if mapping.get(key, target) != target:
            raise RequestError(
                f"--{option} gives {key!r} two values: {mapping[key]} and {target}",
                hint="leave one of them out"
                + (f"; {_for_one(option)} are for one model each" if _is_common(option) else ""),
                code="contradicting-options",
            )
        mapping[key] = target
    return mapping


def _is_common(option: str) -> bool:
    return not option.startswith(("original-", "compressed-"))


def _for_one(option: str) -> str:
    return f"--original-{option} and --compressed-{option}"


def parse_shapes(values: Iterable[str], option: str = "input-shape") -> dict[str, tuple[int, ...]]:
    """``NAME=1x3x224x224`` options as shapes. Raises RequestError for anything else."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, text in parse_mapping(option, values).items():
        sizes = text.split("x") if text != "scalar" else []
        if not all(size.isascii() and size.isdigit() and int(size) > 0 for size in sizes):
            raise RequestError(
                f"--{option} {name}={text} is not a shape",
                hint=f"sizes above zero with an x between, such as {name}=1x3x224x224",
                code="bad-option",
            )
        shapes[name] = tuple(int(size) for size in sizes)
    return shapes


def parse_with_unit(option: str, text: str | None) -> float | None:
    """``30s``, ``3%`` or ``2 GiB`` as a number in SI units, by what the option means.

    Raises:
        RequestError: not a number, or a unit that this option does not take.
    """
    if text is None:
        return None
    parse = {
        "time-budget": units.parse_duration,
        "timeout": units.parse_duration,
        "memory-limit": units.parse_bytes,
    }.get(option, units.parse_share)
    try:
        return parse(text)
    except ValueError as error:
        examples = {units.parse_duration: "30s", units.parse_bytes: "2GiB"}
        raise RequestError(
            f"--{option}: {error}",
            hint=f"for example --{option} {examples.get(parse, '3%')}",
            code="bad-option",
        ) from error
