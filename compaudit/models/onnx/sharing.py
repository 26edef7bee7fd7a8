"""Tensors that share: names that occur twice, and external bytes that two tensors point at."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from compaudit.models.base import Tensor
from compaudit.models.onnx.external import Span

__all__ = ["counted_once", "named_apart"]


def named_apart(tensors: Iterable[Tensor]) -> list[Tensor]:
    """The same tensors with unique names; a broken model may use one twice."""
    taken: dict[str, int] = {}
    apart: list[Tensor] = []
    for tensor in tensors:
        name = wanted = tensor.name or "(unnamed)"
        while name in taken:
            taken[wanted] += 1
            name = f"{wanted}#{taken[wanted]}"
        taken[name] = 1
        apart.append(dataclasses.replace(tensor, name=name))
    return apart


def counted_once(tensors: Sequence[Tensor], spans: Sequence[Sequence[Span]]) -> list[Tensor]:
    """Every external byte counted for the first tensor that covers it.

    Args:
        tensors: each with all of its bytes.
        spans: the external bytes of each.

    Returns:
        The same tensors. One with exactly the bytes of another is tied to it and has 0 bytes of its
        own; one that overlaps another has the bytes that are only its own.
    """
    counted = list(tensors)
    places = sorted(
        ((span.real, span.offset, -span.length), place)
        for place, own in enumerate(spans)
        for span in own
        if span.length and tensors[place].bytes
    )
    owner, owner_key, covered = 0, None, 0
    for key, place in places:
        real, offset, length = key[0], key[1], -key[2]
        if owner_key is None or owner_key[0] != real:
            covered = 0
        shared = length - max(0, offset + length - max(offset, covered))
        covered = max(covered, offset + length)
        if shared:
            tensor, first = counted[place], counted[owner].name
            tied = key == owner_key
            note = "" if tied else f"shares {shared} bytes with {first}"
            counted[place] = dataclasses.replace(
                tensor,
                bytes=tensor.bytes - shared,
                tied_to=first if tied else tensor.tied_to,
                note="; ".join(filter(None, (tensor.note, note))),
            )
        if shared < length:
            owner, owner_key = place, key
    return counted
