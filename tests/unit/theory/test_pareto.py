"""The front from intervals: by hand, against a brute-force front of points, and by simulation."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compaudit.theory.pareto import (
    Advantage,
    Place,
    bonferroni,
    dominates,
    front,
    may_dominate,
    undecided,
)
from compaudit.theory.statistics import Interval

NO_MARGIN = (0.0, 0.0)


def alike(interval: Interval) -> Advantage:
    return Advantage(interval, interval)


def exactly(value: float) -> Advantage:
    return alike(Interval(value, value, value))


def about(value: float, width: float) -> Advantage:
    return alike(Interval(value, value - width, value + width))


class TestBonferroni:
    def test_by_hand(self) -> None:
        assert bonferroni(0.95, 10) == pytest.approx(0.995)
        assert bonferroni(0.95, 1) == bonferroni(0.95, 0) == pytest.approx(0.95)

    def test_twenty_together_hold_at_least_as_often(self) -> None:
        """Independent normal estimates: all twenty within 0.95 together, and hardly more."""
        z = 3.0233414  # the normal quantile at 1 - 0.05 / 20 / 2
        errors = np.random.default_rng(0).normal(size=(20_000, 20))
        held = (np.abs(errors) < z).all(axis=1).mean()
        assert bonferroni(0.95, 20) == pytest.approx(0.9975)
        assert 0.947 < held < 0.96

    @pytest.mark.parametrize("confidence", [0.0, 1.0, math.nan])
    def test_a_confidence_that_is_none(self, confidence: float) -> None:
        with pytest.raises(ValueError, match="between 0 and 1"):
            bonferroni(confidence, 3)


class TestDominates:
    @pytest.mark.parametrize(
        ("first", "second", "surely", "perhaps"),
        [
            (exactly(1), exactly(1), True, True),
            (exactly(1), exactly(0), True, True),  # equal on one axis
            (exactly(0), exactly(0), False, False),  # equal on both: neither beats the other
            (exactly(1), exactly(-0.001), False, False),  # worse on one, however little
            (about(1, 0.5), about(0, 0.5), False, True),  # not shown to be as good
            (about(1, 2), exactly(1), False, True),
            (about(-1, 0.5), exactly(5), False, False),
            (alike(Interval(1, None, None)), exactly(1), False, True),  # no interval, no evidence
        ],
    )
    def test_by_hand(
        self, first: Advantage, second: Advantage, surely: bool, perhaps: bool
    ) -> None:
        assert dominates((first, second), NO_MARGIN) is surely
        assert may_dominate((first, second), NO_MARGIN) is perhaps

    def test_a_margin_lets_equals_be_as_good(self) -> None:
        advantages = (exactly(1), about(0, 0.04))
        assert not dominates(advantages, (0.0, 0.03))
        assert dominates(advantages, (0.0, 0.05))

    def test_also_what_is_surely_worse_within_it(self) -> None:
        """As fast, for all that matters, is as fast."""
        assert dominates((exactly(1), about(-0.03, 0.01)), (0.0, 0.05))
        assert not dominates((exactly(1), about(-0.03, 0.03)), (0.0, 0.05))

    def test_and_what_is_better_within_it_is_not_better(self) -> None:
        for good in (about(0, 0.01), about(0.03, 0.01)):
            assert not dominates((good, exactly(0)), (0.05, 0.0))
            assert not may_dominate((good, exactly(0)), (0.05, 0.0))
        assert may_dominate((about(0.03, 0.03), exactly(0)), (0.05, 0.0))
        assert dominates((about(0.07, 0.01), exactly(0)), (0.05, 0.0))

    @pytest.mark.parametrize(
        ("advantages", "open_"),
        [
            ((exactly(1), about(0, 0.1)), (1,)),  # whether it is as good there
            ((about(0.05, 0.06), about(0, 0.04)), (0,)),  # whether it is better
            ((about(0.05, 0.06), about(0.05, 0.06)), (0, 1)),  # on either of them
            ((exactly(1), about(0, 0.04)), ()),  # it dominates
            ((exactly(1), about(-0.3, 0.1)), ()),  # it cannot
        ],
    )
    def test_what_leaves_it_open(
        self, advantages: tuple[Advantage, Advantage], open_: tuple[int, ...]
    ) -> None:
        assert undecided(advantages, (0.05, 0.05)) == open_

    def test_as_good_takes_one_bound_and_better_an_interval(self) -> None:
        """By the two-sided interval it may be worse by more than 0.05, and better by less."""
        found = Advantage(Interval(0.0, -0.06, 0.06), Interval(0.0, -0.04, 0.04))
        assert dominates((exactly(1), found), (0.0, 0.05))
        better = Advantage(Interval(0.1, 0.04, 0.16), Interval(0.1, 0.06, 0.14))
        assert not dominates((better, exactly(0)), (0.05, 0.0))
        # Not better is a one-sided statement too; worse is not.
        assert not may_dominate((found, exactly(0)), (0.05, 0.0))
        worse = Advantage(Interval(-0.1, -0.16, -0.04), Interval(-0.1, -0.14, -0.06))
        assert may_dominate((worse, exactly(1)), (0.05, 0.0))

    def test_without_axes_nothing_is_compared(self) -> None:
        for check in (dominates, may_dominate, undecided):
            with pytest.raises(ValueError, match="no axes"):
                check((), ())

    def test_every_axis_has_its_margin(self) -> None:
        for check in (dominates, may_dominate, undecided):
            with pytest.raises(ValueError, match="argument"):
                check((exactly(1), exactly(1)), (0.0,))


def said_of(advantages: Sequence[Advantage], margins: Sequence[float]) -> bool | None:
    """Whether the one surely dominates the other, or surely not; None where it is open."""
    if dominates(advantages, margins):
        return True
    return None if may_dominate(advantages, margins) else False


Points = dict[str, tuple[float, ...]]


def advantages_of(points: Points, width: float = 0.0) -> Callable[[str, str], Sequence[Advantage]]:
    def between(one: str, other: str) -> Sequence[Advantage]:
        return [about(a - b, width) for a, b in zip(points[one], points[other], strict=True)]

    return between


class TestFront:
    def test_a_chain_and_an_outsider(self) -> None:
        points = {"a": (3.0, 1.0), "b": (2.0, 2.0), "c": (1.0, 1.5), "d": (3.0, 1.0)}
        places = front(list(points), advantages_of(points), NO_MARGIN)
        assert {name: place.dominated_by for name, place in places.items()} == {
            "a": (),
            "b": (),
            "c": ("b",),
            "d": (),
        }
        assert all(place.sure for place in places.values())

    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1))
    def test_of_exact_figures_it_is_the_front_of_points(
        self, values: list[tuple[int, int, int]]
    ) -> None:
        points = {str(place): tuple(map(float, value)) for place, value in enumerate(values)}
        places = front(list(points), advantages_of(points), (0.0, 0.0, 0.0))
        for name, mine in points.items():
            beaten = any(
                all(a >= b for a, b in zip(other, mine, strict=True)) and other != mine
                for other in points.values()
            )
            assert places[name].on_front is not beaten
            assert places[name].sure

    @given(
        st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=2, max_size=6),
        st.floats(0, 2),
        st.floats(0.001, 2),
    )
    def test_wider_intervals_only_ever_take_certainty_away(
        self, values: list[tuple[float, float]], width: float, more: float
    ) -> None:
        points: Points = {str(place): value for place, value in enumerate(values)}
        narrow = front(list(points), advantages_of(points, width), NO_MARGIN)
        wide = front(list(points), advantages_of(points, width + more), NO_MARGIN)
        for name in points:
            assert {*wide[name].dominated_by} <= {*narrow[name].dominated_by}
            assert narrow[name].sure or not wide[name].sure

    def test_what_the_intervals_leave_open_the_points_tell(self) -> None:
        """a is as small as b and better at the first by far; c is the smallest."""
        points: Points = {"a": (3.0, 1.0, 2.0), "b": (1.0, 1.02, 2.0), "c": (1.0, 1.0, 3.0)}

        def between(one: str, other: str) -> Sequence[Advantage]:
            first, second, size = (a - b for a, b in zip(points[one], points[other], strict=True))
            return about(first, 0.1), about(second, 0.2), exactly(size)

        places = front(list(points), between, (0.0, 0.05, 0.0))
        assert not places["b"].sure
        assert places["b"].on_front
        assert places["b"].likely_dominated_by == ("a", "c")
        assert places["b"].undecided == (0, 1)  # c is as good at the first by its point alone
        assert places["c"] == Place((), sure=True)
        narrower = front(
            list(points),
            lambda one, other: [
                about(found.two_sided.value, 0.01) for found in between(one, other)[:2]
            ],
            (0.0, 0.05),
        )
        assert narrower["b"].dominated_by == ("a",)

    @given(
        st.lists(
            st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 2)),
            min_size=2,
            max_size=9,
        )
    )
    def test_nobody_is_ruled_out_in_a_circle(self, values: list[tuple[int, int, int]]) -> None:
        """Two axes with margins and an exact one: whoever dominates in turn is never one's own."""
        points = {str(place): tuple(map(float, value)) for place, value in enumerate(values)}
        places = front(list(points), advantages_of(points), (3.0, 2.0, 0.0))
        left = dict(places)
        while left:
            first = [name for name, one in left.items() if not {*one.dominated_by} & {*left}]
            assert first, "each that is left is dominated by another that is left"
            for name in first:
                del left[name]

    def test_a_model_alone_is_surely_on_it(self) -> None:
        places = front(["a"], advantages_of({"a": (1.0,)}), (0.0,))
        assert places["a"].on_front
        assert places["a"].sure

    def test_what_is_called_sure_is_wrong_in_fewer_than_one_front_of_twenty(self) -> None:
        """Simulated: eight models, two noisy axes without a margin, all intervals at 95 %."""
        rng = np.random.default_rng(1)
        models = [str(place) for place in range(8)]
        sigma, wrong, dominated, runs = 0.05, 0, 0, 400
        z = 3.3126  # the normal quantile at 1 - 0.05 / (28 pairs x 2 axes) / 2, rounded up
        for _ in range(runs):
            truth: Points = {name: tuple(rng.integers(0, 3, 2) / 4) for name in models}
            seen: Points = {
                name: tuple(value + rng.normal(0, sigma, 2)) for name, value in truth.items()
            }
            places = front(models, advantages_of(seen, z * sigma * math.sqrt(2)), NO_MARGIN)
            dominated += sum(not place.on_front for place in places.values())
            wrong += any(
                any(a < b for a, b in zip(truth[other], truth[name], strict=True))
                for name, place in places.items()
                for other in place.dominated_by
            )
        assert dominated > runs / 2  # it does say something
        assert wrong / runs <= 0.05

    @pytest.mark.parametrize("gap", [0.0, 0.1, -0.1, 0.1001, -0.1001, 0.2])
    def test_one_error_is_enough_for_all_that_is_said_of_a_pair(self, gap: float) -> None:
        """Two models whose speeds differ by 0, by the margin, and by more; of any two sizes.

        One comparison at 95 %: 1.645 standard errors for "as good", 1.96 for "better". Of 20,000 a
        share of 5 % has a standard error of 0.15 points, and three are allowed for.
        """
        margin, sigma, margins = 0.1, 0.07, (0.0, 0.1)
        same, smaller = exactly(0), exactly(1)
        wrong = 0
        for value in np.random.default_rng(2).normal(gap, sigma, 20_000):
            there, back = (
                Advantage(*(Interval(x, x - z * sigma, x + z * sigma) for z in (1.96, 1.645)))
                for x in (value, -value)
            )
            wrong += any(
                said_of(advantages, margins) is (not truth)
                for advantages, truth in (
                    ((same, there), gap > margin),
                    ((same, back), gap < -margin),
                    ((smaller, there), gap >= -margin),
                    ((smaller, back), gap <= margin),
                )
            )
        assert wrong / 20_000 <= 0.05 + 0.005
