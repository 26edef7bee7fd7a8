"""Findings on what a model does call after call: other outputs, more memory."""

from typing import Any

import canned

from compaudit.findings import Evidence, find
from compaudit.results import Finding
from compaudit.results.behaviour import MemoryGrowth, OutputChange

REPORT = canned.comparison()


def find_in(**changes: Any) -> list[Finding]:
    """The findings of a good audit, but for the changes."""
    fields: dict[str, Any] = {
        "original": REPORT.original,
        "compressed": REPORT.compressed,
        "original_model": None,
        "compressed_model": None,
        "compressed_tensors": (),
        "layers": (),
        "runtimes": ("onnxruntime", "onnxruntime"),
        "alpha": REPORT.alpha,
        "delta": REPORT.delta,
        "accuracy": REPORT.accuracy,
        "divergence": REPORT.divergence,
        "never_steady": (),
    }
    return find(Evidence(**fields | changes))


def change(difference: float | None, largest: float = 2.0, **others: Any) -> OutputChange:
    fields: dict[str, Any] = {
        "output": "logits",
        "what": "" if difference is not None else "was NaN or infinite in one run",
        "largest_difference": difference,
        "largest_value": largest,
        "real": True,
        "others": 0,
    }
    return OutputChange(**fields | others)


def found(**changes: OutputChange) -> Finding:
    (finding,) = find_in(output_changes=changes)
    assert finding.code == "CA404"
    return finding


def test_outputs_that_change_are_named_with_their_size() -> None:
    finding = found(compressed=change(0.5))
    assert finding.severity == "warning"
    assert "the compressed model's output 'logits' differed by up to 0.500" in finding.detail
    assert "25.0 % of its largest value" in finding.detail
    assert "divergence and accuracy contain that noise" in finding.detail


def test_rounding_is_worth_a_note_and_no_more() -> None:
    finding = found(original=change(2e-6))
    assert finding.severity == "info"
    assert "2.00e-06" in finding.detail
    assert found(original=change(0.001 * 2)).severity == "info"
    assert found(original=change(0.0011 * 2)).severity == "warning"


def test_one_model_that_changes_by_more_decides() -> None:
    finding = found(original=change(2e-6), compressed=change(0.5))
    assert finding.severity == "warning"
    assert finding.detail.index("the original model's") < finding.detail.index("the compressed")


def test_what_is_no_rounding_however_small() -> None:
    assert found(compressed=change(1, 1e6, real=False)).severity == "warning"  # another token
    assert found(compressed=change(None)).severity == "warning"
    assert found(compressed=change(1e-9, 0.0)).severity == "warning"  # it was zero everywhere


def test_text_shapes_and_further_outputs_are_told_in_words() -> None:
    detail = found(compressed=change(None, what="held another text", others=2)).detail
    assert "output 'logits' held another text (and 2 more of its outputs changed)" in detail


def test_memory_that_grows() -> None:
    growth = MemoryGrowth(bytes_per_call=10_240.0, total_bytes=8_600_000, calls=840, epochs=6)
    (finding,) = find_in(memory_growth={"compressed": growth})
    assert (finding.code, finding.severity) == ("CA206", "warning")
    assert "every call of the compressed model keeps about 10.2 kB" in finding.detail
    assert "8.60 MB over 840 calls, alike in each of 6 fresh processes" in finding.detail
