"""What is to be known below a ledger: what was not counted, and tensors that share their bytes."""

from __future__ import annotations

from collections.abc import Iterator

from compaudit.report.rows.base import Note
from compaudit.report.rows.several import names_of
from compaudit.results import InspectedModel, Inspection
from compaudit.units import format_bytes, format_count

__all__ = ["footnotes", "kept_together", "missing"]

_SHOWN_TIES = 3
_WORTH_TELLING = 0.001
"""The share of a file from which on duplicates are told."""
_LINED_UP = (
    *("parameters", "sparsity", "weight_bytes", "bits_per_weight", "entropy_bytes"),
    *("graph_bytes", "file_bytes", "macs"),
)
"""The figures that are shown of several models."""
# What `inspect` measures of no model, so that saying so of each would tell nothing.
_NEVER = (
    *("latency", "load_s", "first_inference_s", "peak_memory_bytes", "peak_device_memory_bytes"),
    *("resident_anonymous_bytes", "resident_file_bytes"),
)


def missing(report: Inspection, place: int) -> dict[str, str]:
    """Reasons for what is null of one model, by key."""
    prefix = f"models[{place}]."
    reasons = {
        skipped.metric.removeprefix(prefix): skipped.reason
        for skipped in report.skipped
        if skipped.metric.startswith(prefix)
    }
    return {key: reason for key, reason in reasons.items() if key not in _NEVER}


def footnotes(report: Inspection) -> tuple[Note, ...]:
    """Of several models: what holds for more than one of them is said once."""
    names = names_of(report.models)
    told: dict[Note, list[str]] = {}
    for place, name in enumerate(names):
        for note in (*_not_counted(report, place), *kept_together(report.models[place])):
            told.setdefault(note, []).append(name)
    return tuple(
        Note(note.label, f"{'all' if len(of) == len(names) else ', '.join(of)}: {note.text}")
        for note, of in told.items()
    )


def _not_counted(report: Inspection, place: int) -> Iterator[Note]:
    by_reason: dict[str, list[str]] = {}
    for key, reason in missing(report, place).items():
        if key in _LINED_UP:
            by_reason.setdefault(reason, []).append(
                "MACs" if key == "macs" else key.replace("_", " ")
            )
    for reason, keys in by_reason.items():
        yield Note("not counted", f"{', '.join(keys)} ({reason})")
    macs = report.models[place].macs
    if macs is not None and macs.uncounted_ops:
        yield Note("not counted", f"MACs of {', '.join(macs.uncounted_ops)}")


def kept_together(model: InspectedModel) -> tuple[Note, ...]:
    """Tensors that are stored once under several names, and those that are stored twice."""
    tied = [tensor for tensor in model.tensors if tensor.tied_to is not None]
    notes = [
        Note("tied", f"{tensor.name} is tied to {tensor.tied_to}: stored and counted once")
        for tensor in tied[:_SHOWN_TIES]
    ]
    if len(tied) > _SHOWN_TIES:
        more = format_count(len(tied) - _SHOWN_TIES)
        notes.append(Note("tied", f"and {more} more; --tensors shows all"))
    twice = [tensor for tensor in model.tensors if tensor.duplicate_of is not None]
    size = sum(tensor.bytes for tensor in twice)
    if size and size >= _WORTH_TELLING * (model.file_bytes or 0):
        largest = max(twice, key=lambda tensor: tensor.bytes)
        what = "1 tensor holds" if len(twice) == 1 else f"{len(twice):,} tensors hold"
        such = f"{largest.name} those of {largest.duplicate_of}"
        text = f"{what} the bytes of another once more, {format_bytes(size)} in all: {such}"
        notes.append(Note("stored twice", text))
    return tuple(notes)
