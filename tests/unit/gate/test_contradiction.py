"""Requirements that leave no room between them."""

import pytest

from compaudit.errors import RequestError
from compaudit.gate import parse_requirement, require_consistent


def consistent(*texts: str) -> None:
    require_consistent([parse_requirement(text) for text in texts])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alpha.macs >= 4", "alpha.macs <= 3"),
        ("alpha.macs <= 3", "alpha.macs >= 4"),
        ("alpha.macs >= 4", "warn: alpha.macs <= 3 # later"),
        ("alpha.macs > 3", "alpha.macs <= 3"),
        ("alpha.macs >= 3", "alpha.macs < 3"),
        ("alpha.macs == 3", "alpha.macs == 4"),
        ("alpha.macs == 3", "alpha.macs != 3"),
        ("alpha.macs == 3", "alpha.macs > 3"),
        ("alpha.macs == 3", "alpha.macs < 3"),
        ("delta >= 2", "delta.value <= 1.9"),
        ("compressed.file_bytes <= 1 MB", "compressed.file_bytes >= 1 MiB"),
        ("delta >= baseline + 5 %", "delta <= baseline - 5 %"),
        (
            "compressed.file_bytes <= 0.2 * original.file_bytes",
            "compressed.file_bytes >= 0.3 * original.file_bytes",
        ),
    ],
)
def test_contradictions_are_refused(one: str, other: str) -> None:
    with pytest.raises(RequestError, match="cannot both hold") as caught:
        consistent("delta >= 0.1", one, "alpha.weight_bytes >= 4", other)
    assert caught.value.code == "contradicting-requirements"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alpha.macs >= 3", "alpha.macs <= 3"),
        ("alpha.macs == 3", "alpha.macs <= 3"),
        ("alpha.macs != 3", "alpha.macs != 4"),
        ("alpha.macs >= 3", "alpha.file_bytes <= 2"),
        ("alpha.macs > 3", "alpha.macs >= 3"),
        # Whether these leave room depends on what is measured.
        ("delta >= baseline + 5 %", "delta <= 1.1"),
        ("accuracy.top1.delta >= baseline + 5 %", "accuracy.top1.delta <= baseline - 5 %"),
        ("delta >= baseline + 0.1", "delta <= baseline - 5 %"),
    ],
)
def test_what_may_hold_together_is_not(one: str, other: str) -> None:
    consistent(one, other)
    consistent(other, one)
