"""Times of a saved report, computed again from its raw blocks; expected figures are SciPy's."""

import math
from typing import Any

import canned_raw
import msgspec
import pytest

from compaudit.errors import RequestError
from compaudit.measure.latency.recorded import require_unaltered, timed_again
from compaudit.results import Comparison, RawBlock

REPORT = canned_raw.comparison()
LOGS = [math.log(ratio) for ratio in canned_raw.RATIOS]


def altered(path: str, value: Any, report: Comparison = REPORT) -> Comparison:
    """The report with another value at this path."""
    document = msgspec.to_builtins(report)
    *steps, last = path.split(".")
    place = document
    for step in steps:
        place = place[step]
    assert place[last] != value
    place[last] = value
    return msgspec.convert(document, Comparison)


def with_block(index: int, **figures: Any) -> Comparison:
    assert REPORT.samples is not None
    blocks = list(REPORT.samples.blocks)
    blocks[index] = msgspec.structs.replace(blocks[index], **figures)
    return with_blocks(blocks)


def with_blocks(blocks: list[RawBlock]) -> Comparison:
    samples = msgspec.structs.replace(REPORT.samples, blocks=blocks)
    return msgspec.structs.replace(REPORT, samples=samples)


def test_figures_by_another_hand_follow_from_the_blocks() -> None:
    require_unaltered(REPORT, 0.95, 0.03)


def test_another_confidence_is_another_interval_of_the_same_figure() -> None:
    again = timed_again(REPORT, 0.99, 0.03)
    assert again.delta is not None
    expected = canned_raw.interval(LOGS, 0.99)
    assert again.delta.value == pytest.approx(expected.value, rel=1e-9)
    assert again.delta.low == pytest.approx(expected.low, rel=1e-9)
    assert again.delta.high == pytest.approx(expected.high, rel=1e-9)
    assert again.delta.confidence == 0.99
    # By hand: mean 0.70782, standard error 0.04295, and t₀.₉₉₅ of 2 degrees of freedom is 9.925.
    assert again.delta.low == pytest.approx(math.exp(0.70782 - 9.925 * 0.04295), rel=1e-4)
    assert again.original.latency is not None
    typical = canned_raw.interval([log + math.log(canned_raw.COMPRESSED_S) for log in LOGS], 0.99)
    assert again.original.latency.median_s is not None
    assert again.original.latency.median_s.high == pytest.approx(typical.high, rel=1e-9)
    require_unaltered(again, 0.99, 0.03)


def test_another_resolution_is_another_verdict_on_the_same_interval() -> None:
    """6 % is more than the margin of 5 %, and less than 1.5 times a resolution of 10 %."""
    report = canned_raw.comparison(ratios=(1.058, 1.06, 1.062))
    require_unaltered(report, 0.95, 0.03)
    again = timed_again(report, 0.95, 0.1)
    assert again.delta is not None
    assert report.delta is not None
    assert again.delta.verdict == "no_measurable_change"
    assert again.delta.low == pytest.approx(report.delta.low, rel=1e-9)


ALTERED: dict[str, Any] = {
    "delta.value": 2.1,
    "delta.low": 1.9,
    "delta.high": None,
    "delta.verdict": "slower",
    "delta.epochs": 12,
    "delta.minimal_detectable_effect": 0.01,
    "delta.noise_floor": 0.0,
    "delta.cpu_time_ratio.value": 3.0,
    "delta.device_ratio": {"value": 2.0, "low": 1.9, "high": 2.1},
    "original.latency.median_s.value": 0.03,
    "original.latency.mean_s": None,
    "compressed.latency.p90_s": 0.02,
    "compressed.latency.p99_s": 0.02,
    "compressed.latency.throughput_per_s": 200.0,
    "compressed.latency.calls": 1000,
    "compressed.latency.device_s": {"value": 0.01, "low": None, "high": None},
    "samples.two_looks": True,
}


@pytest.mark.parametrize("path", ALTERED)
def test_an_altered_figure_is_refused_by_name(path: str) -> None:
    with pytest.raises(RequestError, match="altered") as caught:
        require_unaltered(altered(path, ALTERED[path]), 0.95, 0.03)
    if not path.startswith("samples"):
        assert path in caught.value.message
    assert "0.1.0" in caught.value.hint


def test_what_rounding_does_is_no_alteration() -> None:
    assert REPORT.delta is not None
    require_unaltered(altered("delta.value", REPORT.delta.value * (1 + 1e-12)), 0.95, 0.03)


BROKEN: dict[str, Comparison] = {
    "no calls": with_block(0, calls=0),
    "no time": with_block(0, elapsed_s=0.0),
    "negative time": with_block(0, times_s=[0.01, -0.01, 0.01]),
    "no times": with_block(0, times_s=[]),
    "other model": with_block(0, model="compressed"),
    "overflowing": with_block(0, times_s=[1e308] * 3),
    "vanishing": with_block(0, elapsed_s=5e-324, times_s=[5e-324] * 3),
    "huge number of calls": with_block(0, calls=2**62),
    "none": with_blocks([]),
    "one model": with_blocks([one for one in canned_raw.blocks([2.0]) if one.model == "original"]),
    "epoch missing": with_blocks(canned_raw.blocks([1.9, 2.0])),
}


@pytest.mark.parametrize("what", BROKEN)
def test_altered_blocks_are_refused(what: str) -> None:
    with pytest.raises(RequestError) as caught:
        require_unaltered(BROKEN[what], 0.95, 0.03)
    assert caught.value.code == "altered-report"
    assert caught.value.hint


def test_a_model_that_died_gets_no_figures() -> None:
    """Of a pair of which one died, the blocks of the other are kept, and there is no δ."""
    assert REPORT.samples is not None
    alone = [block for block in REPORT.samples.blocks if block.model == "original"]
    samples = msgspec.structs.replace(REPORT.samples, blocks=alone)
    dead = msgspec.structs.replace(REPORT.compressed, latency=None)
    report = msgspec.structs.replace(REPORT, delta=None, compressed=dead, samples=samples)
    require_unaltered(report, 0.95, 0.03)
    again = timed_again(report, 0.99, 0.03)
    assert again.delta is None
    assert again.compressed.latency is None
