"""From blocks to δ and to each model's latency, by hand calculation."""

import dataclasses
import itertools
import math
import statistics

import msgspec
import pytest
from scipy import stats
from synthetic_machine import SyntheticMachine, experiment, lognormal, pair

from compaudit.measure.latency.epochs import cpu_epoch_values, epoch_values
from compaudit.measure.latency.estimate import (
    LEAST_CALLS_P90,
    LEAST_CALLS_P99,
    delta_from_raw,
    estimate_delta,
    summarise,
)
from compaudit.measure.latency.experiment import ModelName, Trace
from compaudit.results import RawBlock, RawSamples


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

    def test_the_devices_ratio_has_an_interval_of_its_own(self) -> None:
        logs = [math.log(ratio) for ratio in (2.9, 3.0, 3.2)]
        trace = dataclasses.replace(
            trace_of([epoch_of(n, [(0.02, 0.01)]) for n in range(3)]),
            device=[
                one
                for n, log in enumerate(logs)
                for one in epoch_of(n, [(0.001 * math.exp(log), 0.001)] * 2)
            ],
        )
        delta = estimate_delta(trace, 0.95, 0.03, cpu_time=False)
        expected = stats.t.interval(
            0.95, 2, statistics.fmean(logs), statistics.stdev(logs) / math.sqrt(3)
        )
        assert delta.value == pytest.approx(2.0)
        assert delta.device_ratio is not None
        assert delta.device_ratio.value == pytest.approx(math.exp(statistics.fmean(logs)))
        assert (delta.device_ratio.low, delta.device_ratio.high) == pytest.approx(
            tuple(map(math.exp, expected))
        )

    def test_the_time_on_the_device_is_the_geometric_mean_of_the_epochs_means(self) -> None:
        device = [
            *(block(0, 0, place, "original", [0.001] * 4) for place in (0, 3)),
            *(block(1, 0, place, "original", [0.004] * 4) for place in (1, 2)),
            block(1, 0, 0, "compressed", [9.0] * 4),
        ]
        trace = dataclasses.replace(trace_of([epoch_of(0, [(0.02, 0.01)])]), device=device)
        figures = summarise(trace, "original", 0.95)
        assert figures is not None
        assert figures.device is not None
        assert figures.device.value == pytest.approx(0.002)
        assert figures.device.low is None  # of two epochs


class TestFromRaw:
    @pytest.mark.parametrize("budget_s", [4.0, 12.0, 60.0])
    @pytest.mark.parametrize("device_s", [None, pair(0.004, 0.001)])
    def test_a_document_gives_back_the_very_same_delta(
        self, budget_s: float, device_s: dict[ModelName, float] | None
    ) -> None:
        """Through JSON: no block is lost, and every float comes back as it was."""
        machine = SyntheticMachine(
            pair(0.010, 0.006),
            process_noise=lognormal(0.02),
            call_noise=lognormal(0.05),
            whole_blocks=True,
            device_s=device_s,
        )
        trace = machine.run(experiment(budget_s))
        for confidence, cpu_time in itertools.product((0.95, 0.99), (True, False)):
            measured = estimate_delta(trace, confidence, 0.03, cpu_time=cpu_time)
            kept = RawSamples(
                blocks=trace.blocks,
                sentinel=trace.sentinel,
                device=trace.device,
                two_looks=trace.two_looks,
            )
            read = msgspec.json.decode(msgspec.json.encode(kept), type=RawSamples)
            assert delta_from_raw(read, confidence, 0.03, cpu_time=cpu_time) == measured

    def test_a_block_less_is_another_delta(self) -> None:
        machine = SyntheticMachine(
            pair(0.010, 0.006), process_noise=lognormal(0.02), whole_blocks=True
        )
        trace = machine.run(experiment(30))
        whole = RawSamples(
            blocks=trace.blocks, sentinel=trace.sentinel, device=[], two_looks=trace.two_looks
        )
        once = msgspec.structs.replace(whole, two_looks=False)
        quiet = msgspec.structs.replace(whole, sentinel=[])
        short = msgspec.structs.replace(whole, blocks=trace.blocks[: -8 * 4])
        deltas = [
            delta_from_raw(one, 0.95, 0.03, cpu_time=False) for one in (whole, once, quiet, short)
        ]
        assert all(a != b for a, b in itertools.combinations(deltas, 2))


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
