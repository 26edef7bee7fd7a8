"""CA1xx: what is stored that should not be, or not like that."""

from __future__ import annotations

from os.path import realpath

from compaudit.findings.evidence import Evidence, Rule
from compaudit.models.base import Role
from compaudit.results import Finding
from compaudit.results.behaviour import Degenerate
from compaudit.units import format_bytes, format_count

__all__ = ["RULES"]

_NOTICEABLE_SHARE = 0.01
_MOST_LISTED = 3
_HELD = ("file", "memory")
"""Where tensors lie that need no file beside the model's."""


def stored_twice(evidence: Evidence) -> Finding | None:
    """CA104: tensors of equal contents under different names."""
    twice = [
        tensor
        for tensor in evidence.compressed_tensors
        if tensor.duplicate_of is not None and tensor.role in (Role.WEIGHT, Role.BIAS)
    ]
    size = sum(tensor.bytes for tensor in twice)
    if not _is_worth_saving(size, evidence):
        return None
    first = max(twice, key=lambda tensor: tensor.bytes)
    return Finding(
        code="CA104",
        severity="info",
        title="tensors are stored twice",
        detail=f"{first.name} holds the same as {first.duplicate_of}; "
        + (
            f"it takes {format_bytes(size)} and counts as parameters"
            if len(twice) == 1
            else f"{len(twice):,} such tensors take {format_bytes(size)} and count as parameters"
        ),
        hint="store one and let both names point at it: tie the weights before the export",
    )


def never_read(evidence: Evidence) -> Finding | None:
    """CA106: tensors that no operator reads, or that belong to training."""
    unused = [tensor for tensor in evidence.compressed_tensors if tensor.role == Role.UNUSED]
    size = sum(tensor.bytes for tensor in unused)
    if not _is_worth_saving(size, evidence):
        return None
    first = max(unused, key=lambda tensor: tensor.bytes)
    return Finding(
        code="CA106",
        severity="warning",
        title="the file holds what nothing uses",
        detail=f"1 tensor, {first.name}, takes {format_bytes(size)}"
        if len(unused) == 1
        else f"{len(unused):,} tensors, {first.name} first, take {format_bytes(size)}",
        hint="leave them out when saving: dead initializers, averaged copies, optimiser state",
    )


def _is_worth_saving(size: int, evidence: Evidence) -> bool:
    whole = evidence.compressed.file_bytes or evidence.compressed.weight_bytes or 0
    return size > 0 and size >= _NOTICEABLE_SHARE * whole


def degenerate_scales(evidence: Evidence) -> Finding | None:
    """CA107: scales that are zero over codes that are not, or that are no finite numbers."""
    found = evidence.degenerate
    if not found:
        return None
    more = len(found) - _MOST_LISTED
    others = f"; and {format_count(more)} more" if more > 0 else ""
    return Finding(
        code="CA107",
        severity="error",
        title="scales are zero or not finite",
        detail="; ".join(map(_degenerate_text, found[:_MOST_LISTED])) + others,
        hint="a range was never observed, or overflowed the type of the scale: calibrate this "
        "layer again, or leave it out",
    )


def _degenerate_text(found: Degenerate) -> str:
    count = format_count(found.count)
    one = found.count == 1
    match found.what:
        case "lost":
            what = f"{count} {'weight' if one else 'weights'} lost to a scale of zero"
        case "zero":
            what = f"{count} {'scale is' if one else 'scales are'} zero"
        case "not finite":
            what = f"{count} scales or zero points are NaN or infinite"
            if one:
                what = "1 scale or zero point is NaN or infinite"
    return f"{found.name}: {what}"


def several_files(evidence: Evidence) -> Finding | None:
    """CA109: the model does not lie in one file, or leans on the original's."""
    files = evidence.compressed_model.files if evidence.compressed_model is not None else ()
    outside = {
        tensor.location for tensor in evidence.compressed_tensors if tensor.location not in _HELD
    }
    if evidence.compressed.format != "onnx" or not outside:
        return None
    named = ", ".join(sorted(outside)[:_MOST_LISTED])
    size = sum(t.bytes for t in evidence.compressed_tensors if t.location in outside)
    if shared := _shared_with_original(evidence):
        return Finding(
            code="CA109",
            severity="warning",
            title="the compressed model needs a file of the original",
            detail=f"{shared} holds weights of both models: whoever replaces or deletes the "
            "original takes them from the compressed model too",
            hint="save the compressed model with external data of its own",
        )
    return Finding(
        code="CA109",
        severity="info",
        title="the model is more than one file",
        detail=f"{format_bytes(size)} of its tensors lie beside it, in {named}; file_bytes counts "
        + ("both files" if len(files) == 2 else f"all {len(files):,} files"),
        hint="ship them together, in one folder and under these names: alone, the model does not "
        "load",
    )


def _shared_with_original(evidence: Evidence) -> str:
    """The name of a file beside the model that the original uses too; not where both are one."""
    original, compressed = evidence.original_model, evidence.compressed_model
    if original is None or compressed is None or not original.files or not compressed.files:
        return ""
    own = {realpath(path) for path in original.files}
    if realpath(compressed.files[0]) in own:
        return ""
    return next((path.name for path in compressed.files[1:] if realpath(path) in own), "")


RULES: tuple[Rule, ...] = (stored_twice, never_read, degenerate_scales, several_files)
