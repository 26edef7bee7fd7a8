"""Both models layer by layer: what became of each, and how far its weights are from the original's.

`line_up` says which layer became which; here the weights are compared, and it is put in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compaudit.measure.layers.grouping import layers_of, summed_up
from compaudit.measure.layers.matching import Counterpart, Profile, line_up, profiles_of
from compaudit.measure.layers.names import ELSEWHERE
from compaudit.measure.layers.weights import Difference, Weights, composed, difference, scaled
from compaudit.measure.macs.count import MacCount
from compaudit.results import Layer, LayerSide, TensorResult

__all__ = ["Subject", "compare_layers"]

_EPSILON = 1e-5
"""Of a normalisation, where no graph states it: the default of every framework."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One of the two models.

    Attributes:
        tensors: its ledger.
        macs: its operations, where they were counted.
        weights: the numbers of its weights and of what normalises them, by tensor.
        epsilons: of its normalisations, by the tensor that scales them.
        places: see `places_of`.
    """

    tensors: Sequence[TensorResult]
    macs: MacCount | None
    weights: Mapping[str, Weights]
    epsilons: Mapping[str, float]
    places: Mapping[str, int]

    def profiles(self) -> list[Profile]:
        """Its layers, ready to be matched."""
        return profiles_of(layers_of(self.tensors, self.macs, self.places), self.tensors)


def compare_layers(original: Subject, compressed: Subject) -> list[Layer]:
    """Every layer of both models, in the order of the original."""
    rows = line_up(original.profiles(), compressed.profiles())
    if original.macs is None or compressed.macs is None:
        # One model shows its products of two computed operands, the other cannot.
        rows = [row for row in rows if (row.compressed and row.original) or not _bare(row)]
    folds = {
        row.target.place: row.original
        for row in rows
        if row.change == "folded" and row.target is not None and row.original is not None
    }
    return [_layer(row, folds, original, compressed) for row in rows]


def _bare(row: Counterpart) -> bool:
    return all(not profile.layer.tensors for profile in (row.original, *row.compressed) if profile)


def _layer(
    row: Counterpart, folds: Mapping[int, Profile], original: Subject, compressed: Subject
) -> Layer:
    ours = row.original
    named = ours or row.compressed[0]
    fold = folds.get(ours.place) if ours is not None else None
    found = _difference(row, fold, original, compressed)
    side = None
    if row.compressed:
        layers = [profile.layer for profile in row.compressed]
        names = ", ".join(layer.name for layer in layers)
        side = layers[0] if len(layers) == 1 else summed_up(names, layers[0].op, layers)
    return Layer(
        name=named.name,
        op=named.layer.op,
        original=None if ours is None else ours.layer,
        compressed=side,
        change=row.change,
        matched_by=row.by,
        weight_sqnr_db=None if found is None else found.sqnr_db,
        weights_equal=None if found is None else found.is_none,
        note="; ".join(_notes(row, side, fold)),
    )


# -------------------------------------------------------------------------------- in numbers


def _difference(
    row: Counterpart, fold: Profile | None, original: Subject, compressed: Subject
) -> Difference | None:
    """Over all weights of the layer; None where one of them cannot be compared."""
    if row.original is None or not row.compressed or not row.original.weights:
        return None
    if row.change == "factorized":
        return _of_factors(row.original, row.compressed, original, compressed)
    total: Difference | None = None
    pairs = _pairs(row.original.weights, row.compressed[0].weights)
    for ours, theirs in pairs:
        left, right = original.weights.get(ours.name), compressed.weights.get(theirs.name)
        if left is None or right is None or _gates_differ(ours, theirs):
            return None
        if fold is not None:
            left = _with_fold(left, fold, original)
        part = None if left is None else difference(left, right)
        if part is None:
            return None
        total = part if total is None else total + part
    return total


def _pairs(
    ours: Sequence[TensorResult], theirs: Sequence[TensorResult]
) -> list[tuple[TensorResult, TensorResult]]:
    """Weights of one layer with those of the other: by the end of the name, else by size."""
    if len(ours) != len(theirs):
        return list(zip(ours[:1], theirs[:1], strict=True))
    by_name = {row.name.rpartition(".")[2]: row for row in theirs}
    names = [row.name.rpartition(".")[2] for row in ours]
    if len(by_name) == len(theirs) and set(names) == set(by_name):
        return [(row, by_name[name]) for row, name in zip(ours, names, strict=True)]
    return list(zip(ours, theirs, strict=True))


def _gates_differ(ours: TensorResult, theirs: TensorResult) -> bool:
    """ONNX orders the gates of a recurrent layer in another way than PyTorch.

    Its weights are [directions, gates, inputs], PyTorch's [gates, inputs].
    """
    shapes = sorted((ours.shape, theirs.shape), key=len)
    return [len(shape) for shape in shapes] == [2, 3] and shapes[1][1:] == shapes[0]


def _of_factors(
    whole: Profile, factors: Sequence[Profile], original: Subject, compressed: Subject
) -> Difference | None:
    weights = original.weights.get(whole.weights[0].name)
    parts = [compressed.weights.get(factor.weights[0].name) for factor in factors]
    known = [part for part in parts if part is not None]
    if weights is None or len(known) < len(parts):
        return None
    found = [difference(weights, product) for product in composed(known, weights.shape)]
    return min((one for one in found if one is not None), key=lambda d: d.noise, default=None)


def _with_fold(weights: Weights, norm: Profile, original: Subject) -> Weights | None:
    """The weights times γ / √(variance + ε); None where these are not known."""
    gain = norm.weights[0]
    gains = original.weights.get(gain.name)
    named = [row.name for row in norm.statistics if "mean" not in row.name]
    variance = original.weights.get(named[-1]) if named else None
    if gains is None or variance is None:
        return None
    gamma, spread = gains.array(), variance.array()
    if gamma is None or spread is None or gamma.size != spread.size:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        factors = gamma / np.sqrt(spread + original.epsilons.get(gain.name, _EPSILON))
    axes = [axis for axis in (0, 1) if weights.shape[axis] == factors.size]
    return scaled(weights, factors.reshape(-1), axes[0]) if axes else None


# ---------------------------------------------------------------------------------- in words


def _notes(row: Counterpart, side: LayerSide | None, fold: Profile | None) -> list[str]:
    ours = row.original
    match row.change:
        case "removed":
            return ["removed"]
        case "added":
            between = row.compressed[0].name == ELSEWHERE
            return ["scales of what flows between layers" if between else "added"]
        case "folded":
            assert row.target is not None, "a fold goes somewhere"
            assert ours is not None, "a fold is the original's"
            gone = ", ".join(name.rpartition(".")[2] or name for name in ours.layer.tensors)
            return [f"folded into {_beside(row.target.name, ours.name)}: {gone}"]
        case "factorized":
            ranks = [min(profile.shape[:2]) for profile in row.compressed]
            return [f"factorised into {len(ranks)}, rank {min(ranks)}"]
        case "matched":
            assert ours is not None, "a match has two sides"
            assert side is not None, "a match has two sides"
            return [*_changes(ours, row.compressed[0], fold), *_copies(ours, side)]


def _changes(ours: Profile, theirs: Profile, fold: Profile | None) -> list[str]:
    notes = []
    if ours.name != theirs.name:
        notes.append(f"now {theirs.name}")
    kinds = [_main(side.layer.precision) for side in (ours, theirs) if side.layer.precision]
    if len(set(kinds)) == 2:
        notes.append(f"{kinds[0]} → {kinds[1]}")
    if ours.weights and theirs.weights and _sizes(ours.shape) != _sizes(theirs.shape):
        notes.append(f"{_shape(ours.shape)} → {_shape(theirs.shape)}")
    if fold is not None:
        notes.append(f"{_beside(fold.name, ours.name)} folded in")
    before, after = _elements(ours.biases), _elements(theirs.biases)
    if not before and after:
        notes.append(f"bias ({after}) added")
    elif before and not after:
        notes.append(f"bias ({before}) gone")
    return notes


def _beside(name: str, other: str) -> str:
    """A layer's name, seen from another: without the module that both stand in."""
    parent = other.rpartition(".")[0]
    return name.removeprefix(f"{parent}.") if parent else name


def _elements(biases: Sequence[TensorResult]) -> int:
    return sum(row.logical_elements for row in biases)


def _copies(ours: Profile, side: LayerSide) -> list[str]:
    """A weight that the original ties, and the compressed model stores again."""
    if side.parameters <= ours.layer.parameters:
        return []
    tied = [row for row in ours.weights if row.tied_to is not None]
    return [f"{row.name} was tied to {row.tied_to} and is stored again" for row in tied]


def _main(precision: Mapping[str, int]) -> str:
    return max(precision, key=lambda dtype: precision[dtype])


def _sizes(shape: Sequence[int]) -> Any:
    return sorted(shape) if len(shape) == 2 else list(shape)


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
