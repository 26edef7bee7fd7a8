"""Which candidate is chosen, and whether it is surely the best."""

import canned_ranking
import msgspec
import pytest

from compaudit.config import Inconclusive
from compaudit.errors import RequestError
from compaudit.ranking.choice import Wish, choose, parse_wish
from compaudit.ranking.document import exit_code_of
from compaudit.results import Best, Candidate, Check, Comparison, Gate, Ranking

INT8, PRUNED, BROKEN, MORTAL, UNREAD = canned_ranking.ranking().candidates


def comparison_of(candidate: Candidate) -> Comparison:
    """The comparison that a row was made from, as far as values go."""
    import canned

    fields = ("alpha", "beta", "space_saving", "delta", "accuracy", "divergence", "compressed")
    changes = {name: getattr(candidate, name) for name in fields}
    return msgspec.structs.replace(canned.comparison(), gate=candidate.gate, **changes)


def judged(candidate: Candidate, status: str) -> Candidate:
    check = Check(
        requirement="alpha.file_bytes >= 2",
        metric="alpha.file_bytes",
        observed=None,
        low=None,
        high=None,
        limit=2.0,
        reference=None,
        status=status,  # type: ignore[arg-type]
        severity="fail",
        message="",
        reason="",
    )
    return msgspec.structs.replace(candidate, gate=Gate(status=status, checks=[check]))  # type: ignore[arg-type]


def chosen(wish: str, *candidates: Candidate, inconclusive: Inconclusive = "fail") -> Best:
    audits = {one.label: comparison_of(one) for one in candidates if one.alpha is not None}
    between = canned_ranking.ranking().between
    return choose(parse_wish(wish), candidates, audits, between, inconclusive)


class TestWish:
    @pytest.mark.parametrize(
        ("text", "wish"),
        [
            ("max delta", Wish("max delta", ("delta",), True)),
            (
                " min  compressed.file_bytes ",
                Wish("min  compressed.file_bytes", ("compressed", "file_bytes"), False),
            ),
            ("max alpha.macs", Wish("max alpha.macs", ("alpha", "macs"), True)),
        ],
    )
    def test_it_is_read(self, text: str, wish: Wish) -> None:
        assert parse_wish(text) == wish

    @pytest.mark.parametrize("text", ["", "delta", "maximum delta", "max"])
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(RequestError, match="neither max nor min"):
            parse_wish(text)

    @pytest.mark.parametrize("text", ["max speed", "max accuracy", "min compressed.path"])
    def test_what_no_report_has_is_refused(self, text: str) -> None:
        with pytest.raises(RequestError):
            parse_wish(text)


class TestBest:
    @pytest.mark.parametrize(
        ("wish", "first", "second", "surely"),
        [
            ("max delta", INT8, BROKEN, True),  # 0.95 [0.91, 0.99] of the time, all pairs at once
            ("min delta", PRUNED, BROKEN, True),
            ("max accuracy.top1.delta", PRUNED, INT8, False),  # ±1 pp around 0 and −0.5 pp
            ("min divergence.kl.mean", PRUNED, INT8, True),  # 0.0011 at most, 0.0036 at least
            ("min compressed.file_bytes", INT8, BROKEN, False),  # of one size
            ("min compressed.latency.median_s", INT8, BROKEN, True),
        ],
    )
    def test_by_hand(self, wish: str, first: Candidate, second: Candidate, surely: bool) -> None:
        best = chosen(wish, INT8, PRUNED, BROKEN)
        assert (best.status, best.label, best.path) == ("found", first.label, first.path)
        assert (best.second, best.surely_better) == (second.label, surely)

    def test_one_that_fails_a_requirement_is_not_chosen(self) -> None:
        best = chosen("max delta", judged(INT8, "failed"), judged(PRUNED, "passed"))
        assert (best.label, best.second, best.surely_better) == (PRUNED.label, None, None)

    @pytest.mark.parametrize(
        ("inconclusive", "label"), [("fail", PRUNED.label), ("warn", INT8.label)]
    )
    def test_one_that_is_undecided_only_where_that_is_let_pass(
        self, inconclusive: Inconclusive, label: str
    ) -> None:
        candidates = judged(INT8, "inconclusive"), judged(PRUNED, "passed")
        assert chosen("max delta", *candidates, inconclusive=inconclusive).label == label

    def test_one_that_died_never_is(self) -> None:
        best = chosen("max alpha.file_bytes", MORTAL, UNREAD)
        assert (best.status, best.label, best.path) == ("undecided", None, None)

    def test_when_all_fail_for_sure_there_is_none(self) -> None:
        best = chosen("max delta", judged(INT8, "failed"), judged(PRUNED, "failed"))
        assert (best.status, best.reason) == ("none", "every candidate fails a requirement")

    def test_when_one_is_undecided_so_is_the_choice(self) -> None:
        best = chosen("max delta", judged(INT8, "failed"), judged(PRUNED, "inconclusive"))
        assert best.status == "undecided"
        assert PRUNED.label in best.reason

    def test_when_one_died_that_is_no_failed_requirement(self) -> None:
        assert chosen("max delta", judged(INT8, "failed"), MORTAL).status == "undecided"

    def test_a_figure_that_was_not_measured_chooses_nothing(self) -> None:
        untimed = msgspec.structs.replace(INT8, delta=None)
        best = chosen("max delta", untimed)
        assert best.status == "undecided"
        assert "delta was measured of no candidate" in best.reason

    def test_without_an_interval_nothing_is_sure(self) -> None:
        def single_epoch(one: Candidate) -> Candidate:
            delta = msgspec.structs.replace(one.delta, low=None, high=None)
            return msgspec.structs.replace(one, label=f"{one.label}'", delta=delta)

        best = chosen("max delta", single_epoch(INT8), single_epoch(PRUNED))
        assert (best.label, best.surely_better) == ("digits_int8.onnx'", False)


class TestExitCode:
    def ranking(self, *candidates: Candidate, **changes: object) -> Ranking:
        return msgspec.structs.replace(
            canned_ranking.ranking(), candidates=list(candidates), **changes
        )

    @pytest.mark.parametrize(
        ("statuses", "code"),
        [
            (("passed", "passed"), 0),
            (("passed", "inconclusive"), 3),
            (("failed", "inconclusive"), 1),
        ],
    )
    def test_without_a_choice_every_candidate_counts(
        self, statuses: tuple[str, str], code: int
    ) -> None:
        candidates = [judged(*pair) for pair in zip((INT8, PRUNED), statuses, strict=True)]
        assert exit_code_of(self.ranking(*candidates)) == code

    @pytest.mark.parametrize(("status", "code"), [("found", 0), ("undecided", 3), ("none", 1)])
    def test_with_one_it_is_whether_it_was_found(self, status: str, code: int) -> None:
        best = msgspec.structs.replace(canned_ranking.with_best().best, status=status)
        candidates = judged(INT8, "failed"), judged(PRUNED, "passed")
        assert exit_code_of(self.ranking(*candidates, best=best)) == code

    def test_one_that_died_is_a_row_and_all_are_exit_4(self) -> None:
        assert exit_code_of(self.ranking(INT8, MORTAL)) == 0
        assert exit_code_of(self.ranking(MORTAL, error=MORTAL.error)) == 4
        assert exit_code_of(self.ranking(UNREAD, error=UNREAD.error)) == 2

    def test_inconclusive_is_as_it_was_asked_for(self) -> None:
        one = judged(INT8, "inconclusive")
        assert exit_code_of(self.ranking(one, config={"inconclusive": "warn"})) == 0
