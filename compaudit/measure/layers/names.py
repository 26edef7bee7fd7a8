"""What the layer of a tensor is called, so that two exports of one network agree on it.

PyTorch names tensors after modules (``stages.0.conv.weight``), its exporters keep those names or
put the module's path into the node's (``/stages/stages.0/conv/Conv``); quantisers add to either.
Caffe2 says ``conv1_w_0``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from compaudit.models.base import Role, Tensor

__all__ = ["ELSEWHERE", "layer_names", "stem_of"]

ELSEWHERE = "(between layers)"
"""The layer of scales and zero points of what flows between layers."""

_ADDED = re.compile(r"ConvBnFusion_(W|BN_B)_|^(module|_orig_mod)\.")
_QUANTIZER = re.compile(
    r"(_quantized|_quant|_q\d+(g\d+)?|_blocks|_scales?|_zero_points?|_zeros?|_zp|_dq|_DequantizeLinear"
    r"|_transposed|_merged(_\d+)?|_fp16|_cast(_\d+)?)+$",
    re.IGNORECASE,
)
_PARAMETER = re.compile(
    r"(?P<stem>.+)\.(weight|bias|gamma|beta|(weight|bias)_(ih|hh|hr|orig|g|v)(_l\d+)?(_reverse)?"
    r"|in_proj_(weight|bias)|bias_[kv]|qweight|weight_packed|compressed|B_q|scale|zero_point|running_\w+)"
)
_CAFFE = re.compile(r"(?P<stem>.+)_[wb]_\d+")
_PARAMETRIZATION = re.compile(r"\.parametrizations\.[^.]+\.(original\d*|\d+\..*)$")
_MASK = re.compile(r"_(orig|mask)$")


def layer_names(tensors: Sequence[Tensor]) -> list[str | None]:
    """The layer of every tensor; None for one that is part of none (constants, unused ones)."""
    by_node = _by_node(tensors)
    weighted = {*by_node.values(), *(_name(t) for t in tensors if t.role is Role.WEIGHT)}
    names: list[str | None] = []
    for tensor in tensors:
        match tensor.role:
            case Role.WEIGHT | Role.BIAS:
                known = by_node.get(tensor.use.node) if tensor.use is not None else None
                names.append(known or _name(tensor))
            case Role.QUANTIZATION:
                names.append(_served(tensor, by_node, weighted))
            case Role.BUFFER:
                name = by_node.get(tensor.use.node) if tensor.use is not None else None
                name = name or stem_of(tensor.name)
                names.append(name if name in weighted else None)
            case _:
                names.append(None)
    return names


def _by_node(tensors: Sequence[Tensor]) -> dict[str, str]:
    """The layer of every node: what its weights are called, or its biases, or itself."""
    learned = sorted(
        (tensor for tensor in tensors if tensor.role in (Role.WEIGHT, Role.BIAS)),
        key=lambda tensor: (stem_of(tensor.name) is None, tensor.role is Role.BIAS),
    )
    names: dict[str, str] = {}
    for tensor in learned:
        if tensor.use is not None:
            names.setdefault(tensor.use.node, _name(tensor))
    return names


def stem_of(tensor: str) -> str | None:
    """The module that a parameter's name speaks of; None where it is no such name."""
    name = _QUANTIZER.sub("", _ADDED.sub("", tensor))
    name = _MASK.sub("", _PARAMETRIZATION.sub(".weight", name))
    found = _PARAMETER.fullmatch(name) or _CAFFE.fullmatch(name)
    return found["stem"] if found else None


def _served(tensor: Tensor, by_node: dict[str, str], weighted: set[str]) -> str:
    """The layer that a scale or a zero point belongs to."""
    if tensor.use is not None and tensor.use.node in by_node:
        return by_node[tensor.use.node]
    plain = _QUANTIZER.sub("", tensor.name)
    stems = (stem_of(tensor.name), plain, tensor.name.rpartition(".")[0])
    return next((stem for stem in stems if stem in weighted), ELSEWHERE)


def _name(tensor: Tensor) -> str:
    stem = stem_of(tensor.name)
    if stem is not None:
        return stem
    if tensor.use is not None and tensor.use.node:
        return _of_node(tensor.use.node, tensor.use.op)
    return _QUANTIZER.sub("", tensor.name) or tensor.name


def _of_node(node: str, op: str) -> str:
    """``/layer1/layer1.0/conv1/Conv`` → ``layer1.0.conv1``; another name stays as it is."""
    if not node.startswith("/"):
        return _QUANTIZER.sub("", node) or node
    *path, last = node.strip("/").split("/")
    last = _QUANTIZER.sub("", last)
    if not path or not re.fullmatch(rf"{re.escape(op)}(_\d+)?|[A-Z][A-Za-z]+(_\d+)?", last):
        path.append(last)
    name = ""
    for part in path:
        repeats = part == name or part.startswith(f"{name}.")
        name = part if not name or repeats else f"{name}.{_beyond(name, part)}"
    return name


def _beyond(name: str, part: str) -> str:
    """``conv`` then ``conv.0`` is one step: the exporter repeats the name of a Sequential."""
    last = name.rpartition(".")[2]
    return part.removeprefix(f"{last}.") if part.startswith(f"{last}.") else part
