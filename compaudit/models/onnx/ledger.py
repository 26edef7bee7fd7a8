"""From a parsed file to a `Model`: every stored tensor with its role, and the graph.

The bytes of the tensors and those of the graph (names, shapes, operators) add up to the files: a
tensor's bytes are what is really stored for it, and bytes that two tensors share count once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import SparseTensorProto

from compaudit.errors import RequestError
from compaudit.models.base import Model, Role, Source, Tensor
from compaudit.models.onnx.codebooks import shared_weights
from compaudit.models.onnx.elements import is_real
from compaudit.models.onnx.external import ExternalFiles, Span
from compaudit.models.onnx.flow import Flow, Origin
from compaudit.models.onnx.graph import Stored, walk
from compaudit.models.onnx.meaning import Lookup, is_mask
from compaudit.models.onnx.proto import parse
from compaudit.models.onnx.quantization import meaning_of, with_product_scales
from compaudit.models.onnx.sharing import counted_once, named_apart
from compaudit.models.onnx.tensors import Payload, payload_of
from compaudit.models.onnx.uses import use_of
from compaudit.models.roles import role_of_attribute

__all__ = ["check_external_data", "read_model"]


def read_model(source: Source, path: Path) -> Model:
    """The ledger and the graph of an ONNX file.

    Raises:
        RequestError: it is damaged, contradicts itself, or its external data is unsafe or missing.
    """
    proto = parse(path)
    files = ExternalFiles(path)
    found = walk(proto)
    entries = _resolved(list(_entries(found.stored, files)))
    origins = {
        entry.stored.name: Origin(entry.elements, is_real(entry.payload.dtype))
        for entry in entries
        if not entry.stored.training
    }
    flow = Flow(found, origins)
    payloads = {entry.stored.name: entry.payload for entry in reversed(entries)}
    named = named_apart(_tensor(entry, flow, payloads) for entry in entries)
    tensors = counted_once(with_product_scales(named), [entry.spans for entry in entries])
    shipped = (path, *files.paths())
    if sum(tensor.bytes for tensor in tensors) > sum(file.stat().st_size for file in shipped):
        raise RequestError(
            f"{path} is smaller than the tensors it says it holds",
            hint="export the model again: it was written by a faulty encoder",
            code="broken-model",
        )
    return Model(source, tuple(tensors), found.graph, shipped)


def check_external_data(path: Path) -> None:
    """Refuse unsafe external data before a runtime opens any of it. Raises RequestError."""
    files = ExternalFiles(path)
    for _ in _entries(walk(parse(path)).stored, files):
        pass


# ------------------------------------------------------------------------------- entries


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    """A stored tensor with its numbers.

    Attributes:
        stored: where it is stored.
        payload: its numbers; of a sparse tensor, its values.
        shape: the logical shape; None for a ConstantOfShape whose shape is not known yet.
        indices: of a sparse tensor.
        fill: one value stands for all.
    """

    stored: Stored
    payload: Payload
    shape: tuple[int, ...] | None
    indices: Payload | None = None
    fill: bool = False

    @property
    def spans(self) -> tuple[Span, ...]:
        """Its bytes in external files."""
        parts = (self.payload, self.indices)
        return tuple(part.span for part in parts if part is not None and part.span is not None)

    @property
    def elements(self) -> int:
        """Elements that the shape describes."""
        return math.prod(self.shape or ())


def _described(shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    """A shape that nothing stored bounds, with a number of elements that a report can hold."""
    if any(size < 0 for size in shape) or math.prod(shape) >= 2**63:
        raise RequestError(
            f"tensor {name!r} has the impossible shape {list(shape)}",
            hint="export the model again",
            code="broken-model",
        )
    return shape


def _entries(stored: Sequence[Stored], files: ExternalFiles) -> Iterator[_Entry]:
    for item in stored:
        match item.proto:
            case None:
                yield _Entry(item, _implied_zero(), None, fill=True)
            case SparseTensorProto() as sparse:
                yield _sparse(item, sparse, files)
            case proto:
                payload = payload_of(proto, item.name, files)
                node = item.node
                fill = node is not None and node.domain == "" and node.op == "ConstantOfShape"
                if fill and payload.elements != 1:
                    raise RequestError(
                        f"ConstantOfShape {item.name!r} repeats {payload.elements} values, not one",
                        hint="export the model again",
                        code="broken-model",
                    )
                yield _Entry(item, payload, None if fill else payload.shape, fill=fill)


def _implied_zero() -> Payload:
    """The value of a ConstantOfShape that states none: a float32 zero, stored nowhere."""
    return Payload("float32", (1,), 0, lambda: iter([np.zeros(1, np.float32)]))


def _sparse(item: Stored, sparse: SparseTensorProto, files: ExternalFiles) -> _Entry:
    values = payload_of(sparse.values, item.name, files)
    indices = payload_of(sparse.indices, f"{item.name} (indices)", files)
    shape = _described(tuple(sparse.dims), item.name)
    if indices.elements not in (values.elements, values.elements * len(shape)):
        raise RequestError(
            f"sparse tensor {item.name!r} has {values.elements} values, {indices.elements} indices "
            f"and the shape {list(shape)}, which do not fit",
            hint="export the model again",
            code="broken-model",
        )
    return _Entry(item, values, shape, indices)


def _resolved(entries: list[_Entry]) -> list[_Entry]:
    """With the shapes of ConstantOfShape nodes, where a stored tensor states them."""
    shapes = {e.stored.name: e.payload for e in entries if not e.fill and e.indices is None}
    return [
        dataclasses.replace(entry, shape=_stated_shape(entry, shapes)) if entry.fill else entry
        for entry in entries
    ]


def _stated_shape(entry: _Entry, stated: Mapping[str, Payload]) -> tuple[int, ...] | None:
    node = entry.stored.node
    shape = stated.get(node.inputs[0]) if node is not None and node.inputs else None
    if shape is None or shape.dtype != "int64" or shape.elements > 64:
        return None
    sizes = tuple(int(size) for size in shape.array())
    return _described(sizes, entry.stored.name)


# ------------------------------------------------------------------------------- tensors


def _tensor(entry: _Entry, flow: Flow, payloads: Mapping[str, Payload]) -> Tensor:
    stored, payload = entry.stored, entry.payload
    location = payload.span.location if payload.span is not None else "file"
    if entry.fill and entry.shape is None:
        return Tensor(
            name=stored.name,
            role=Role.CONSTANT,
            dtype=payload.dtype,
            shape=(),
            stored_elements=1,
            bytes=0,
            values=payload.values,
            fill=True,
            location=location,
            note="its shape is only known when the model runs",
        )
    role = _role(entry, flow)
    lookup = Lookup(flow, payloads)
    use = use_of(stored.name, role, payload.dtype, entry.elements > 1, lookup)
    if entry.fill or entry.indices is not None:
        extra = entry.indices
        return Tensor(
            name=stored.name,
            role=role,
            dtype=payload.dtype,
            shape=entry.shape or (),
            stored_elements=payload.elements + (extra.elements if extra else 0),
            bytes=payload.bytes + (extra.bytes if extra else 0),
            values=payload.values,
            fill=entry.fill,
            use=use,
            location=location,
            note="sparse: values and indices are stored" if extra else "",
        )
    meaning = meaning_of(stored.name, payload, flow, payloads)
    shared = shared_weights(stored.name, role, payload, lookup)
    if shared is not None:
        role, use = shared.role, shared.use
        meaning = dataclasses.replace(meaning, quantization=shared.quantization)
    return Tensor(
        name=stored.name,
        role=role,
        dtype=meaning.dtype,
        shape=meaning.shape,
        stored_elements=math.prod(meaning.shape),
        bytes=payload.bytes,
        values=meaning.values,
        quantization=meaning.quantization,
        use=use,
        location=location,
        note=meaning.note,
    )


def _role(entry: _Entry, flow: Flow) -> Role:
    stored, node = entry.stored, entry.stored.node
    if stored.training:
        return Role.UNUSED
    if node is not None and not (node.domain == "" and node.op in ("Constant", "ConstantOfShape")):
        return role_of_attribute(node.domain, node.op, stored.attribute)
    role = flow.role(stored.name, Origin(entry.elements, is_real(entry.payload.dtype)))
    return Role.CONSTANT if role is Role.BIAS and is_mask(entry.payload) else role
