"""The graph of a ``.pt2`` archive as neutral nodes, and what it says about stored tensors.

Stored tensors go by their own names (``conv.weight``), inputs and outputs by those that the runner
uses. An operation is named ``aten.conv2d.default``, its domain is ``torch``; its inputs are the
tensors among its arguments in order, everything else is an attribute.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from compaudit.models.base import Dimension, Graph, Node, Role, Value
from compaudit.models.torch import exported_schema as schema

__all__ = ["Uses", "neutral_graph"]

_DOMAIN = "torch"
_SYMBOL = re.compile(r"Symbol\('(\w+)'[^()]*\)")
_STORED = {
    "parameter": "parameter_name",
    "buffer": "buffer_name",
    "tensor_constant": "tensor_constant_name",
    "custom_obj": "custom_obj_name",
}
_PLAIN = frozenset(
    f"as_{kind}"
    for kind in (
        *("int", "ints", "int_lists", "float", "floats", "float_lists", "string", "strings"),
        *("bool", "bools", "scalar_type", "memory_format", "layout", "device", "operator"),
        *("complex", "custom_obj", "sym_floats", "sym_bools"),
    )
)
_DEQUANTIZE = re.compile(r"(quantized_decomposed|torchao|pt2e_quant)\.dequantize_")
_SCALES = frozenset(("scale", "scales", "zero_point", "zero_points", "zero_point_domain"))


@dataclass
class Uses:
    """What the graph says about stored tensors, by name.

    Attributes:
        buffers: those that the module registered as buffers.
        not_persistent: buffers that no state dict holds.
        roles: those that quantisation gives: codes that are dequantised, and their scales.
        zero_points: of dequantised codes: a number, or the name of a stored tensor.
        scales: likewise.
        axes: the axis of per-channel codes.
        readers: the first node that takes a tensor, or what it is dequantised to.
    """

    buffers: set[str] = field(default_factory=set)
    not_persistent: set[str] = field(default_factory=set)
    roles: dict[str, Role] = field(default_factory=dict)
    zero_points: dict[str, int | str] = field(default_factory=dict)
    scales: dict[str, float | str] = field(default_factory=dict)
    axes: dict[str, int] = field(default_factory=dict)
    readers: dict[str, Node] = field(default_factory=dict)


def neutral_graph(module: schema.GraphModule) -> tuple[Graph, Uses]:
    """The graph and what it says about stored tensors.

    Raises:
        KeyError, TypeError, ValueError: the JSON is not laid out as torch 2.13 does.
    """
    uses = Uses()
    names: dict[str, str] = {}
    inputs: list[Value] = []
    for spec in module.signature.input_specs:
        (kind, content), *rest = spec.items()
        if rest:
            raise ValueError("an input is of two kinds")
        if kind in _STORED:
            stored = str(content[_STORED[kind]])
            names[str(content["arg"]["name"])] = stored
            if kind == "buffer":
                uses.buffers.add(stored)
                if content["persistent"] is False:
                    uses.not_persistent.add(stored)
        elif kind == "user_input":
            inputs += _values(content["arg"], module.graph)
    outputs = _outputs(module, names)
    nodes = tuple(_nodes(module.graph, names, ""))
    _note_quantization(nodes, frozenset(names.values()), uses)
    values = tuple(
        _value(names.get(name, name), meta) for name, meta in module.graph.tensor_values.items()
    )
    return Graph(nodes, tuple(inputs), outputs, values), uses


def _outputs(module: schema.GraphModule, names: dict[str, str]) -> tuple[Value, ...]:
    """The outputs, named as the runner names them; their values take those names in the graph."""
    given = [
        spec["user_output"]["arg"]
        for spec in module.signature.output_specs
        if "user_output" in spec
    ]
    labels = _output_names(module, len(given))
    outputs: list[Value] = []
    for label, argument in zip(labels, given, strict=True):
        found = _values(argument, module.graph)
        if len(found) != 1:
            continue
        inner = found[0].name
        taken = label in module.graph.tensor_values or label in names.values()
        if inner not in names and not taken:
            names[inner] = label
        outputs.append(Value(label, found[0].dtype, found[0].shape))
    return tuple(outputs)


def _output_names(module: schema.GraphModule, count: int) -> list[str]:
    """Names by the shape of what the module returned: a tensor, a tuple, or a dict with keys."""
    numbered = [f"output_{index}" for index in range(count)]
    entry = next((call for call in module.module_call_graph if call.get("fqn") == ""), None)
    signature = (entry or {}).get("signature")
    if not signature:
        return numbered
    _, spec = json.loads(signature["out_spec"])
    leaves = spec["children_spec"]
    if spec["type"] is None:
        return ["output"] if count == 1 else numbered
    if any(leaf["type"] is not None for leaf in leaves) or len(leaves) != count:
        return numbered
    if spec["type"] in ("builtins.dict", "collections.OrderedDict"):
        return [str(key) for key in json.loads(spec["context"])]
    return numbered


def _values(argument: Mapping[str, Any], graph: schema.Graph) -> list[Value]:
    for kind, held in argument.items():
        if kind == "as_tensor":
            return [_value(str(held["name"]), graph.tensor_values[held["name"]])]
        if kind == "as_sym_int" and "as_name" in held:
            return [Value(str(held["as_name"]), "int64", ())]
        if kind not in _PLAIN and kind not in ("as_none", "as_sym_int"):
            raise ValueError(f"an input or output is of the unknown kind {kind}")
    return []


def _value(name: str, meta: schema.Meta) -> Value:
    shape = tuple(_dimension(size) for size in meta.sizes)
    return Value(name, schema.DTYPES.get(meta.dtype, "unknown"), shape)


def _dimension(size: schema.Size) -> Dimension:
    if size.as_int is not None:
        return size.as_int
    return _SYMBOL.sub(r"\1", size.as_expr.expr_str) if size.as_expr is not None else None


def _nodes(graph: schema.Graph, names: Mapping[str, str], scope: str) -> Iterator[Node]:
    for operation in graph.nodes:
        inputs: list[str] = []
        slots: list[str] = []
        attributes: dict[str, Any] = {}
        inner: list[tuple[str, schema.Graph]] = []
        for argument in operation.inputs:
            tensors, value = _read_argument(argument.arg)
            if tensors is not None:
                inputs += [names.get(name, name) for name in tensors]
                slots += [argument.name] * len(tensors)
            elif isinstance(value, schema.Graph):
                inner.append((argument.name, value))
            else:
                attributes[argument.name] = value
        outputs = [
            names.get(name, name)
            for output in operation.outputs
            for name in _read_argument(output)[0] or ()
        ]
        own = operation.name or (outputs[0] if outputs else operation.target)
        attributes["argument_names"] = tuple(slots)
        yield Node(
            name=own,
            op=operation.target.removeprefix("torch.ops."),
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            attributes=attributes,
            domain=_DOMAIN,
            scope=scope,
        )
        for label, held in inner:
            yield from _nodes(held, names, f"{scope}/{own}.{label}".lstrip("/"))


def _read_argument(argument: Mapping[str, Any]) -> tuple[list[str] | None, Any]:
    """Either tensor names (absent ones empty) or a plain value."""
    ((kind, held),) = argument.items()
    match kind:
        case "as_tensor":
            return [str(held["name"])], None
        case "as_tensors":
            return [str(part["name"]) for part in held], None
        case "as_none":
            return [""], None
        case "as_optional_tensor":
            return _read_argument(held)
        case "as_optional_tensors":
            return [name for part in held for name in _read_argument(part)[0] or ()], None
        case "as_graph":
            import msgspec

            return None, msgspec.convert(held["graph"], schema.Graph)
        case "as_sym_int" | "as_sym_float" | "as_sym_bool":
            return None, next(iter(held.values()))
        case "as_sym_ints":
            return None, tuple(next(iter(part.values())) for part in held)
        case "as_nested_tensors":
            return [str(part["name"]) for parts in held for part in parts], None
        case "as_string_to_argument":
            return [name for part in held.values() for name in _read_argument(part)[0] or ()], None
        case _ if kind in _PLAIN:
            return None, tuple(held) if isinstance(held, list) else held
        case _:
            raise ValueError(f"an argument is of the unknown kind {kind}")


def _note_quantization(nodes: tuple[Node, ...], stored: frozenset[str], uses: Uses) -> None:
    """Stored tensors that are dequantised are weights, or biases where they are fed as one."""
    fed_as = {
        name: slot
        for node in nodes
        for name, slot in zip(node.inputs, node.attributes["argument_names"], strict=True)
    }
    readers = {name: node for node in reversed(nodes) for name in node.inputs}
    uses.readers.update({name: readers[name] for name in stored if name in readers})
    for node in nodes:
        if _DEQUANTIZE.match(node.op) is None or not node.inputs or node.inputs[0] not in stored:
            continue
        codes = node.inputs[0]
        bias = bool(node.outputs) and fed_as.get(node.outputs[0]) == "bias"
        uses.roles[codes] = Role.BIAS if bias else Role.WEIGHT
        point = node.attributes.get("zero_point")
        if isinstance(point, int):
            uses.zero_points[codes] = point
        scale = node.attributes.get("scale")
        if isinstance(scale, float):
            uses.scales[codes] = scale
        if node.outputs and node.outputs[0] in readers:
            uses.readers[codes] = readers[node.outputs[0]]
        if isinstance(node.attributes.get("axis"), int):
            uses.axes[codes] = node.attributes["axis"]
        for name, slot in zip(node.inputs, node.attributes["argument_names"], strict=True):
            if slot in _SCALES and name in stored:
                uses.roles[name] = Role.QUANTIZATION
                if slot in ("zero_point", "zero_points"):
                    uses.zero_points[codes] = name
                if slot in ("scale", "scales"):
                    uses.scales[codes] = name
                uses.readers[name] = uses.readers[codes]
