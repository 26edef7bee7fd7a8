"""What computes with each stored tensor, and in which element type the graph has it computed.

A float16 weight behind a Cast is computed in float32, and stored int8 codes behind a
DequantizeLinear too, unless the other operand is dequantised as well: then every runtime that knows
the pattern multiplies the codes themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from compaudit.errors import RequestError
from compaudit.models.base import Node, Role, Use
from compaudit.models.onnx.elements import is_real, name_of
from compaudit.models.onnx.flow import FARTHEST, Flow
from compaudit.models.onnx.meaning import Lookup
from compaudit.models.roles import canonical_domain, role_of_input

__all__ = ["Arrival", "arrivals", "use_of"]

MICROSOFT = "com.microsoft"

_ON_CODES = frozenset(
    [
        *(("", op) for op in ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")),
        *((MICROSOFT, op) for op in ("QLinearConv", "QGemm", "QAttention", "DynamicQuantizeLSTM")),
        *((MICROSOFT, op) for op in ("MatMulInteger16", "MatMulIntegerToFloat", "QLinearAdd")),
        *((MICROSOFT, op) for op in ("DynamicQuantizeMatMul", "QLinearMul", "GemmFloat8", "QMoE")),
    ]
)
"""Operators that multiply the codes as they are."""

_WEIGHT_ONLY = {
    (MICROSOFT, "MatMulNBits"): 2,
    (MICROSOFT, "MatMulBnb4"): 2,
    (MICROSOFT, "GatherBlockQuantized"): 2,
}
"""Operators that dequantise by themselves, into the type of the scales in this slot."""

_NEEDS_QUANTIZED_OUTPUT = frozenset(("Conv", "ConvTranspose", "Add", "Mul"))
_ACTIVATIONS = frozenset(("Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish"))
_INTEGER_PRODUCTS = frozenset(("MatMulInteger", "ConvInteger"))
_CONTRACTIONS = frozenset(
    [
        *("Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "QLinearConv", "QLinearMatMul"),
        *("MatMulInteger", "ConvInteger", "MatMulNBits", "MatMulBnb4", "QGemm", "FusedConv"),
        *("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "FusedMatMul", "FusedGemm"),
    ]
)
_BEHIND = 6
"""Nodes between a product and the addition of its bias, or the scaling of its codes, at most."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A stored value at a node that takes it: its type there, and that of its codes before."""

    node: Node
    slot: int
    dtype: str
    codes: str | None


def use_of(name: str, role: Role, dtype: str, many: bool, lookup: Lookup) -> Use | None:
    """What computes with a stored tensor.

    Args:
        name: the tensor.
        role: what it is for, which says which of its readers counts.
        dtype: its stored element type, before packing is undone.
        many: whether it has more than one element.
        lookup: the uses of all values, and the stored tensors.
    """
    if role in (Role.UNUSED, Role.CONSTANT):
        return None
    for arrival in arrivals(name, dtype, lookup):
        node = arrival.node
        found = role_of_input(
            node.domain, node.op, arrival.slot, real=is_real(arrival.dtype), many=many
        )
        if role is Role.QUANTIZATION:
            if found is role or _scales_a_product(arrival, lookup):
                return _served(node, lookup)
        elif found is role:
            home = _home(node, lookup) if role is Role.BIAS else node
            return Use(home.name, home.op, _computed(arrival, lookup))
    return None


def arrivals(name: str, dtype: str, lookup: Lookup) -> Iterator[Arrival]:
    """Every node that takes the value for itself, nearest first."""
    flow = lookup.flow
    waiting: list[tuple[str, str, str | None]] = [(name, dtype, None)]
    seen = {name}
    for value, kind, codes in waiting:
        steps = flow.steps.get(value, ())
        carrying = {id(step.node) for step in steps if step.node is not None}
        for node, slot in islice(flow.readers.get(value, ()), FARTHEST):
            if id(node) not in carrying:
                yield Arrival(node, slot, kind, codes)
        if len(seen) > FARTHEST:
            return
        for step in islice(steps, FARTHEST):
            if step.target not in seen:
                seen.add(step.target)
                waiting.append((step.target, *_after(step.node, kind, codes, lookup)))


def _after(
    node: Node | None, dtype: str, codes: str | None, lookup: Lookup
) -> tuple[str, str | None]:
    """The type of a value behind the node that carries it, and that of its codes."""
    if node is None:
        return dtype, codes
    match node.op:
        case "Cast":
            try:
                return name_of(int(node.attributes.get("to", 0))), codes
            except (RequestError, TypeError, ValueError):
                return "", codes
        case "DequantizeLinear":
            scale = lookup.payload(node, 1)
            return ("float32" if scale is None else scale.dtype), dtype
        case "QuantizeLinear":
            zero = lookup.payload(node, 2)
            return ("uint8" if zero is None else zero.dtype), codes
        case "CastLike":
            return "", codes
        case _:
            return dtype, codes


def _computed(arrival: Arrival, lookup: Lookup) -> str:
    """The type that the operator multiplies or adds the value in."""
    node = arrival.node
    key = (canonical_domain(node.domain), node.op)
    if key in _WEIGHT_ONLY:
        if node.attributes.get("accuracy_level") == 4:
            return "int8"
        scale = lookup.payload(node, _WEIGHT_ONLY[key])
        return "float32" if scale is None else scale.dtype
    if key in _ON_CODES or arrival.codes is None:
        return arrival.dtype
    return arrival.codes if _computes_on_codes(arrival, lookup.flow) else arrival.dtype


def _computes_on_codes(arrival: Arrival, flow: Flow) -> bool:
    """Whether a dequantised operand meets another one, and the result is quantised if need be."""
    node = arrival.node
    data = [name for slot, name in enumerate(node.inputs[:2]) if slot != arrival.slot and name]
    producers = [flow.producers.get(name) for name in data]
    if not any(node is not None and node.op == "DequantizeLinear" for node in producers):
        return False
    if node.op not in _NEEDS_QUANTIZED_OUTPUT:
        return True
    readers = _readers(node, flow)
    for reader in list(readers):
        if reader.op in _ACTIVATIONS:
            readers += _readers(reader, flow)
    return any(reader.op == "QuantizeLinear" for reader in readers)


def _readers(node: Node, flow: Flow) -> list[Node]:
    output = next(iter(node.outputs), "")
    return [reader for reader, _ in islice(flow.readers.get(output, ()), FARTHEST)]


def _scales_a_product(arrival: Arrival, lookup: Lookup) -> bool:
    return arrival.node.op == "Mul" and _product_before(arrival.node, lookup) is not None


def _served(node: Node, lookup: Lookup) -> Use:
    """The node that a scale or a zero point serves: that which takes the dequantised values."""
    home = node
    if node.op in ("DequantizeLinear", "QuantizeLinear") and node.outputs:
        arrival = next(arrivals(node.outputs[0], "float32", lookup), None)
        home = node if arrival is None else _home(arrival.node, lookup)
    elif node.op == "Mul":
        home = _product_before(node, lookup) or node
    return Use(home.name, home.op)


def _home(node: Node, lookup: Lookup) -> Node:
    """The product that an addition adds a bias to; else the node itself."""
    if node.op in ("Add", "Sum", "BiasAdd", "BiasGelu", "FastGelu"):
        return _product_before(node, lookup) or node
    return node


def _product_before(node: Node, lookup: Lookup) -> Node | None:
    """The matrix product or convolution whose result this node takes."""
    producers = lookup.flow.producers
    waiting = [node]
    for place in waiting:
        for name in place.inputs:
            before = producers.get(name)
            if before is None:
                continue
            if before.op in _CONTRACTIONS:
                return before
            between = before.op in ("Cast", "Mul", "Reshape", "Transpose", "Identity", "Squeeze")
            if between and len(waiting) < _BEHIND:
                waiting.append(before)
    for reader in _readers(node, lookup.flow):
        # The scales of a dynamic quantisation meet one another before they meet the product.
        if node.op == "Mul" and reader.op == "Mul" and len(waiting) < _BEHIND:
            for name in reader.inputs:
                before = producers.get(name)
                while before is not None and before.op == "Cast":
                    before = producers.get(before.inputs[0]) if before.inputs else None
                if before is not None and before.op in _INTEGER_PRODUCTS:
                    return before
    return None
