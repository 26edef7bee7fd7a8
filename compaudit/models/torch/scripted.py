"""Tensors that TorchScript and quantised layers keep outside of parameters and buffers.

Imports torch; import it inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

import torch

from compaudit.models.base import Role
from compaudit.models.torch.tensors import Item

__all__ = ["packed_parts", "script_items"]

_UNPACK = {
    "LinearPackedParamsBase": "linear_unpack",
    "Conv2dPackedParamsBase": "conv2d_unpack",
    "Conv3dPackedParamsBase": "conv3d_unpack",
}
_ROLES = {
    "weight": Role.WEIGHT,
    "bias": Role.BIAS,
    "running_mean": Role.BUFFER,
    "running_var": Role.BUFFER,
}
# Layers written out as arithmetic: an operand of more than one element is a parameter.
_OPERANDS = {
    **dict.fromkeys(("aten::matmul", "aten::mm", "aten::bmm", "aten::mul"), Role.WEIGHT),
    "aten::add": Role.BIAS,
    "aten::add_": Role.BIAS,
}
_RECURRENT = frozenset(("aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu"))


def packed_parts(packed: torch.ScriptObject) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights and biases inside a quantised layer's packed parameters."""
    kind = str(packed._type()).rpartition(".")[2]
    if kind in _UNPACK:
        parts = getattr(torch.ops.quantized, _UNPACK[kind])(packed)
        for name, part in zip(("weight", "bias"), parts, strict=True):
            if isinstance(part, torch.Tensor):
                yield name, part
        return
    suffixes = ("_ih", "_hh") if kind == "CellParamsBase" else ("",)
    counts = {"weight": 0, "bias": 0}
    seen: set[int] = set()
    for tensor in _inside(packed):
        if not tensor.is_quantized and tensor.data_ptr() in seen:
            continue  # a recurrent cell's state holds its biases twice
        seen.add(0 if tensor.is_quantized else tensor.data_ptr())
        name = "weight" if tensor.is_quantized or tensor.dim() > 1 else "bias"
        nth = counts[name]
        counts[name] += 1
        yield name + (suffixes[nth] if nth < len(suffixes) else f"_{nth}"), tensor


def _is_packed(held: object) -> TypeGuard[torch.ScriptObject]:
    """Whether it is an object of torch's own C++ classes; submodules are script objects too."""
    return isinstance(held, torch.ScriptObject) and str(held._type()).startswith(
        "__torch__.torch.classes."
    )


def _inside(held: Any) -> Iterator[torch.Tensor]:
    if isinstance(held, torch.Tensor):
        yield held
    elif isinstance(held, tuple | list):
        for part in held:
            yield from _inside(part)
    elif _is_packed(held):
        state: Any = held.__getstate__()
        yield from _inside(state[0])


def script_items(module: torch.jit.ScriptModule, known: frozenset[str]) -> Iterator[Item]:
    """Constants of a frozen or traced graph, plain tensor attributes, and packed parameters."""
    graph: Any = module.inlined_graph
    for node in graph.findAllNodes("prim::GetAttr"):
        name = _attribute_path(node)
        held = _attribute(module, name)
        if _is_packed(held):
            stem = name.removesuffix("._packed_params").removesuffix("._packed_params")
            for part, tensor in packed_parts(held):
                yield Item(f"{stem}.{part}", tensor, _ROLES[part.partition("_")[0]])
        elif isinstance(held, torch.Tensor) and name not in known:
            yield Item(name, held, _role_of_uses(node.output(), held), "a plain attribute")
    for node in graph.findAllNodes("prim::Constant"):
        output = node.output()
        held = output.toIValue()
        if isinstance(held, torch.Tensor):
            name = f"constant.{output.debugName()}"
            yield Item(name, held, _role_of_uses(output, held), "a constant of the graph")


def _attribute_path(node: Any) -> str:
    path: list[str] = []
    while node.kind() == "prim::GetAttr":
        path.append(node.s("name"))
        node = next(iter(node.inputs())).node()
    return ".".join(reversed(path))


def _attribute(module: torch.jit.ScriptModule, path: str) -> object:
    held: Any = module._c
    for name in path.split("."):
        held = held.getattr(name)
    return held


def _role_of_uses(value: Any, tensor: torch.Tensor) -> Role:
    """By the name of the operator's argument that the tensor is fed to."""
    if tensor.numel() <= 1:
        return Role.CONSTANT
    for use in value.uses():
        kind, schema = use.user.kind(), use.user.schema()
        if kind == "prim::ListConstruct":
            readers = {after.user.kind() for after in use.user.output().uses()}
            if readers & _RECURRENT:
                return Role.WEIGHT if tensor.dim() > 1 else Role.BIAS
        elif kind in _OPERANDS:
            return _OPERANDS[kind]
        elif schema != "(no schema)":
            arguments = torch._C.parse_schema(schema).arguments
            role = _ROLES.get(arguments[use.offset].name)
            if role is not None:
                return role
    return Role.UNCLASSIFIED
