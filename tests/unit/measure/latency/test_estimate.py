"""From blocks to δ and to each model's latency, by hand calculation."""

import math
import statistics

import pytest
from scipy import stats

from compaudit.measure.latency.estimate import (
    LEAST_CALLS_P90,
    LEAST_CALLS_P99,
    estimate_delta,
    summarise,
)
from compaudit.measure.latency.experiment import ModelName, Trace, cpu_epoch_values, epoch_values
from compaudit.results import RawBlock


def block(
    epoch: int, quad: int, position: int, model: ModelName, times_s: list[float], cpu: float = 1.0
) -> RawBlock:
    elapsed_s = math.fsum(times_s)
    return RawBlock(
        epoch=epoch,
        quad=quad,
        position=position,
        model=model,
        calls=len(times_s),
        elapsed_s=elapsed_s,
        cpu_s=cpu * elapsed_s,
        times_s=times_s,
        compilations=0,
        resident_bytes=None,
    )


def epoch_of(number: int, quads: list[tuple[float, float]], cpu: float = 1.0) -> list[RawBlock]:
    """An epoch whose quads have these times of a call, of the original and of the compressed."""
    order: tuple[ModelName, ...] = ("original", "compressed", "compressed", "original")
    return [
        block(number, quad, place, name, [times[name == "compressed"]] * 3, cpu)
        for quad, times in enumerate(quads)
        for place, name in enumerate(order)
    ]


def trace_of(epochs: list[list[RawBlock]], *, two_looks: bool = False) -> Trace:
    return Trace([one for epoch in epochs for one in epoch], [], 30.0, two_looks, ())


class TestDelta:
    def test_by_hand(self) -> None:
        logs = [math.log(ratio) for ratio in (1.9, 2.0, 2.2)]
        trace = trace_of(
            [epoch_of(n, [(0.01 * math.exp(log), 0.01)] * 2) for n, log in enumerate(logs)]
        )
        delta = estimate_delta(trace, 0.95, 0.03, cpu_time=False)
        expected = stats.t.interval(
            0.95, 2, statistics.fmean(logs), statistics.stdev(logs) / math.sqrt(3)
        )
        assert delta.value == pytest.approx(math.exp(statistics.fmean(logs)))
        assert (delta.low, delta.high) == pytest.approx(tuple(map(math.exp, expected)))
        assert delta.epochs == 3

    def test_two_looks_use_pococks_level(self) -> None:
        logs = [0.1, 0.2, 0.15, 0.12]
        trace = trace_of(
            [epoch_of(n, [(math.exp(log), 1.0)]) for n, log in enumerate(logs)], two_looks=True
        )
        delta = estimate_delta(trace, 0.95, 0.03, cpu_time=False)
        error = statistics.stdev(logs) / 2
        margin = stats.t.ppf(1 - 0.0294 / 2, 3) * error
        assert delta.low == pytest.approx(math.exp(statistics.fmean(logs) - margin))
        assert delta.minimal_detectable_effect == pytest.approx(
            math.expm1((stats.t.ppf(0.975, 3) + stats.t.ppf(0.8, 3)) * error)
        )

    def test_it_is_the_originals_time_over_the_compresseds(self) -> None:
        trace = trace_of([epoch_of(n, [(0.03, 0.01)]) for n in range(3)])
        delta = estimate_delta(trace, 0.95, 0.03, cpu_time=False)
        assert delta.value == pytest.approx(3.0)
        assert delta.verdict == "faster"

    def test_a_disturbed_quad_of_eight_is_trimmed_away(self) -> None:
        quads = [(0.02, 0.01)] * 7 + [(2.0, 0.01)]
        assert epoch_values(epoch_of(0, quads)) == pytest.approx([math.log(2)])

    def test_blocks_of_unequal_calls_weigh_by_their_time_of_one_call(self) -> None:
        blocks = [
            block(0, 0, 0, "original", [0.02] * 2),
            block(0, 0, 1, "compressed", [0.01] * 30),
            block(0, 0, 2, "compressed", [0.01] * 30),
            block(0, 0, 3, "original", [0.02] * 2),
        ]
        assert epoch_values(blocks) == pytest.approx([math.log(2)])

    def test_the_processor_time_ratio_is_given_where_it_was_asked_for(self) -> None:
        trace = trace_of([epoch_of(n, [(0.02, 0.01)], cpu=0.5) for n in range(3)])
        assert estimate_delta(trace, 0.95, 0.03, cpu_time=False).cpu_time_ratio is None
        ratio = estimate_delta(trace, 0.95, 0.03, cpu_time=True).cpu_time_ratio
        assert ratio is not None
        assert ratio.value == pytest.approx(2.0)

    def test_a_processor_clock_too_coarse_for_a_block_gives_no_ratio(self) -> None:
        epochs = [epoch_of(n, [(0.02, 0.01)]) for n in range(2)]
        epochs.append(epoch_of(2, [(0.02, 0.01)], cpu=0.0))
        trace = trace_of(epochs)
        assert cpu_epoch_values(trace.blocks) == []
        assert estimate_delta(trace, 0.95, 0.03, cpu_time=True).cpu_time_ratio is None


class TestLatency:
    def calls(self, count: int) -> Trace:
        times_s = [0.001 * (1 + call / count) for call in range(count)]
        return Trace([block(0, 0, 0, "original", times_s)], [], 30.0, False, ())

    @pytest.mark.parametrize(
        ("calls", "p90", "p99"), [(63, False, False), (64, True, False), (662, True, True)]
    )
    def test_p90_needs_64_calls_and_p99_662(self, calls: int, p90: bool, p99: bool) -> None:
        figures = summarise(self.calls(calls), "original", 0.95)
        assert figures is not None
        assert figures.calls == calls
        assert (figures.p90 is not None, figures.p99 is not None) == (p90, p99)

    def test_661_calls_are_one_too_few_for_p99(self) -> None:
        figures = summarise(self.calls(661), "original", 0.95)
        assert figures is not None
        assert figures.p99 is None

    @pytest.mark.parametrize(("least", "tail"), [(LEAST_CALLS_P90, 0.1), (LEAST_CALLS_P99, 0.01)])
    def test_so_many_calls_leave_two_beyond_with_99_percent(self, least: int, tail: float) -> None:
        assert stats.binom.cdf(1, least, tail) <= 0.01 < stats.binom.cdf(1, least - 1, tail)

    def test_percentiles_are_those_of_all_calls(self) -> None:
        figures = summarise(self.calls(1000), "original", 0.95)
        assert figures is not None
        assert figures.p90 == pytest.approx(0.001 * 1.9, rel=1e-3)
        assert figures.p99 == pytest.approx(0.001 * 1.99, rel=1e-3)

    def test_the_median_is_the_geometric_mean_of_the_epochs_medians(self) -> None:
        medians = (0.010, 0.011, 0.013)
        blocks = [
            block(epoch, 0, 0, "original", [0.001, median, 5.0])
            for epoch, median in enumerate(medians)
        ]
        figures = summarise(Trace(blocks, [], 30.0, False, ()), "original", 0.95)
        assert figures is not None
        assert figures.median.value == pytest.approx(statistics.geometric_mean(medians))
        assert figures.median.low is not None
        assert figures.median.low < figures.median.value < figures.median.high  # type: ignore[operator]
        assert figures.mean.value == pytest.approx(
            statistics.geometric_mean([(5.001 + median) / 3 for median in medians])
        )
