"""What a profile adds to the findings of speed: the causes."""

from typing import Any

import canned
import msgspec
import pytest

from compaudit.findings import Evidence, find
from compaudit.results import Cause, Delta, Finding, ModelProfile, Profile

REPORT = canned.comparison()
RAN = ModelProfile(runs=9, total_s=1e-3, overhead_share=0, unattributed_share=0, operators=[])


def cause(detail: str, extra_s: float | None = 1e-4) -> Cause:
    return Cause(kind="cast_nodes", detail=detail, seconds=2e-4, extra_s=extra_s, nodes=3)


def profile(*causes: Cause) -> Profile:
    return Profile(original=RAN, compressed=RAN, layers=[], causes=list(causes))


def delta(verdict: str, value: float) -> Delta:
    assert REPORT.delta is not None
    return msgspec.structs.replace(
        REPORT.delta,
        verdict=verdict,
        value=value,
        low=value - 0.02,
        high=value + 0.02,
        cpu_time_ratio=None,
    )


def found(profiled: Profile | None, measured: Delta | None, **changes: Any) -> dict[str, Finding]:
    fields: dict[str, Any] = {
        "original": REPORT.original,
        "compressed": REPORT.compressed,
        "original_model": None,
        "compressed_model": None,
        "compressed_tensors": (),
        "layers": (),
        "runtimes": ("onnxruntime", "onnxruntime"),
        "alpha": REPORT.alpha,
        "delta": measured,
        "accuracy": REPORT.accuracy,
        "divergence": REPORT.divergence,
        "never_steady": (),
        "profile": profiled,
    }
    return {finding.code: finding for finding in find(Evidence(**fields | changes))}


CAUSES = profile(cause("first"), cause("second", 2e-5), cause("third", None), cause("fourth"))


def test_smaller_but_slower_names_the_three_biggest_causes() -> None:
    detail = found(CAUSES, delta("slower", 0.8))["CA201"].detail
    assert detail.endswith(
        ". Its time goes to: first (+100 µs an inference); second (+20.0 µs an inference); third"
    )


@pytest.mark.parametrize("profiled", [None, profile()])
def test_without_causes_nothing_is_said_of_them(profiled: Profile | None) -> None:
    assert "time goes" not in found(profiled, delta("slower", 0.8))["CA201"].detail
    assert "CA204" not in found(profiled, delta("no_measurable_change", 1.0))


def test_what_costs_next_to_nothing_gets_no_figure() -> None:
    profiled = profile(cause("first", 9e-6))  # of 1 ms
    assert found(profiled, delta("slower", 0.8))["CA201"].detail.endswith("goes to: first")


def test_smaller_and_no_faster() -> None:
    finding = found(CAUSES, delta("no_measurable_change", 1.0))["CA204"]
    assert finding.severity == "info"
    assert finding.detail.startswith("α(weight_bytes) is ")
    assert "Its time goes to: first" in finding.detail


@pytest.mark.parametrize(
    ("verdict", "value", "fires"),
    [
        ("inconclusive", 0.97, True),
        ("inconclusive", 1.03, False),
        ("faster", 1.5, False),
        ("slower", 0.8, False),  # CA201 says it
        ("invalid", 0.9, False),
    ],
)
def test_when_it_is_said(verdict: str, value: float, fires: bool) -> None:
    assert ("CA204" in found(CAUSES, delta(verdict, value))) is fires


def test_a_model_that_did_not_shrink_owes_no_speed() -> None:
    alpha = msgspec.structs.replace(REPORT.alpha, weight_bytes=1.01, macs=1.0)
    assert "CA204" not in found(CAUSES, delta("no_measurable_change", 1.0), alpha=alpha)
    fewer = msgspec.structs.replace(REPORT.alpha, weight_bytes=1.0, macs=2.0)
    finding = found(CAUSES, delta("no_measurable_change", 1.0), alpha=fewer)["CA204"]
    assert finding.detail.startswith("α(macs) is 2.00×, and δ")


def test_an_audit_that_was_not_timed_has_neither() -> None:
    assert {"CA201", "CA204"}.isdisjoint(found(CAUSES, None))
