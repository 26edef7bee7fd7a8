"""Which layer of the original became which of the compressed model?

Names come first: exporters and quantisers keep them. What they do not settle is aligned by
structure, in order, between the layers that are settled. Nothing is matched that differs in kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise, product
from typing import Literal

from compaudit.measure.layers.names import ELSEWHERE
from compaudit.results import LayerSide, TensorResult

__all__ = ["Counterpart", "Profile", "line_up", "profiles_of"]

Change = Literal["matched", "factorized", "folded", "removed", "added"]

_LINEAR_RANK = 2
_END = 1 << 60


@dataclass(frozen=True, slots=True)
class Profile:
    """A layer with what it is matched by.

    Attributes:
        layer: the layer.
        place: its number in the model.
        weights: its weight tensors, the largest first.
        biases: its biases.
        statistics: what a normalisation has measured, its mean and variance, one a channel.
    """

    layer: LayerSide
    place: int
    weights: tuple[TensorResult, ...]
    biases: tuple[TensorResult, ...] = ()
    statistics: tuple[TensorResult, ...] = ()

    @property
    def channels(self) -> int | None:
        """Of a normalisation with running statistics, how many; else None."""
        vector = bool(self.weights) and len(self.weights[0].shape) == 1
        return self.weights[0].shape[0] if self.statistics and vector else None

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.name

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the largest weight, without leading dimensions of one."""
        shape = tuple(self.weights[0].shape) if self.weights else ()
        while len(shape) > _LINEAR_RANK and shape[0] == 1:
            shape = shape[1:]
        return shape

    @property
    def kind(self) -> Hashable:
        """What a counterpart has to agree in: the number of weight dimensions, and of weights."""
        if not self.weights:
            return ("bias",) if self.layer.parameters else ("no parameters", self.layer.macs)
        return len(self.shape), self.channels is not None

    @property
    def exact(self) -> Hashable:
        """The kind with all sizes; those of a matrix in any order, it may be stored transposed."""
        shape = self.shape
        return self.kind, tuple(sorted(shape)) if len(shape) == _LINEAR_RANK else shape


@dataclass(frozen=True, slots=True)
class Counterpart:
    """A layer of the original beside what became of it.

    Attributes:
        original: None for an added layer.
        compressed: the factors of a factorised layer in order, one layer, or none.
        change: see `results.Layer`.
        by: what the match rests on.
        target: of a folded layer, the layer of the original that it went into.
    """

    original: Profile | None
    compressed: tuple[Profile, ...]
    change: Change
    by: Literal["name", "structure"] | None = None
    target: Profile | None = None


def profiles_of(layers: Sequence[LayerSide], tensors: Sequence[TensorResult]) -> list[Profile]:
    """Layers with the shapes of their weights. Those that hold and compute nothing are left out."""
    rows = {row.name: row for row in tensors}
    found: list[Profile] = []
    for layer in layers:
        if not (layer.parameters or layer.macs or layer.weight_bytes or layer.tensors):
            continue
        own = [rows[name] for name in layer.tensors]
        weights = sorted(
            (row for row in own if row.role == "weight"), key=lambda row: -row.logical_elements
        )
        biases = tuple(row for row in own if row.role == "bias")
        measured = tuple(row for row in own if row.role == "buffer" and len(row.shape) == 1)
        found.append(Profile(layer, len(found), tuple(weights), biases, measured))
    return found


def line_up(original: Sequence[Profile], compressed: Sequence[Profile]) -> list[Counterpart]:
    """Both models layer by layer, in the order of the original; added layers where they stand."""
    matched: dict[int, Counterpart] = {}
    free = {profile.place: profile for profile in compressed}

    def take(counterpart: Counterpart) -> None:
        assert counterpart.original is not None, "an added layer is nobody's counterpart"
        matched[counterpart.original.place] = counterpart
        for profile in counterpart.compressed:
            free.pop(profile.place, None)

    for rule in _RULES:
        open_ = [profile for profile in original if profile.place not in matched]
        for counterpart in rule(open_, list(free.values()), matched):
            take(counterpart)
    rows = []
    for profile in original:
        known = matched.get(profile.place) or _folded(profile, original, matched)
        rows.append(known or Counterpart(profile, (), "removed"))
    return _with_added(rows, list(free.values()))


Settled = dict[int, Counterpart]

# ------------------------------------------------------------------------------------ by name


def _same_name(
    original: Sequence[Profile], compressed: Sequence[Profile], settled: Settled
) -> Iterator[Counterpart]:
    by_name = {profile.name: profile for profile in compressed}
    for profile in original:
        other = by_name.get(profile.name)
        if other is not None and (other.kind == profile.kind or profile.name == ELSEWHERE):
            yield Counterpart(profile, (other,), "matched", "name")


def _owner_of_tied(
    original: Sequence[Profile], compressed: Sequence[Profile], settled: Settled
) -> Iterator[Counterpart]:
    """An exporter keeps one of two names of a tied weight, maybe not that of its owner."""
    by_name = {profile.name: profile for profile in compressed}
    owners = {row.name: profile for profile in original for row in profile.weights}
    for profile in original:
        tied = profile.weights[0].tied_to if profile.weights else None
        owner = owners.get(tied or "")
        other = by_name.get(profile.name)
        if owner is None or other is None or owner.name in by_name:
            continue
        if other.exact == owner.exact:
            yield Counterpart(owner, (other,), "matched", "name")


def _factors_by_name(
    original: Sequence[Profile], compressed: Sequence[Profile], settled: Settled
) -> Iterator[Counterpart]:
    """``hidden`` became ``hidden.0`` and ``hidden.1``."""
    for profile in original:
        if len(profile.shape) < _LINEAR_RANK:
            continue
        factors = tuple(
            other
            for other in compressed
            if other.name.startswith((f"{profile.name}.", f"{profile.name}_", f"{profile.name}/"))
            and len(other.shape) == len(profile.shape)
        )
        if len(factors) > 1:
            yield Counterpart(profile, factors, "factorized", "name")


# ------------------------------------------------------------------------------- by structure


def _same_structure(
    original: Sequence[Profile], compressed: Sequence[Profile], settled: Settled
) -> Iterator[Counterpart]:
    yield from _aligned(original, compressed, settled, lambda profile: profile.exact)


def _only_one_of_its_structure(
    original: Sequence[Profile], compressed: Sequence[Profile], settled: Settled
) -> Iterator[Counterpart]:
    """Wherever it stands: a layer whose kind and sizes no other open layer has."""
    ours = Counter(profile.exact for profile in original)
    theirs = Counter(profile.exact for profile in compressed)
    by_structure = {profile.exact: profile for profile in compressed}
    for profile in original:
        if profile.weights and ours[profile.exact] == theirs[profile.exact] == 1:
            yield Counterpart(profile, (by_structure[profile.exact],), "matched", "structure")


def _same_kind(
    original: Sequence[Profile], compressed: Sequence[Profile], settled: Settled
) -> Iterator[Counterpart]:
    """Layers of one kind in other sizes, only where a gap holds as many of them on both sides."""
    for left, right in _gaps(original, compressed, settled):
        for kind in dict.fromkeys(profile.kind for profile in left if profile.weights):
            ours = [profile for profile in left if profile.kind == kind]
            theirs = [profile for profile in right if profile.kind == kind]
            if len(ours) == len(theirs):
                for profile, other in zip(ours, theirs, strict=True):
                    yield Counterpart(profile, (other,), "matched", "structure")


def _aligned(
    original: Sequence[Profile],
    compressed: Sequence[Profile],
    settled: Settled,
    signature: Callable[[Profile], Hashable],
) -> Iterator[Counterpart]:
    for left, right in _gaps(original, compressed, settled):
        blocks = SequenceMatcher(
            None, [signature(p) for p in left], [signature(p) for p in right], autojunk=False
        ).get_matching_blocks()
        for start, other_start, size in blocks:
            for step in range(size):
                profile, other = left[start + step], right[other_start + step]
                yield Counterpart(profile, (other,), "matched", "structure")


def _gaps(
    original: Sequence[Profile], compressed: Sequence[Profile], settled: Settled
) -> Iterator[tuple[list[Profile], list[Profile]]]:
    """What is open on both sides between two settled layers, where those are in one order."""
    anchors = sorted(
        (place, counterpart.compressed[-1].place)
        for place, counterpart in settled.items()
        if counterpart.compressed
    )
    ordered = all(one[1] < other[1] for one, other in pairwise(anchors))
    if not ordered:
        anchors = []
    edges = [(-1, -1), *anchors, (_END, _END)]
    for (low, other_low), (high, other_high) in pairwise(edges):
        left = [profile for profile in original if low < profile.place < high]
        right = [profile for profile in compressed if other_low < profile.place < other_high]
        if left and right:
            yield left, right


def _factors_in_order(
    original: Sequence[Profile], compressed: Sequence[Profile], settled: Settled
) -> Iterator[Counterpart]:
    """Two or three neighbours whose channels lead from the layer's inputs to its outputs."""
    used: set[int] = set()
    for profile in original:
        if len(profile.shape) < _LINEAR_RANK:
            continue
        for count in (2, 3):
            for start in range(len(compressed) - count + 1):
                factors = compressed[start : start + count]
                neighbours = factors[-1].place - factors[0].place == count - 1
                fresh = used.isdisjoint(factor.place for factor in factors)
                if neighbours and fresh and _chain(profile.shape, [f.shape for f in factors]):
                    used.update(factor.place for factor in factors)
                    yield Counterpart(profile, tuple(factors), "factorized", "structure")
                    break
            else:
                continue
            break


def _chain(whole: tuple[int, ...], factors: Sequence[tuple[int, ...]]) -> bool:
    """Whether factors [r, in, …], [out, r, …] make a whole [out, in, …].

    A matrix may be stored as [in, out], the factors in another way than the whole.
    """
    if any(len(shape) != len(whole) for shape in factors):
        return False
    turns = (False, True) if len(whole) == _LINEAR_RANK else (False,)
    for turned_whole, turned in product(turns, turns):
        outputs, inputs = whole[:2][::-1] if turned_whole else whole[:2]
        sides = [shape[:2][::-1] if turned else shape[:2] for shape in factors]
        joined = all(one[0] == other[1] for one, other in pairwise(sides))
        if joined and sides[0][1] == inputs and sides[-1][0] == outputs:
            return True
    return False


_RULES: tuple[
    Callable[[Sequence[Profile], Sequence[Profile], Settled], Iterator[Counterpart]], ...
] = (
    _owner_of_tied,
    _same_name,
    _factors_by_name,
    _same_structure,
    _only_one_of_its_structure,
    _same_kind,
    _factors_in_order,
)

# ------------------------------------------------------------------------------------ the rest


def _folded(profile: Profile, original: Sequence[Profile], settled: Settled) -> Counterpart | None:
    """A normalisation that is gone, while the layer that it normalises is still there."""
    if profile.channels is None:
        return None
    fitting = [
        other
        for other in original
        if len(other.shape) >= _LINEAR_RANK and profile.channels in other.shape[:2]
    ]
    if not fitting:
        return None
    parent, _, own = profile.name.rpartition(".")

    def likeness(other: Profile) -> tuple[bool, bool, bool, int]:
        """Siblings first, then equal numbers (bn1, conv1), then the nearest before it."""
        stem, _, last = other.name.rpartition(".")
        before = other.place < profile.place
        return (
            stem == parent,
            _digits(last) == _digits(own),
            before,
            -abs(profile.place - other.place),
        )

    target = max(fitting, key=likeness)
    known = settled.get(target.place)
    return Counterpart(profile, (), "folded", None, target) if known else None


def _digits(name: str) -> str:
    return "".join(filter(str.isdigit, name))


def _with_added(rows: list[Counterpart], added: Sequence[Profile]) -> list[Counterpart]:
    """Added layers behind the counterpart of the layer that they follow in their model."""
    placed = list(rows)
    for profile in sorted(added, key=lambda profile: profile.name == ELSEWHERE):
        if profile.name == ELSEWHERE:
            placed.append(Counterpart(None, (profile,), "added"))
            continue
        before = [
            index
            for index, row in enumerate(placed)
            if row.compressed and row.compressed[-1].place < profile.place
        ]
        # The nearest in its own model decides, wherever the original has it.
        nearest = max(before, key=lambda index: placed[index].compressed[-1].place, default=-1)
        placed.insert(nearest + 1, Counterpart(None, (profile,), "added"))
    return placed
