"""What every line of a JSON Lines file has to look like: the keys and types of the first."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["LineError", "LineFormat", "Numbers"]

_UNREADABLE = re.compile(r'["\\\x00-\x1f]')
"""What msgspec takes in no name."""

Kind = Literal["whole", "real", "bool"]

_DTYPES = {"whole": np.dtype(np.int64), "real": np.dtype(np.float64), "bool": np.dtype(np.bool_)}
_TYPES: Mapping[Kind, Any] = {
    "whole": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "real": float,
    "bool": bool,
}


class LineError(Exception):
    """What is wrong with a line, in words that follow its number."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a key holds: numbers, in lists of so many levels."""

    kind: Kind
    levels: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array that it becomes."""
        return _DTYPES[self.kind]

    @property
    def type(self) -> Any:
        """As msgspec checks it."""
        kind = _TYPES[self.kind]
        for _ in range(self.levels):
            kind = list[kind]  # type: ignore[valid-type]
        return kind


@dataclass(frozen=True, slots=True)
class LineFormat:
    """The keys of every line.

    Attributes:
        numbers: those that hold numbers.
        others: those that hold something else, and what.
    """

    numbers: Mapping[str, Numbers]
    others: Mapping[str, str]

    @classmethod
    def of(cls, line: bytes) -> LineFormat:
        """The format that a line has. Raises LineError."""
        held = _decoded(msgspec.json.Decoder(), line)
        if not isinstance(held, dict):
            raise LineError("is no JSON object")
        numbers, others = {}, {}
        for name, value in held.items():
            if _UNREADABLE.search(name):
                raise LineError(
                    f"has the key {name!r} with a quote, backslash or control character"
                )
            kind = _kind_of(name, value)
            if kind is None:
                others[name] = _described(value)
            else:
                numbers[name] = Numbers(kind, _levels(value))
        return cls(numbers, others)

    def widened(self, line: bytes) -> LineFormat:
        """This format, with fractions where so far there were whole numbers. Raises LineError."""
        held = _decoded(msgspec.json.Decoder(dict[str, Any]), line)
        real = {
            name
            for name, known in self.numbers.items()
            if known.kind == "whole" and float in set(map(type, _leaves(held.get(name))))
        }
        numbers = {
            name: replace(known, kind="real") if name in real else known
            for name, known in self.numbers.items()
        }
        return LineFormat(numbers, self.others)

    def reader(self, names: Collection[str] | None = None) -> LineReader:
        """What reads lines of this format: the keys of those names; all, strictly, for None."""
        return LineReader(self, names)


class LineReader:
    """Reads lines of one format.

    Args:
        line_format: what lines look like.
        names: the keys to read, any others are skipped; None for all, and no more than these.
    """

    def __init__(self, line_format: LineFormat, names: Collection[str] | None) -> None:
        self._numbers = {
            name: numbers
            for name, numbers in line_format.numbers.items()
            if names is None or name in names
        }
        types = {name: numbers.type for name, numbers in self._numbers.items()}
        if names is None:
            types |= {name: _other_type(what) for name, what in line_format.others.items()}
        # Keys need not be identifiers.
        keys = {f"key{place}": name for place, name in enumerate(types)}
        struct = msgspec.defstruct(
            "Line",
            [(key, types[name]) for key, name in keys.items()],
            rename=keys,
            forbid_unknown_fields=names is None,
            gc=False,
        )
        self._key_of = {name: key for key, name in keys.items()}
        self._decoder = msgspec.json.Decoder(struct)

    def read(self, line: bytes) -> dict[str, Any]:
        """The numbers of one line, by key. Raises LineError."""
        held = _decoded(self._decoder, line)
        return {name: getattr(held, self._key_of[name]) for name in self._numbers}

    def shapes(self, held: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        """The shapes of what was read. Raises LineError where there is none."""
        return {
            name: _shape(name, held[name], numbers.levels)
            for name, numbers in self._numbers.items()
        }

    def values(self, lines: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
        """What was read, all numbers of a key one behind the other."""
        values = {}
        for name, numbers in self._numbers.items():
            held: Iterable[Any] = [line[name] for line in lines]
            for _ in range(numbers.levels):
                held = chain.from_iterable(held)
            values[name] = np.array(list(held), numbers.dtype)
        return values


def _decoded(decoder: msgspec.json.Decoder[Any], line: bytes) -> Any:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LineError(f"cannot be read: {error}") from error


def _kind_of(name: str, value: Any) -> Kind | None:
    """What kind of numbers it holds; None for none. Raises LineError for several kinds."""
    kinds = set(map(type, _leaves(value)))
    if kinds <= {int}:
        return "whole"
    if kinds <= {int, float}:
        return "real"
    if kinds == {bool}:
        return "bool"
    if kinds & {int, float, bool}:
        listed = " and ".join(sorted(_NAMES[kind] for kind in kinds))
        raise LineError(f"mixes {listed} in {name!r}")
    return None


_NAMES: Mapping[type, str] = {
    bool: "true or false",
    dict: "objects",
    float: "numbers",
    int: "whole numbers",
    str: "text",
    type(None): "null",
}


def _described(value: Any) -> str:
    leaf = next(_leaves(value), None)
    return f"{'lists of ' if isinstance(value, list) else ''}{_NAMES[type(leaf)]}"


def _other_type(what: str) -> Any:
    # No numbers: where a label is null in the first line, later ones must not be lost.
    return list[Any] | None if what.startswith("lists") else str | dict[str, Any] | None


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for element in value:
            yield from _leaves(element)
    else:
        yield value


def _levels(value: Any) -> int:
    levels = 0
    while isinstance(value, list):
        levels += 1
        value = value[0] if value else None
    return levels


def _shape(name: str, value: Any, levels: int) -> tuple[int, ...]:
    if levels == 0:
        return ()
    if levels == 1:
        return (len(value),)
    inner = {_shape(name, element, levels - 1) for element in value}
    if len(inner) > 1:
        raise LineError(f"holds lists of different lengths inside {name!r}")
    return (len(value), *next(iter(inner), (0,) * (levels - 1)))
