"""From the events of torch.profiler to operators, the modules that called them and their time.

A module calls operators, which call others: ``aten::linear`` calls ``aten::addmm``. Time goes to
the outermost, the one that was asked for; but what quantises, casts or copies inside it stands
for itself, because that is what a compressed model pays for.

Takes the events as they are (`torch.autograd.profiler_util.FunctionEvent`); imports no torch.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from compaudit.errors import MeasurementError
from compaudit.models.profiled import ExecutedNode, ProfiledRun

__all__ = ["INFERENCE", "MODULE", "GraphCall", "summarise"]

INFERENCE = "compaudit.inference"
"""Name of the range around each inference."""
MODULE = "compaudit.module:"
"""Begin of the name of the range around each call of a module; its path follows."""

_APART = re.compile(r"(aten::(to|_to_copy|contiguous|clone)$)|(::|_)(fake_)?(de)?quantize")
_MICROSECOND = 1e-6


class GraphCall(NamedTuple):
    """An operator that a program is known to call: ``aten::conv2d``, the node, its module."""

    op: str
    node: str
    module: str


@dataclass(slots=True)
class _Operation:
    """One executed operator of one inference, with what it called, in microseconds."""

    op: str
    module: str
    outermost: bool
    host: float = 0.0
    device: float = 0.0
    node: str = ""


@dataclass(slots=True)
class _Inference:
    elapsed: float
    operations: list[_Operation] = field(default_factory=list)


class _Place(NamedTuple):
    """Where an event stands: in which inference, module and operation."""

    inference: _Inference | None
    module: str
    operation: _Operation | None


def summarise(events: Iterable[Any], provider: str, calls: Sequence[GraphCall] = ()) -> ProfiledRun:
    """The events of profiled inferences as means over the calmest of them.

    Args:
        events: of torch.profiler, each inference in a range named `INFERENCE`.
        provider: what ran the model, such as ``torch-cpu``.
        calls: the operators that the program calls, in order, where that is known; they tell which
            node and module each is, provided that exactly these were called.

    Raises:
        MeasurementError: nothing was recorded.
    """
    inferences = _inferences(events)
    inferences.sort(key=lambda inference: inference.elapsed)
    taken = inferences[: (len(inferences) + 1) // 2]
    if not any(inference.operations for inference in taken):
        raise MeasurementError(
            "torch.profiler recorded no operator",
            hint="leave --profile out",
            code="profile-empty",
        )
    on_device = any(o.device for inference in taken for o in inference.operations)
    sums: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for inference in taken:
        _name(inference.operations, calls)
        for operation in inference.operations:
            key = operation.module, operation.node, operation.op
            sums[key].append(operation.device if on_device else operation.host)
    return ProfiledRun(
        runs=len(taken),
        total_s=math.fsum(inference.elapsed for inference in taken) * _MICROSECOND / len(taken),
        nodes=tuple(
            ExecutedNode(
                name=node or "/".join(filter(None, (module, op))),
                op=op,
                provider=provider,
                seconds=math.fsum(times) * _MICROSECOND / len(taken),
                calls=len(times) / len(taken),
                nodes=(node,) if node else (),
                module=module,
            )
            for (module, node, op), times in sums.items()
        ),
    )


def _inferences(events: Iterable[Any]) -> list[_Inference]:
    """The inferences with their operations in the order of execution."""
    found: list[_Inference] = []
    places: dict[int, _Place] = {}
    host = [event for event in events if event.device_type.name == "CPU"]
    # Whoever calls begins before whom it calls, or with it and ends later.
    host.sort(key=lambda event: (event.time_range.start, -event.time_range.end))
    for event in host:
        parent = event.cpu_parent
        place = _Place(None, "", None) if parent is None else places.get(id(parent))
        if place is None:
            continue
        if event.name == INFERENCE:
            found.append(_Inference(event.time_range.elapsed_us()))
            place = _Place(found[-1], "", None)
        elif event.name.startswith(MODULE):
            place = place._replace(module=event.name.removeprefix(MODULE))
        elif place.inference is not None and _is_operator(event):
            place = _within(place, place.inference, event.name)
        places[id(event)] = place
        if place.operation is not None:
            place.operation.host += event.self_cpu_time_total
            place.operation.device += math.fsum(kernel.duration for kernel in event.kernels)
    return found


def _is_operator(event: Any) -> bool:
    """Whether it computes; a range such as TorchScript's ``forward`` only calls."""
    return "::" in event.name or not event.cpu_children


def _within(place: _Place, inference: _Inference, op: str) -> _Place:
    """Where an operator stands: part of the one that called it, or one of its own."""
    caller = place.operation
    apart = _APART.search(op) is not None
    if caller is not None and (not apart or _APART.search(caller.op)):
        return place
    operation = _Operation(op, place.module, outermost=caller is None)
    inference.operations.append(operation)
    return place._replace(operation=operation)


def _name(operations: Sequence[_Operation], calls: Sequence[GraphCall]) -> None:
    """Give the operations the nodes of the program, where they are exactly those that it calls."""
    outermost = [operation for operation in operations if operation.outermost]
    if [operation.op for operation in outermost] != [call.op for call in calls]:
        return
    for operation, call in zip(outermost, calls, strict=True):
        operation.node, operation.module = call.node, call.module
