"""The operations that a PyTorch module really performs, as a graph, from one run of it.

A module has no graph to read. What it calls is recorded while it runs once, the way torch's own
flop counter sees it (`torch.utils.flop_counter`): each operator that reaches the dispatcher, taken
apart where it is a composition of others. So one table of rules serves every kind of model.

Imports torch; import it inside functions. Call it in a worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from compaudit.models.base import Feeds, Graph, Model, Node, Role, Source, Tensor
from compaudit.models.shapes import Shapes
from compaudit.models.torch.runner import TorchRunner

__all__ = ["trace_run"]

_PLAIN = (bool, int, float, str)


def trace_run(
    source: Source, runner: TorchRunner, feeds: Feeds, known: Callable[[str], bool]
) -> tuple[Model, Shapes]:
    """Run once, and give what was done as a `Model` whose tensors are the module's parameters.

    Args:
        source: the model.
        runner: it, loaded.
        feeds: one sample, with the batch dimension.
        known: whether an operator (``aten.conv2d.default``) is of interest as it is; others are
            taken apart where they can be.

    Raises:
        RequestError: the inputs do not fit.
        MeasurementError: the module failed.
    """
    held = _tensors_of(runner.module)
    recorder = _Recorder(known, {id(tensor): name for name, tensor in held.items()})
    # Compiled code would do the same by kernels of its own, which no table knows.
    eager = torch.compiler.set_stance("force_eager") if runner.compiled else nullcontext()
    with eager, recorder:
        runner.run(feeds)
    sizes = {name: tuple(tensor.shape) for name, tensor in held.items()}
    tensors = tuple(_described(name, tensor) for name, tensor in held.items())
    graph = Graph(tuple(recorder.nodes), (), ())
    return Model(source, tensors, graph, ()), Shapes({**recorder.sizes, **sizes})


def _tensors_of(module: object) -> dict[str, torch.Tensor]:
    """Parameters and buffers, each under its first name."""
    if not isinstance(module, torch.nn.Module):
        return {}
    return {**dict(module.named_buffers()), **dict(module.named_parameters())}


def _described(name: str, tensor: torch.Tensor) -> Tensor:
    dtype = str(tensor.dtype).removeprefix("torch.")
    elements = tensor.numel()
    stored = elements * tensor.element_size()
    return Tensor(name, Role.WEIGHT, dtype, tuple(tensor.shape), elements, stored)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operator that is called while it is active.

    Values go by the identity of their tensors, which are not kept alive: each new tensor is the
    result of an operator and gets a name then, so that a reused identity is never mistaken.
    """

    def __init__(self, known: Callable[[str], bool], names: dict[int, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._known = known
        self._names = names
        self.nodes: list[Node] = []
        self.sizes: dict[str, tuple[int, ...]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if not self._known(str(func)) and func._can_decompose():
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        inputs, slots, attributes = self._arguments(func, args, kwargs)
        result = func(*args, **kwargs)
        outputs = tuple(self._new(tensor) for tensor in _tensors_in(result))
        node = Node(
            name=outputs[0] if outputs else f"{func}_{len(self.nodes)}",
            op=str(func),
            inputs=tuple(inputs),
            outputs=outputs,
            attributes={**attributes, "argument_names": tuple(slots)},
            domain="torch",
        )
        self.nodes.append(node)
        return result

    def _arguments(
        self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[list[str], list[str], dict[str, Any]]:
        """The tensors among the arguments by name, the argument of each, and plain values."""
        inputs: list[str] = []
        slots: list[str] = []
        attributes: dict[str, Any] = {}
        given = dict(zip((a.name for a in func._schema.arguments), args, strict=False))
        for slot, value in {**given, **kwargs}.items():
            tensors = [*_tensors_in(value)]
            if tensors:
                inputs += [self._name(tensor) for tensor in tensors]
                slots += [slot] * len(tensors)
            elif hasattr(value, "unpack"):
                inputs.append(self._packed(value))
                slots.append(slot)
            elif isinstance(value, _PLAIN) or (
                isinstance(value, list | tuple) and all(isinstance(v, _PLAIN) for v in value)
            ):
                attributes[slot] = value
        return inputs, slots, attributes

    def _name(self, tensor: torch.Tensor) -> str:
        return self._names.get(id(tensor)) or self._new(tensor)

    def _new(self, tensor: torch.Tensor) -> str:
        name = f"value_{len(self.sizes)}"
        self._names[id(tensor)] = name
        self.sizes[name] = tuple(tensor.shape)
        return name

    def _packed(self, parameters: Any) -> str:
        """The packed weight of a quantised layer, by the sizes it has unpacked."""
        name = f"packed_{len(self.sizes)}"
        weight = next(_tensors_in(parameters.unpack()), None)
        if weight is not None:
            self.sizes[name] = tuple(weight.shape)
        return name


def _tensors_in(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors_in(part)
