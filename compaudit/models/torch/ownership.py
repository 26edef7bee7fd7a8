"""Who owns which stored bytes, where several tensors are views of one block."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from compaudit.models.torch.strided import Strided

__all__ = ["Place", "place"]


@dataclass(frozen=True, slots=True)
class Place:
    """Which bytes a view adds to those of the others.

    Attributes:
        bytes: bytes that no view placed before it occupies.
        tied_to: the view that covers all of its bytes; None when it has bytes of its own.
        shared: bytes that it shares with others without being covered by one.
    """

    bytes: int
    tied_to: str | None = None
    shared: int = 0


def place(views: Mapping[str, Strided]) -> dict[str, Place]:
    """Give every stored byte to exactly one view; the larger view comes first, then the earlier.

    The views must fit their blocks.
    """
    blocks: dict[Hashable, dict[str, Strided]] = {}
    for name, view in views.items():
        blocks.setdefault(view.block, {})[name] = view
    places: dict[str, Place] = {}
    for members in blocks.values():
        places.update(_place_in_block(members))
    return {name: places[name] for name in views}


def _place_in_block(views: Mapping[str, Strided]) -> dict[str, Place]:
    first: dict[tuple[object, ...], str] = {}
    places: dict[str, Place] = {}
    distinct: dict[str, Strided] = {}
    for name, view in views.items():
        owner = first.setdefault((view.start, view.shape, view.strides, view.dtype), name)
        if owner != name and view.elements:
            places[name] = Place(0, tied_to=owner)
        else:
            distinct[name] = view
    if _are_disjoint(distinct):
        for name, view in distinct.items():
            places[name] = Place(view.elements * view.item_bytes)
    else:
        places.update(_place_overlapping(distinct))
    return places


def _are_disjoint(views: Mapping[str, Strided]) -> bool:
    previous = 0
    for view in sorted(views.values(), key=lambda view: view.start):
        if not view.is_injective or (view.elements and view.start < previous):
            return False
        previous = max(previous, view.end)
    return True


def _place_overlapping(views: Mapping[str, Strided]) -> dict[str, Place]:
    """The general case, on a map of the block's occupied units."""
    unit = math.gcd(*(view.item_bytes for view in views.values()))
    block_bytes = max(view.block_bytes for view in views.values())
    taken = np.zeros(block_bytes // unit + 1, np.bool_)
    places: dict[str, Place] = {}
    done: list[tuple[str, Strided]] = []
    for name, view in sorted(views.items(), key=lambda item: item[1].start - item[1].end):
        scale = view.item_bytes // unit
        shape = (
            n if stride else min(n, 1) for n, stride in zip(view.shape, view.strides, strict=True)
        )
        cells = np.lib.stride_tricks.as_strided(
            taken[view.start // unit :],
            (*shape, scale),
            (*(stride * scale for stride in view.strides), 1),
        )
        before = int(np.count_nonzero(taken[view.start // unit : -(-view.end // unit)]))
        covered = int(np.count_nonzero(cells)) * unit
        cells[...] = True
        after = int(np.count_nonzero(taken[view.start // unit : -(-view.end // unit)]))
        owner = next(
            (other for other, over in done if over.start <= view.start and view.end <= over.end),
            None,
        )
        own = (after - before) * unit
        if own == 0 and owner is not None:
            places[name] = Place(0, tied_to=owner)
        else:
            places[name] = Place(own, shared=covered)
        done.append((name, view))
    return places
