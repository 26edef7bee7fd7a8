"""ONNX Runtime's profile: a Chrome trace, a list of events with microseconds.

Each executed node is an event ``NAME_kernel_time`` of category ``Node``; a node without a name is
called ``OP_INDEX``. What runs inside an If, a Loop or a Scan has events of its own, within its
node's. Each inference is an event ``model_run`` of category ``Session``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from compaudit.errors import MeasurementError

__all__ = ["Executed", "Run", "calmest", "parse_trace"]

_SUFFIX = "_kernel_time"
_MICROSECOND = 1e-6
_HOLDERS = frozenset(
    (*("If", "Loop", "Scan", "SequenceMap"), *("BeamSearch", "GreedySearch", "Sampling"))
)
"""Operators that run a graph of their own. Others only seem to hold what begins in the same
microsecond."""
_TYPES = {"float": "float32", "double": "float64"}


@dataclass(slots=True)
class Executed:
    """One executed node of one run.

    Attributes:
        name: without its suffix.
        op: the operator.
        index: the number of the node in the runtime's graph; -1 where it is not told.
        provider: the execution provider.
        types: element types of the inputs; empty ones are left out.
        inside: the names of the nodes whose subgraph this one runs in, the outermost first.
        start: microseconds since the session began.
        duration: microseconds, with what runs inside it.
        own: microseconds without that.
    """

    name: str
    op: str
    index: int
    provider: str
    types: tuple[str, ...]
    inside: tuple[str, ...]
    start: float
    duration: float
    own: float

    @property
    def key(self) -> tuple[tuple[str, ...], str]:
        """What makes it the same node in another run."""
        return self.inside, self.name


@dataclass(slots=True)
class Run:
    """One inference: its time in seconds, and the nodes in the order of execution."""

    seconds: float
    nodes: list[Executed] = field(default_factory=list)


class _Event(msgspec.Struct):
    cat: str = ""
    name: str = ""
    ts: float = 0.0
    dur: float = 0.0
    args: dict[str, Any] = {}


def parse_trace(text: bytes) -> list[Run]:
    """Every inference of a trace, in order.

    Raises:
        MeasurementError: it is not a trace of ONNX Runtime.
    """
    try:
        events = msgspec.json.decode(text, type=list[_Event])
    except msgspec.DecodeError as error:
        raise MeasurementError(
            f"ONNX Runtime's profile cannot be read: {error}",
            hint="leave --profile out, or use another version of onnxruntime",
            code="profile-unreadable",
        ) from error
    inferences = sorted(
        (event for event in events if event.cat == "Session" and event.name == "model_run"),
        key=lambda event: event.ts,
    )
    runs = [Run(event.dur * _MICROSECOND) for event in inferences]
    starts = [event.ts for event in inferences]
    nodes = [event for event in events if event.cat == "Node" and event.name.endswith(_SUFFIX)]
    # A node that holds others begins with the first of them, and lasts longer.
    nodes.sort(key=lambda event: (event.ts, -event.dur))
    open_: list[Executed] = []
    for event in nodes:
        place = bisect_right(starts, event.ts) - 1
        if place < 0 or event.ts > starts[place] + inferences[place].dur:
            continue
        while open_ and event.ts >= open_[-1].start + open_[-1].duration:
            open_.pop()
        node = _executed(event, tuple(node.name for node in open_))
        if open_:
            open_[-1].own = max(0.0, open_[-1].own - node.duration)
        if node.op in _HOLDERS:
            open_.append(node)
        runs[place].nodes.append(node)
    return runs


def calmest(runs: Sequence[Run]) -> list[Run]:
    """The faster half of the runs: the others were disturbed by something else on the machine."""
    ordered = sorted(runs, key=lambda run: run.seconds)
    return ordered[: (len(ordered) + 1) // 2]


def _executed(event: _Event, inside: tuple[str, ...]) -> Executed:
    index = str(event.args.get("node_index", ""))
    return Executed(
        name=event.name.removesuffix(_SUFFIX),
        op=str(event.args.get("op_name", "")),
        index=int(index) if index.isdecimal() else -1,
        provider=str(event.args.get("provider", "")),
        types=_types(event.args.get("input_type_shape")),
        inside=inside,
        start=event.ts,
        duration=event.dur,
        own=event.dur,
    )


def _types(shapes: object) -> tuple[str, ...]:
    """``[{"float": [1, 8]}, {"int8": []}]`` → ``("float32", "int8")``."""
    if not isinstance(shapes, list):
        return ()
    names = [str(name) for one in shapes if isinstance(one, Mapping) for name in one]
    return tuple(_TYPES.get(name, name) for name in names)
