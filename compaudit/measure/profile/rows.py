"""Both models by operator and layer by layer: where each spends an inference."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from compaudit.measure.layers.names import ELSEWHERE
from compaudit.models.base import Model
from compaudit.models.profiled import ExecutedNode, ProfiledRun
from compaudit.results import Layer, ModelProfile, ProfiledLayer, ProfiledOperator, TensorResult

__all__ = ["Placed", "Subject", "layer_rows", "model_profile", "place", "row_names"]

INSERTED = "(inserted by the runtime)"
SEVERAL = "(several layers at once)"
UNATTRIBUTED = "(unattributed)"
OVERHEAD = "(between operators)"
_LAST = (ELSEWHERE, SEVERAL, INSERTED, UNATTRIBUTED, OVERHEAD)

_LINEAR_RANK = 2


@dataclass(frozen=True, slots=True)
class Subject:
    """One of the two models.

    Attributes:
        run: what its profiler told.
        tensors: its ledger.
        model: with its graph; None where only running code can read it.
    """

    run: ProfiledRun
    tensors: Sequence[TensorResult] = ()
    model: Model | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A profiled model whose executed nodes are sorted by the rows of the comparison.

    Attributes:
        run: what its profiler told.
        rows: the executed nodes of each row.
        stored: for each row, the element type that most of its weights are stored in.
    """

    run: ProfiledRun
    rows: Mapping[str, list[ExecutedNode]]
    stored: Mapping[str, str] = field(default_factory=dict)

    @property
    def overhead_s(self) -> float:
        """What an inference spends outside of operators."""
        return max(0.0, self.run.total_s - math.fsum(node.seconds for node in self.run.nodes))


def model_profile(run: ProfiledRun) -> ModelProfile:
    """One model by operator, the costliest first."""
    grouped: defaultdict[tuple[str, str], list[ExecutedNode]] = defaultdict(list)
    for node in run.nodes:
        grouped[node.op, node.provider].append(node)
    # Events are cut to whole microseconds: the parts of a tiny model may exceed the whole.
    total = max(run.total_s, math.fsum(node.seconds for node in run.nodes))
    operators = [
        ProfiledOperator(
            op=op,
            provider=provider,
            nodes=round(math.fsum(node.calls for node in nodes)),
            seconds=math.fsum(node.seconds for node in nodes),
            share=_share(nodes, total),
        )
        for (op, provider), nodes in grouped.items()
    ]
    return ModelProfile(
        runs=run.runs,
        total_s=total,
        overhead_share=max(0.0, 1.0 - _share(run.nodes, total)),
        unattributed_share=_share([node for node in run.nodes if not node.attributed], total),
        operators=sorted(operators, key=lambda row: -row.seconds),
    )


def _share(nodes: Iterable[ExecutedNode], total: float) -> float:
    return math.fsum(node.seconds for node in nodes) / total if total else 0.0


# ------------------------------------------------------------------------------------ layers


def place(subject: Subject, names: Mapping[str, str]) -> Placed:
    """Sort what a model executed by layer.

    Args:
        subject: the model.
        names: the row that each of its layers belongs to.
    """
    layers = _Layers(subject)
    rows: defaultdict[str, list[ExecutedNode]] = defaultdict(list)
    for node in subject.run.nodes:
        layer = layers.of(node)
        rows[names.get(layer, layer)].append(node)
    elements: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for tensor in subject.tensors:
        if tensor.layer is not None and tensor.role == "weight":
            row = names.get(tensor.layer, tensor.layer)
            elements[row][tensor.dtype] += tensor.logical_elements
    stored = {row: max(of, key=lambda dtype: of[dtype]) for row, of in elements.items()}
    return Placed(subject.run, rows, stored)


def row_names(
    layers: Sequence[Layer], original: Subject, compressed: Subject
) -> tuple[dict[str, str], dict[str, str]]:
    """For the layers of each model, the name of the row that they belong to."""
    owners = {tensor.name: tensor.layer for tensor in compressed.tensors}
    ours: dict[str, str] = {}
    theirs: dict[str, str] = {}
    for layer in layers:
        if layer.original is not None:
            ours[layer.original.name] = layer.name
        if layer.compressed is not None:
            theirs[layer.compressed.name] = layer.name
            for name in layer.compressed.tensors:
                theirs.setdefault(owners.get(name) or name, layer.name)
    return ours, theirs


def layer_rows(
    layers: Sequence[Layer], original: Placed, compressed: Placed
) -> list[ProfiledLayer]:
    """Both models layer by layer, in the order of the original; what is no layer comes last."""
    names = dict.fromkeys([layer.name for layer in layers])
    names |= dict.fromkeys([*original.rows, *compressed.rows])
    ordered = [name for name in names if name not in _LAST] + list(_LAST)
    rows = []
    for name in ordered:
        before, after = (_seconds(side, name) for side in (original, compressed))
        if before is not None or after is not None:
            rows.append(
                ProfiledLayer(
                    name=name,
                    original_s=before,
                    compressed_s=after,
                    delta_s=(after or 0.0) - (before or 0.0),
                )
            )
    return rows


def _seconds(side: Placed, row: str) -> float | None:
    if row == OVERHEAD:
        return side.overhead_s
    if row not in side.rows:
        return None
    return math.fsum(node.seconds for node in side.rows[row])


class _Layers:
    """The layer of everything that one model executes."""

    def __init__(self, subject: Subject) -> None:
        rows = {row.name: row for row in subject.tensors if row.layer not in (None, ELSEWHERE)}
        self._names = {row.layer for row in rows.values()}
        self._candidates: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        graph = None if subject.model is None else subject.model.graph
        if graph is None or subject.model is None:
            return
        used = [(tensor.use.node, tensor.name) for tensor in subject.model.tensors if tensor.use]
        taken = [(node.name, value) for node in graph.nodes for value in node.inputs]
        for node, tensor in (*used, *taken):
            row = rows.get(tensor)
            if row is not None and row.layer is not None:
                self._candidates[node].append((_weight_of(row), row.layer))

    def of(self, node: ExecutedNode) -> str:
        """The layer that computes with what is stored, or what the node is instead of one."""
        if node.inserted:
            return INSERTED
        if node.module in self._names:
            return node.module
        found = [candidate for name in node.nodes for candidate in self._candidates.get(name, ())]
        if found:
            most = max(weight for weight, _ in found)
            layers = {layer for weight, layer in found if weight == most}
            return layers.pop() if len(layers) == 1 else SEVERAL
        return ELSEWHERE if node.attributed else UNATTRIBUTED


def _weight_of(row: TensorResult) -> int:
    """A fused node goes by its matrix or kernel, a normalisation folded into it does not count."""
    if row.role == "weight":
        return 3 if len(row.shape) >= _LINEAR_RANK else 2
    return 1 if row.role == "bias" else 0
