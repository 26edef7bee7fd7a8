"""What holds of δ and its verdict whatever times were measured."""

import math
from collections.abc import Callable, Sequence

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from synthetic_traces import block_of, delta_of

from compaudit.measure.latency.estimate import estimate_delta
from compaudit.measure.latency.experiment import ModelName, Trace
from compaudit.results import Delta, RawBlock
from compaudit.theory.statistics import Verdict

ORDERS: tuple[tuple[ModelName, ...], ...] = (
    ("original", "compressed", "compressed", "original"),
    ("compressed", "original", "original", "compressed"),
)
OTHER: dict[str, ModelName] = {"original": "compressed", "compressed": "original"}
SWAPPED: dict[Verdict, Verdict] = {"faster": "slower", "slower": "faster"}
SECONDS = st.floats(1e-6, 10.0)

quick = settings(deadline=None, max_examples=200)


@st.composite
def experiments(draw: st.DrawFn, seconds: st.SearchStrategy[float] = SECONDS) -> list[RawBlock]:
    """Blocks of 1 to 6 epochs of 1 to 3 quads, each of either order, of any times."""
    epochs, quads = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    return [
        block_of(model, [draw(seconds)], epoch, quad, position)
        for epoch in range(epochs)
        for quad in range(quads)
        for position, model in enumerate(draw(st.sampled_from(ORDERS)))
    ]


def judged(
    blocks: Sequence[RawBlock], sentinel: Sequence[RawBlock] = (), confidence: float = 0.95
) -> Delta:
    trace = Trace(list(blocks), list(sentinel), 30.0, False, ())
    return estimate_delta(trace, confidence, 0.03, cpu_time=True)


def changed(
    blocks: Sequence[RawBlock], change: Callable[[RawBlock], dict[str, object]]
) -> list[RawBlock]:
    return [msgspec.structs.replace(block, **change(block)) for block in blocks]


def same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9)


class TestDelta:
    @quick
    @given(experiments(), st.floats(1e-3, 1e3))
    def test_the_unit_of_time_does_not_matter(self, blocks: list[RawBlock], factor: float) -> None:
        scaled = judged(
            changed(
                blocks, lambda b: {"elapsed_s": factor * b.elapsed_s, "cpu_s": factor * b.cpu_s}
            )
        )
        delta = judged(blocks)
        assert same(scaled.value, delta.value)
        assert same(scaled.low, delta.low)
        assert same(scaled.high, delta.high)
        assert scaled.verdict == delta.verdict

    @quick
    @given(experiments())
    def test_exchanging_the_models_inverts_it(self, blocks: list[RawBlock]) -> None:
        there, back = judged(blocks), judged(changed(blocks, lambda b: {"model": OTHER[b.model]}))
        assert same(back.value, 1 / there.value)
        if there.low is not None and there.high is not None:
            assert same(back.low, 1 / there.high)
            assert same(back.high, 1 / there.low)
        assert (back.low is None) == (there.low is None)
        assert back.verdict == SWAPPED.get(there.verdict, there.verdict)
        assert same(
            1 + (back.minimal_detectable_effect or 0), 1 + (there.minimal_detectable_effect or 0)
        )

    @quick
    @given(st.data(), experiments())
    def test_epochs_and_quads_may_come_in_any_order(
        self, data: st.DataObject, blocks: list[RawBlock]
    ) -> None:
        epochs = data.draw(st.permutations(range(max(b.epoch for b in blocks) + 1)))
        quads = data.draw(st.permutations(range(max(b.quad for b in blocks) + 1)))
        renumbered = changed(blocks, lambda b: {"epoch": epochs[b.epoch], "quad": quads[b.quad]})
        shuffled = sorted(renumbered, key=lambda b: (b.epoch, b.quad, b.position))
        one, other = judged(blocks), judged(shuffled)
        assert same(one.value, other.value)
        assert same(one.low, other.low)
        assert same(one.high, other.high)
        assert one.verdict == other.verdict

    @quick
    @given(experiments(), st.floats(0.5, 0.99), st.floats(0.5, 0.99))
    def test_less_confidence_gives_an_interval_within(
        self, blocks: list[RawBlock], one: float, other: float
    ) -> None:
        inner, outer = (judged(blocks, confidence=c) for c in sorted((one, other)))
        assert same(inner.value, outer.value)
        if outer.low is None or outer.high is None:
            return
        assert inner.low is not None
        assert inner.high is not None
        assert outer.low * (1 - 1e-12) <= inner.low <= inner.high <= outer.high * (1 + 1e-12)

    @quick
    @given(st.lists(st.floats(-1, 1), min_size=3, max_size=12), st.floats(1, 5))
    def test_more_spread_is_never_narrower(self, logs: list[float], times: float) -> None:
        mean = math.fsum(logs) / len(logs)
        wider = delta_of([mean + times * (log - mean) for log in logs])
        narrower = delta_of(logs)
        assert narrower.low is not None
        assert narrower.high is not None
        assert wider.low is not None
        assert wider.high is not None
        assert wider.low <= narrower.low * (1 + 1e-9)
        assert wider.high >= narrower.high * (1 - 1e-9)

    @quick
    @given(experiments(st.floats(1e-12, 1e9)), st.none() | experiments(st.floats(1e-12, 1e9)))
    def test_every_number_is_finite_or_null(
        self, blocks: list[RawBlock], sentinel: list[RawBlock] | None
    ) -> None:
        delta = judged(blocks, sentinel or ())
        told = [delta.value, delta.low, delta.high, delta.noise_floor]
        assert delta.cpu_time_ratio is not None
        told += msgspec.structs.astuple(delta.cpu_time_ratio)
        told.append(delta.minimal_detectable_effect)
        assert all(math.isfinite(number) for number in told if number is not None)
        assert (delta.minimal_detectable_effect or 0.0) >= 0
        assert (delta.noise_floor or 0.0) >= 0
        if delta.low is not None and delta.high is not None:
            assert 0 < delta.low <= delta.value <= delta.high

    @quick
    @given(
        st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=6),
        st.lists(st.floats(-0.05, 0.05), min_size=4, max_size=4) | st.none(),
    )
    def test_the_verdict_says_what_the_figures_say(
        self, logs: list[float], sentinel: list[float] | None
    ) -> None:
        delta = delta_of(logs, sentinel or ())
        # MEASURING §1, rule 9; with an unknown noise floor the margin of 5 % stands in for it.
        floor = 0.05 if delta.noise_floor is None else delta.noise_floor
        effect = math.expm1(abs(math.log(delta.value)))
        assume(abs(effect - floor) > 1e-9)
        match delta.verdict:
            case "faster":
                assert delta.low is not None
                assert delta.low > 1
                assert effect > floor
            case "slower":
                assert delta.high is not None
                assert delta.high < 1
                assert effect > floor
            case "no_measurable_change":
                assert delta.low is not None
                assert delta.high is not None
                assert 1 / 1.05 <= delta.low <= delta.high <= 1.05
            case "inconclusive":
                if delta.low is not None and delta.high is not None:
                    assert delta.low <= 1 <= delta.high or effect < floor
                    assert delta.high > 1.05 or delta.low < 1 / 1.05
            case "invalid":
                assert sentinel is not None
                assert delta.noise_floor is not None
                assert delta.noise_floor > 0.01

    @given(st.lists(st.floats(-0.2, 0.2), min_size=3, max_size=6), st.floats(0.011, 0.3))
    @quick
    def test_a_sentinel_that_excludes_one_by_more_than_a_percent_is_invalid(
        self, logs: list[float], bias: float
    ) -> None:
        for sign in (1, -1):
            assert delta_of(logs, [sign * bias] * 4).verdict == "invalid"
