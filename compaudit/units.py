"""Numbers to text and text to numbers: the only place where either happens.

kB = 1000 B and KiB = 1024 B; ``%`` is relative, ``pp`` (percentage points) is absolute; latencies
are seconds in data and scaled units in text. What was not measured is shown as an en dash.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Literal

__all__ = [
    "NOT_MEASURED",
    "QUANTITY",
    "Dimension",
    "closest_unit",
    "dimension_of",
    "format_about",
    "format_bytes",
    "format_change",
    "format_clock",
    "format_cosine",
    "format_count",
    "format_decibels",
    "format_interval",
    "format_number",
    "format_part",
    "format_points",
    "format_rate",
    "format_ratio",
    "format_seconds",
    "format_shape",
    "format_share",
    "format_si",
    "formatter_for",
    "parse_bytes",
    "parse_duration",
    "parse_quantity",
    "parse_share",
    "parse_with_dimension",
    "without_controls",
]

NOT_MEASURED = "–"

_DECIMAL = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))

_BYTE_UNITS = {
    "B": 1.0,
    "kB": 1e3,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "TB": 1e12,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
    "TiB": 2.0**40,
}
_TIME_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "\u03bcs": 1e-6,  # the Greek letter, which looks the same as the sign for micro
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "m": 60.0,
    "h": 3600.0,
}
_SHARE_UNITS = {"%": 1e-2, "pp": 1e-2}
_RATE_UNITS = {"x": 1.0, "×": 1.0}
_COUNT_UNITS = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_DECIBELS = {"dB": 1.0}
_LATENCY_UNITS = {unit: size for unit, size in _TIME_UNITS.items() if unit not in ("min", "m", "h")}

Dimension = Literal["bytes", "seconds", "decibels", "number"]
"""What a figure is counted in; shares, rates and counts are numbers."""

_DIMENSIONS: dict[Dimension, dict[str, float]] = {
    "bytes": _BYTE_UNITS,
    "seconds": _LATENCY_UNITS,
    "decibels": _DECIBELS,
    "number": {**_SHARE_UNITS, **_RATE_UNITS, **_COUNT_UNITS},
}
_QUANTITY_UNITS = {unit: size for known in _DIMENSIONS.values() for unit, size in known.items()}
QUANTITY = r"[-+−]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*[A-Za-zµ\u03bc%×]*"
"""A number and its unit, as a regular expression."""
_QUANTITY = re.compile(r"\s*([-+−]?[\d.]+(?:[eE][-+]?\d+)?)\s*(\D*?)\s*")
_RATES = ("alpha", "beta", "space_saving")


def _significant(value: float, digits: int = 3) -> str:
    """`value` with about `digits` significant digits, never in scientific notation below 1e6."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(rounded)))
    return f"{rounded:.{max(0, digits - 1 - exponent)}f}"


def format_number(value: float | None, digits: int = 3) -> str:
    """A bare figure such as a divergence: some digits, scientific when tiny or huge."""
    if value is None:
        return NOT_MEASURED
    if value != 0 and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    return _significant(value, digits)


def format_count(value: float | None) -> str:
    """A whole number with thousands separated: ``149,322``."""
    return NOT_MEASURED if value is None else f"{value:,.0f}"


def format_about(count: float) -> str:
    """A whole number that is only roughly known, rounded up to two digits: ``9,200``."""
    unit = 10 ** max(math.floor(math.log10(max(count, 1))) - 1, 0)
    return format_count(math.ceil(count / unit) * unit)


def format_bytes(value: float | None) -> str:
    """Bytes in decimal units: ``597 kB``."""
    if value is None:
        return NOT_MEASURED
    for size, unit in _DECIMAL:
        # 999.6 kB would be shown as "1000 kB"; the next unit starts where rounding reaches it.
        if abs(value) >= size * 0.9995:
            return f"{_significant(value / size)} {unit}"
    return f"{value:.0f} B"


def format_si(value: float | None) -> str:
    """A large number in decimal steps: ``160 M``, ``4.09 G``."""
    if value is None:
        return NOT_MEASURED
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9995:
            return f"{_significant(value / size)} {unit}"
    return f"{value:.0f}"


def format_seconds(value: float | None) -> str:
    """A duration in the unit that suits it: ``4.31 ms``."""
    if value is None:
        return NOT_MEASURED
    for size, unit in _SECONDS:
        if abs(value) >= size * 0.9995:
            return f"{_significant(value / size)} {unit}"
    return f"{_significant(value / 1e-9)} ns"


def format_rate(value: float | None) -> str:
    """A ratio such as α or δ: ``3.79×``."""
    if value is None:
        return NOT_MEASURED
    if abs(value) >= 1000:
        return f"{value:,.0f}×"
    if abs(value) >= 100:
        return f"{value:.0f}×"
    if 0 < abs(value) < 0.0995:
        return f"{_significant(value, 2)}×"
    return f"{value:.1f}×" if abs(value) >= 10 else f"{value:.2f}×"


def format_ratio(value: float | None) -> str:
    """A ratio near one, such as that of two perplexities, with three decimals: ``1.014×``."""
    return NOT_MEASURED if value is None else f"{value:.3f}×"


def format_cosine(value: float | None) -> str:
    """A cosine; what is not one is never shown as one: ``0.9996``, ``0.9999998``."""
    if value is None:
        return NOT_MEASURED
    if value >= 1:
        return "1"
    for digits in (4, 5, 6, 7):
        text = f"{value:.{digits}f}"
        if float(text) < 1:
            return text.replace("-", "−")
    return ">0.9999999"


def format_share(value: float | None, digits: int = 2) -> str:
    """A share of one as a percentage: ``97.44 %``."""
    return NOT_MEASURED if value is None else f"{value * 100:.{digits}f} %"


def format_decibels(value: float | None) -> str:
    """A ratio of powers: ``38.5 dB``."""
    return NOT_MEASURED if value is None else f"{value:.1f} dB".replace("-", "−")


def format_part(value: float | None) -> str:
    """A part of a whole, 0 to 1: ``12.6 %``; what is not nothing or all is never shown as such."""
    if value is None:
        return NOT_MEASURED
    if 0 < value < 0.001:
        return "<0.1 %"
    if 0.999 < value < 1:
        return ">99.9 %"
    return "100 %" if value == 1 else f"{value * 100:.1f} %"


def format_clock(seconds: float) -> str:
    """A duration while it passes, in whole seconds: ``0:07``, ``12:34``, ``1:02:03``."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_shape(sizes: Sequence[int]) -> str:
    """The sizes of a tensor: ``64×32×3×3``."""
    return "×".join(map(str, sizes)) or "scalar"


def format_change(value: float | None) -> str:
    """A relative change with its sign: ``−73.6 %``."""
    if value is None:
        return NOT_MEASURED
    percent = value * 100
    digits = 1 if abs(percent) < 1000 else 0
    text = f"{percent:+,.{digits}f}"
    return ("0.0 %" if float(text.replace(",", "")) == 0 else f"{text} %").replace("-", "−")


def format_points(value: float | None, digits: int = 2) -> str:
    """A difference of two shares in percentage points, with its sign: ``−0.22 pp``."""
    if value is None:
        return NOT_MEASURED
    text = f"{value * 100:+.{digits}f}"
    return (f"{0:.{digits}f} pp" if float(text) == 0 else f"{text} pp").replace("-", "−")


def format_interval(low: str | None, high: str | None) -> str:
    """Two formatted bounds with their unit once: ``[−0.66, +0.38] pp``, ``[1.92, 2.08]``.

    The sign of a ratio, ×, is left out: the figure beside the interval has it. Empty when there is
    no interval.
    """
    if low is None or high is None:
        return ""
    (first, unit), (second, other) = (_split_unit(text) for text in (low, high))
    if unit != other:
        return f"[{low}, {high}]"
    return f"[{first}, {second}]{'' if unit == '×' else unit}"


def formatter_for(requirement: str) -> Callable[[float | None], str]:
    """How to write a value beside a limit such as ``25 MB``: in the kind of unit the limit has."""
    unit = re.sub(r".*\d", "", requirement).strip()
    for units, formatter in (
        (_BYTE_UNITS, format_bytes),
        (_TIME_UNITS, format_seconds),
        (("pp",), format_points),
        (("%",), format_share),
        (_RATE_UNITS, format_rate),
        (_COUNT_UNITS, format_si),
        (_DECIBELS, format_decibels),
    ):
        if unit in units:
            return formatter
    return format_number


def _split_unit(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.*\d)(\D*)", text)
    return (match[1], match[2]) if match else (text, "")


def parse_quantity(text: str) -> float:
    """A number with an optional unit: ``25 MB`` → 2.5e7, ``12 ms`` → 0.012, ``2 %`` → 0.02.

    Raises:
        ValueError: the text is not a finite number followed by at most one known unit.
    """
    return _parse(text, _QUANTITY_UNITS)


def parse_with_dimension(text: str) -> tuple[float, Dimension | None]:
    """A number and what its unit counts: ``25 MB`` → (2.5e7, "bytes"); None without a unit.

    Raises:
        ValueError: as `parse_quantity`.
    """
    value = parse_quantity(text)
    unit = _unit_of(text)
    return value, next((kind for kind, known in _DIMENSIONS.items() if unit in known), None)


def dimension_of(path: Sequence[str]) -> Dimension:
    """What a value of the report is counted in, by the suffix of its name.

    α of bytes is a rate, and a throughput is a number a second.
    """
    name = next((step for step in reversed(path) if step not in ("value", "low", "high")), "")
    if path and path[0] in _RATES:
        return "number"
    suffixes: dict[str, Dimension] = {"_bytes": "bytes", "_s": "seconds", "_db": "decibels"}
    found = (kind for suffix, kind in suffixes.items() if name.endswith(suffix))
    return "number" if name.endswith("_per_s") else next(found, "number")


def closest_unit(text: str, dimension: Dimension) -> str:
    """A hint for a quantity with a unit that there is not, or not for this kind of figure."""
    known = _DIMENSIONS[dimension]
    unit = _unit_of(text)
    close = next((name for name in known if name.lower() == unit.lower()), None)
    return f"did you mean {close!r}?" if close else f"units of such a figure: {', '.join(known)}"


def _unit_of(text: str) -> str:
    """What stands behind the number."""
    match = _QUANTITY.fullmatch(text)
    return match[2] if match else text.strip()


def parse_bytes(text: str) -> int:
    """An amount of memory or storage: ``2 GiB``, ``25MB``, ``1000``. Raises ValueError."""
    value = _parse(text, _BYTE_UNITS)
    if value < 0:
        raise ValueError(f"{text!r} is negative")
    return round(value)


def parse_duration(text: str) -> float:
    """A positive duration in seconds: ``30s``, ``2min``, ``500ms``, ``45``. Raises ValueError."""
    value = _parse(text, _TIME_UNITS)
    if value <= 0:
        raise ValueError(f"{text!r} is not a positive duration")
    return value


def parse_share(text: str) -> float:
    """A share of one: ``3%`` → 0.03, ``0.95`` → 0.95. Raises ValueError."""
    return _parse(text, _SHARE_UNITS)


def _parse(text: str, units: dict[str, float]) -> float:
    match = _QUANTITY.fullmatch(text)
    if match is None or re.fullmatch(QUANTITY, text.strip()) is None:
        raise ValueError(f"{text!r} is not a number with a unit")
    number, unit = match.groups()
    if unit and unit not in units:
        raise ValueError(f"unknown unit {unit!r} in {text!r}; known: {', '.join(units)}")
    number = number.replace("−", "-")
    # Dividing keeps 95 % at 0.95; multiplying by 0.01 would make it 0.9500000000000001.
    value = float(number) / 100 if unit in _SHARE_UNITS else float(number) * units.get(unit, 1.0)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number")
    return value


def without_controls(text: str) -> str:
    """Text for a terminal: names from files are data, and their control characters no commands."""
    return "".join(
        character if unicodedata.category(character)[0] != "C" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )
