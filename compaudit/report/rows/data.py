"""What is to be known of the data below a report: samples that were left out, values converted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from compaudit.report.rows.base import Note
from compaudit.results import Data
from compaudit.units import format_count

__all__ = ["data_notes", "described"]

_SHOWN = 3


def described(data: Data) -> str:
    """The data in a few words: ``digits_test.npz, 899 samples``."""
    counted = f"{format_count(data.samples)} sample{'s' if data.samples != 1 else ''}"
    if data.uri is None:
        return f"SYNTHETIC inputs, {counted}"
    name = data.uri if ":" in data.uri else PurePath(data.uri).name or data.uri
    left_out = f", {format_count(data.skipped_samples)} left out" if data.skipped_samples else ""
    return f"{name}, {counted}{left_out}"


def data_notes(data: Data | None) -> Iterator[Note]:
    """Which samples could not be read, and what was done to the values of the others."""
    if data is None:
        return
    if data.skipped_samples:
        told = "; ".join(f"{one.name} ({one.reason})" for one in data.skipped[:_SHOWN])
        more = data.skipped_samples - min(len(data.skipped), _SHOWN)
        others = f"; and {format_count(more)} more" if more and told else ""
        counted = f"{format_count(data.skipped_samples)} of {format_count(data.samples)} samples"
        text = f"{counted} could not be read{': ' if told else ''}{told}{others}"
        yield Note("left out", text, mood="warning")
    for note in data.notes:
        yield Note("data", note)
