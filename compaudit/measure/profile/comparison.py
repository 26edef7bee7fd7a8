"""Two profiled models as the `profile` of a report."""

from __future__ import annotations

from collections.abc import Sequence

from compaudit.measure.profile.causes import Circumstances, find_causes
from compaudit.measure.profile.rows import Subject, layer_rows, model_profile, place, row_names
from compaudit.results import Layer, Profile

__all__ = ["Circumstances", "Subject", "compare_profiles"]


def compare_profiles(
    original: Subject, compressed: Subject, layers: Sequence[Layer], around: Circumstances
) -> Profile:
    """Where the time of both models goes, lined up.

    Args:
        original: as it was profiled.
        compressed: likewise.
        layers: which layer became which; without any, layers of one name are compared.
        around: what else one has to know.
    """
    ours, theirs = row_names(layers, original, compressed)
    before, after = place(original, ours), place(compressed, theirs)
    return Profile(
        original=model_profile(original.run),
        compressed=model_profile(compressed.run),
        layers=layer_rows(layers, before, after),
        causes=find_causes(before, after, layers, around),
    )
