"""Who is on the front: intervals that hold together, from real schedules on a fake clock."""

import math
from dataclasses import replace
from itertools import combinations

import canned
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from synthetic_machine import SyntheticMachine, experiment, lognormal, several

from compaudit.measure.latency.trace import Trace
from compaudit.ranking.axes import axis_of
from compaudit.ranking.placing import Placed, place
from compaudit.ranking.times import Times
from compaudit.results import Comparison, Equivalence, Flips
from compaudit.theory.statistics import Interval, paired_lower_bound


def timed(noise: float = 0.002, **call_s: float) -> Trace:
    machine = SyntheticMachine(
        several(**call_s), setup_s=0.5, process_noise=lognormal(noise), whole_blocks=True
    )
    return machine.run(experiment(80.0, models=tuple(call_s)))


def audit(
    *, file_bytes: float, broken: int = 3, fixed: int = 3, samples: int = 10_000, kl: float = 0.01
) -> Comparison:
    """An audit with α = 1000 / file_bytes and top-1 of 90 % before; 0.5 pp are the margin."""
    found = canned.comparison()
    assert found.accuracy is not None
    before = round(0.9 * samples)
    top1 = canned.metric(before / samples, (before - broken + fixed) / samples, -0.01, 0.01, 0.5)
    equivalence = Equivalence(metric="top1", margin=0.005, status="undecided", samples=None)
    accuracy = msgspec.structs.replace(
        found.accuracy,
        samples=samples,
        top1=top1,
        flips=Flips(broken=broken, fixed=fixed),
        equivalence=equivalence,
    )
    return msgspec.structs.replace(
        found,
        alpha=msgspec.structs.replace(found.alpha, file_bytes=1000 / file_bytes),
        accuracy=accuracy,
        divergence=msgspec.structs.replace(found.divergence, kl=canned.distribution(kl)),
    )


def stand(placed: Placed) -> dict[str, tuple[bool, bool]]:
    return {name: (one.on_front, one.sure) for name, one in placed.standings.items()}


def audit_of(*, right: int, broken: int, fixed: int, samples: int) -> Comparison:
    """An audit by its samples: of so many, so many were right with the original."""
    found = audit(file_bytes=1, broken=broken, fixed=fixed, samples=samples)
    top1 = canned.metric(right / samples, (right - broken + fixed) / samples, -0.01, 0.01, 0.5)
    accuracy = msgspec.structs.replace(found.accuracy, top1=top1)
    return msgspec.structs.replace(found, accuracy=accuracy)


class TestFront:
    def test_smaller_faster_and_as_good_dominates(self) -> None:
        trace = timed(original=0.010, good=0.005, bad=0.010, small=0.012)
        audits = {
            "good": audit(file_bytes=400),
            "bad": audit(file_bytes=500),
            "small": audit(file_bytes=100, broken=900, fixed=0),
        }
        placed = place(audits, [trace], 0.95, 0.03)
        assert stand(placed) == {
            "good": (True, True),  # the smallest of those that are as good
            "bad": (False, True),
            "small": (True, True),  # the smallest
        }
        assert placed.standings["bad"].dominated_by == ["good"]
        assert placed.front is not None
        assert placed.front.original is not None
        # As fast and as good as the original, "bad" is half its size.
        assert placed.front.original.dominated_by == ["good", "bad"]
        assert [axis.metric for axis in placed.front.axes] == [
            "accuracy.top1",
            "delta",
            "alpha.file_bytes",
        ]
        # Six pairs of four models, by their times and by the samples that each gets right.
        assert placed.front.comparisons == 6 + 6

    def test_a_slow_machine_decides_nothing_that_size_does_not(self) -> None:
        """Processes differ by 30 %: what is as fast is not shown to be."""
        trace = timed(0.3, original=0.010, good=0.010, bad=0.010)
        audits = {"good": audit(file_bytes=400), "bad": audit(file_bytes=500)}
        placed = place(audits, [trace], 0.95, 0.03)
        assert stand(placed)["bad"] == (True, False)
        assert "delta" in placed.standings["bad"].undecided

    def test_a_ruined_model_that_is_a_little_faster_is_off_it(self) -> None:
        """2 % faster for sure, which is as fast; and right half as often."""
        trace = timed(0.002, original=0.010, good=0.0050, ruined=0.0049)
        audits = {
            "good": audit(file_bytes=300),
            "ruined": audit(file_bytes=300, broken=4_500, fixed=0),
        }
        placed = place(audits, [trace], 0.95, 0.03)
        (pair,) = placed.between
        assert pair.simultaneous.low is not None
        assert pair.simultaneous.low > 1  # it is faster, beyond doubt
        assert stand(placed) == {"good": (True, True), "ruined": (False, True)}
        assert placed.standings["ruined"].dominated_by == ["good"]

    def test_what_is_not_sure_is_told_as_it_was_measured(self) -> None:
        """100 samples cannot show 0.5 pp, though nothing changed; half the time, half the size."""
        trace = timed(original=0.010, good=0.005)
        placed = place(
            {"good": audit(file_bytes=500, broken=0, fixed=0, samples=100)}, [trace], 0.95, 0.03
        )
        assert placed.front is not None
        original = placed.front.original
        assert original is not None
        assert (original.on_front, original.sure) == (True, False)
        assert original.likely_dominated_by == ["good"]
        assert original.undecided == ["accuracy.top1"]
        good = placed.standings["good"]
        assert (good.sure, good.likely_dominated_by, good.undecided) == (True, [], [])

    def test_few_samples_leave_quality_open(self) -> None:
        """100 samples cannot show that no more than 0.5 pp are lost."""
        trace = timed(original=0.010, good=0.005, bad=0.010)
        few = {"broken": 0, "fixed": 0, "samples": 100}
        audits = {
            "good": audit(file_bytes=400, **few),
            "bad": audit(file_bytes=500, **few),
        }
        assert stand(place(audits, [trace], 0.95, 0.03))["bad"] == (True, False)

    def test_without_labels_the_divergence_is_the_quality(self) -> None:
        trace = timed(original=0.010, near=0.005, far=0.006)
        audits = {
            name: msgspec.structs.replace(audit(file_bytes=400, kl=kl), accuracy=None)
            for name, kl in (("near", 0.001), ("far", 0.1))
        }
        placed = place(audits, [trace], 0.95, 0.03)
        assert placed.front is not None
        assert placed.front.axes[0].metric == "divergence.kl.mean"
        assert placed.front.axes[0].better == "lower"
        assert stand(placed) == {"near": (True, True), "far": (False, True)}

    def test_untimed_models_are_placed_by_the_rest(self) -> None:
        audits = {
            "small": audit(file_bytes=100),
            "large": audit(file_bytes=200, broken=900, fixed=0),
        }
        placed = place(audits, [], 0.95, 0.03)
        assert placed.front is not None
        assert [axis.metric for axis in placed.front.axes] == ["accuracy.top1", "alpha.file_bytes"]
        assert placed.standings["large"].dominated_by == ["small"]
        assert placed.between == []

    def test_one_without_a_figure_is_placed_nowhere_and_the_others_are(self) -> None:
        trace = timed(original=0.010, timed=0.005)
        audits = {"timed": audit(file_bytes=400), "died": audit(file_bytes=100)}
        placed = place(audits, [trace], 0.95, 0.03)
        assert set(placed.standings) == {"timed"}

    @pytest.mark.parametrize("confidence", [0.3, 0.5, 0.6, 0.999])
    def test_any_confidence_will_do(self, confidence: float) -> None:
        one = {"one": msgspec.structs.replace(audit(file_bytes=400), accuracy=None)}
        placed = place(one, [], confidence, 0.03)
        assert placed.front is not None
        assert placed.front.comparisons == 1

    def test_nothing_measured_is_no_front(self) -> None:
        assert place({}, [], 0.95, 0.03).front is None

    def test_figures_of_the_axes_have_intervals_that_hold_together(self) -> None:
        """Bonferroni over one pair's time and one candidate's quality: 97.5 % each."""
        trace = timed(0.01, original=0.010, good=0.005)
        counts = {"broken": 40, "fixed": 10, "samples": 2_000}
        placed = place({"good": audit(file_bytes=400, **counts)}, [trace], 0.95, 0.03)
        axes = placed.standings["good"].axes
        assert placed.front is not None
        assert placed.front.comparisons == 2
        assert axes["alpha.file_bytes"].low == axes["alpha.file_bytes"].high == 2.5
        # Tango's bounds are close to Wald's at these counts: 1.5 pp ± 2.24 standard errors.
        z = stats.norm.ppf(1 - 0.025 / 2)
        spread = z * math.sqrt(50 / 2000 - (30 / 2000) ** 2) / math.sqrt(2000)
        top1 = axes["accuracy.top1"]
        assert top1.value == pytest.approx(0.885)
        assert top1.low == pytest.approx(0.885 - spread, abs=0.001)
        assert top1.high == pytest.approx(0.885 + spread, abs=0.001)


class TestTop1:
    """Two candidates' samples from how many each breaks and fixes; 0.9 of all were right."""

    def between(self, one: tuple[int, int], other: tuple[int, int], samples: int) -> Interval:
        """How much better the first is than the second, as though it were the only comparison."""
        audits = {
            name: audit(file_bytes=1, broken=broken, fixed=fixed, samples=samples)
            for name, (broken, fixed) in (("one", one), ("other", other))
        }
        axis = axis_of("accuracy.top1", audits, Times([]), 0.9, 0.95, 0.03)
        return axis.advantage("one", "other")

    def test_they_disagree_at_most_where_one_disagrees_with_the_original(self) -> None:
        """7 broken and 2 fixed, 3 and 5: up to 7 + 5 right with the other only, and 3 + 2."""
        found = self.between((7, 2), (3, 5), 1000)
        assert found.value == pytest.approx((2 - 7 - 5 + 3) / 1000)
        assert found.low == pytest.approx(paired_lower_bound(12, 5, 1000, 0.95))
        assert found.high == pytest.approx(-paired_lower_bound(5, 12, 1000, 0.95))

    def test_a_share_lies_between_none_and_all(self) -> None:
        audits = {
            "best": audit_of(right=99, broken=0, fixed=1, samples=100),
            "worst": audit_of(right=99, broken=99, fixed=0, samples=100),
        }
        axis = axis_of("accuracy.top1", audits, Times([]), 0.999, 0.95, 0.03)
        assert (axis.figure("best").value, axis.figure("best").high) == (1.0, 1.0)
        assert (axis.figure("worst").value, axis.figure("worst").low) == (0.0, 0.0)

    def test_of_few_samples_some_are_broken_by_both(self) -> None:
        """60 and 50 of 90 right ones: 20 at least by both; 8 and 9 of 10 wrong ones: 7 at least."""
        found = self.between((60, 8), (50, 9), 100)
        assert found.value == pytest.approx((8 - 60 - 9 + 50) / 100)
        assert found.low == pytest.approx(paired_lower_bound(40 + 2, 30 + 1, 100, 0.95))

    @given(
        st.lists(
            st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=20, max_size=60
        ).filter(lambda rows: sum(row[0] for row in rows) > 0)
    )
    def test_it_is_never_narrower_than_by_the_samples_themselves(
        self, rows: list[tuple[bool, bool, bool]]
    ) -> None:
        """Of each sample, whether the original, one and the other get it right."""
        audits = {
            name: audit_of(
                right=sum(row[0] for row in rows),
                broken=sum(row[0] and not row[at] for row in rows),
                fixed=sum(row[at] and not row[0] for row in rows),
                samples=len(rows),
            )
            for name, at in (("one", 1), ("other", 2))
        }
        found = axis_of("accuracy.top1", audits, Times([]), 0.9, 0.95, 0.03).advantage(
            "one", "other"
        )
        lost = sum(row[2] and not row[1] for row in rows)
        won = sum(row[1] and not row[2] for row in rows)
        assert found.value == pytest.approx((won - lost) / len(rows))
        assert found.low is not None
        assert found.high is not None
        assert found.low <= paired_lower_bound(lost, won, len(rows), 0.95) + 1e-9
        assert found.high >= -paired_lower_bound(won, lost, len(rows), 0.95) - 1e-9


class TestTimes:
    TRACE = timed(0.01, original=0.010, a=0.005, b=0.004)

    def test_candidates_are_compared_in_their_rounds(self) -> None:
        placed = place(
            {"a": audit(file_bytes=1), "b": audit(file_bytes=2)}, [self.TRACE], 0.95, 0.03
        )
        (pair,) = placed.between
        assert (pair.first, pair.second, pair.paired) == ("a", "b", True)
        assert pair.delta.value == pytest.approx(1.25, rel=0.02)
        assert pair.simultaneous.low < pair.delta.low  # type: ignore[operator]
        assert pair.delta.high < pair.simultaneous.high  # type: ignore[operator]

    def test_exchanging_two_inverts_the_ratio(self) -> None:
        times = Times([self.TRACE])
        there, back = times.delta("a", "b"), times.delta("b", "a")
        assert there is not None
        assert back is not None
        assert there.value == pytest.approx(1 / back.value)
        assert there.low == pytest.approx(1 / back.high)  # type: ignore[operator]

    def test_paired_is_sharper_than_two_intervals_against_the_original(self) -> None:
        """When the original's process differs, both δ move alike, and their ratio does not."""
        machine = SyntheticMachine(several(original=0.010, a=0.005, b=0.004), whole_blocks=True)
        random = np.random.default_rng(0)
        machine.places = lambda epoch, place: math.exp(
            random.normal(0, 0.05 if place == 0 else 0.002)
        )
        times = Times([machine.run(experiment(60.0, models=("original", "a", "b")))])
        widths = {
            pair: math.log(found.high / found.low)  # type: ignore[operator]
            for pair in combinations(("original", "a", "b"), 2)
            if (found := times.delta(*pair)) is not None
        }
        assert widths["a", "b"] < 0.2 * widths["original", "a"]

    def test_candidates_of_two_groups_are_compared_by_the_original(self) -> None:
        groups = [timed(original=0.010, a=0.005), timed(original=0.010, b=0.004)]
        times = Times(groups)
        found = times.delta("a", "b")
        assert not times.paired("a", "b")
        assert found is not None
        assert found.value == pytest.approx(1.25, rel=0.02)
        assert found.low < 1.25 < found.high  # type: ignore[operator]

    def test_one_that_was_never_timed_has_no_time(self) -> None:
        times = Times([self.TRACE])
        assert times.delta("original", "c") is None
        assert times.one_of_many("original", "c", 0.99) is None
        assert times.one_of_many("c", "a", 0.99) is None

    def test_many_models_tell_more_of_the_spread_than_two(self) -> None:
        """Twelve of one noise, 66 pairs: what two alone say is a third wider, or more."""
        models = {"original": 0.010, **{f"m{number}": 0.008 for number in range(11)}}
        times = Times([timed(0.02, **models)])
        widths = {"alone": 0.0, "together": 0.0}
        for pair in combinations(models, 2):
            alone, together = (
                ask(*pair, 1 - 0.05 / 66) for ask in (times.delta, times.one_of_many)
            )
            assert alone is not None
            assert together is not None
            assert together.value == pytest.approx(alone.value)
            widths["alone"] += math.log(alone.high / alone.low)  # type: ignore[operator]
            widths["together"] += math.log(together.high / together.low)  # type: ignore[operator]
        assert widths["together"] < 0.75 * widths["alone"]

    def test_exchanging_two_of_many_inverts_the_ratio(self) -> None:
        times = Times([self.TRACE])
        there, back = times.one_of_many("a", "b", 0.99), times.one_of_many("b", "a", 0.99)
        assert there is not None
        assert back is not None
        assert there.value == pytest.approx(1 / back.value)
        assert there.low == pytest.approx(1 / back.high)  # type: ignore[operator]

    def test_what_died_on_the_way_is_on_its_own(self) -> None:
        """Four of its epochs are those of no other; the others are compared as if it were not."""
        blocks = [one for one in self.TRACE.blocks if one.model != "b" or one.epoch < 4]
        times = Times([replace(self.TRACE, blocks=blocks)])
        assert times.one_of_many("a", "b", 0.99) == times.delta("a", "b", 0.99)
        without = [one for one in self.TRACE.blocks if one.model != "b"]
        alone = Times([replace(self.TRACE, blocks=without)])
        assert times.one_of_many("original", "a", 0.99) == alone.one_of_many("original", "a", 0.99)

    def test_two_groups_are_compared_by_the_original_with_all_that_is_known(self) -> None:
        calls = dict.fromkeys(("a", "c", "d", "e", "f"), 0.005)
        groups = [timed(original=0.010, **calls), timed(original=0.010, b=0.004)]
        times = Times(groups)
        found = times.one_of_many("a", "b", 0.999)
        assert found is not None
        assert found.value == pytest.approx(1.25, rel=0.02)
        assert found.low < 1.25 < found.high  # type: ignore[operator]
        alone = times.delta("a", "b", 0.999)
        assert alone is not None
        assert found.value == pytest.approx(alone.value)
