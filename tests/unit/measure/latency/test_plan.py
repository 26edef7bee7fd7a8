"""What fits a time budget, and what is given up first when it is short."""

import itertools
import math

import pytest

from compaudit.measure.latency.plan import ArmCost, Plan, grant_budget, make_plan

FAST = (ArmCost(0.005), ArmCost(0.002))


class TestArmCost:
    def test_a_block_lasts_20_to_50_ms_and_its_first_call_is_discarded(self) -> None:
        for call_s in (0.00001, 0.0001, 0.001, 0.004, 0.0075):
            cost = ArmCost(call_s)
            assert 0.02 <= cost.calls() * call_s <= 0.05
            assert cost.discards
            assert cost.block_s() == pytest.approx((cost.calls() + 1) * call_s)

    @pytest.mark.parametrize("call_s", [0.0076, 0.02, 0.021, 0.5, 30.0])
    def test_a_slow_models_block_is_four_calls(self, call_s: float) -> None:
        assert ArmCost(call_s).calls() == 4

    def test_no_call_is_discarded_above_20_ms(self) -> None:
        assert ArmCost(0.020).discards
        assert not ArmCost(0.0201).discards
        assert ArmCost(0.0201).block_s(shortest=True) == pytest.approx(0.0201)

    def test_the_shortest_block_is_one_call(self) -> None:
        assert ArmCost(0.001).calls(shortest=True) == 1
        assert ArmCost(0.1).calls(shortest=True) == 1

    def test_a_block_never_holds_more_stamps_than_ten_thousand(self) -> None:
        assert ArmCost(1e-7).calls() == 10_000


def size(plan: Plan) -> tuple[int, int, int]:
    """Quads, calls in a block relative to the fewest, epochs: in the order they are given up."""
    return plan.quads, 1 if plan.shortest else 4, plan.epochs


STAIRS = [
    *((quads, 4, 6) for quads in (8, 6, 4, 3, 2)),
    *((2, 1, epochs) for epochs in (6, 5, 4, 3, 2, 1)),
    (1, 1, 1),
]


class TestPlan:
    def test_room_for_everything(self) -> None:
        plan = make_plan(60.0, 1.0, FAST)
        assert size(plan) == (8, 4, 6)
        assert plan.sentinel_s > 0

    @pytest.mark.parametrize("arms", [(ArmCost(0.05),), (ArmCost(0.0009), ArmCost(0.4))])
    def test_quads_go_first_then_calls_then_epochs(self, arms: tuple[ArmCost, ...]) -> None:
        budgets = [500 * 0.97**step for step in range(250)]
        plans = [make_plan(budget, 0.5, arms) for budget in budgets]
        # While the sentinel fits, and once more without it, from the fullest on.
        for kept in (True, False):
            sizes = [size(plan) for plan in plans if (plan.sentinel_s > 0) is kept]
            steps = [step for step, _ in itertools.groupby(sizes)]
            assert steps == [step for step in STAIRS if step in steps]
        assert steps[-4:] == [(2, 1, 3), (2, 1, 2), (2, 1, 1), (1, 1, 1)]

    def test_every_step_is_taken(self) -> None:
        plans = [make_plan(50 * 0.97**step, 0.5, (ArmCost(0.05),)) for step in range(200)]
        assert [step for step, _ in itertools.groupby(map(size, plans))] == STAIRS

    def test_a_plan_fits_its_budget_while_three_epochs_do(self) -> None:
        for budget in range(5, 120):
            plan = make_plan(float(budget), 1.0, FAST)
            if plan.epochs >= 3:
                assert plan.epochs * plan.epoch_s + plan.sentinel_s <= budget

    def test_the_sentinel_takes_at_most_a_quarter(self) -> None:
        for budget, setup_s in itertools.product((5.0, 10.0, 30.0, 120.0), (0.1, 1.0, 3.0)):
            plan = make_plan(budget, setup_s, FAST)
            assert plan.sentinel_s <= 0.25 * budget

    def test_three_epochs_are_worth_more_than_a_sentinel(self) -> None:
        # A sentinel of 3.0 s is a quarter of 12 s, and the rest would hold two epochs of 3.7 s.
        plan = make_plan(12.0, 0.5, (ArmCost(0.001), ArmCost(0.79)))
        assert 9.0 < 3 * plan.epoch_s < 12.0
        assert (plan.epochs, plan.sentinel_s) == (3, 0)
        assert make_plan(15.0, 0.5, (ArmCost(0.001), ArmCost(0.79))).sentinel_s > 0

    def test_less_than_one_epoch_is_one_quad_of_single_calls(self) -> None:
        plan = make_plan(5.0, 10.0, (ArmCost(5.0), ArmCost(5.0)))
        assert size(plan) == (1, 1, 1)
        assert plan.epoch_s == pytest.approx(10.0 + 4 * 5.0)

    def test_one_model_alone_has_no_sentinel(self) -> None:
        plan = make_plan(1000.0, 1.0, (ArmCost(0.005),))
        assert plan.sentinel_s == 0
        assert size(plan) == (8, 4, 6)


class TestBudget:
    def test_what_was_asked_for_is_granted(self) -> None:
        assert grant_budget(7.0, 100.0, FAST) == 7.0

    def test_fast_models_get_30_s(self) -> None:
        assert grant_budget(None, 0.5, FAST) == 30.0

    def test_slow_models_get_a_full_pilot_and_the_sentinel(self) -> None:
        arms = (ArmCost(0.02), ArmCost(0.05))
        # Blocks of 5 x 20 and 4 x 50 ms: epochs of 1 + 16 x 0.3 s, the sentinel's of 1 + 8 x 0.1.
        assert grant_budget(None, 1.0, arms) == pytest.approx(6 * 5.8 + 4 * 1.8)

    def test_a_slow_start_gets_four_times_the_sentinel(self) -> None:
        arms = (ArmCost(0.001), ArmCost(0.001))
        sentinel_s = 4 * (4.0 + 8 * 0.031)
        granted = grant_budget(None, 4.0, arms)
        assert granted == pytest.approx(4 * sentinel_s)
        plan = make_plan(granted, 4.0, arms)
        assert plan.sentinel_s == pytest.approx(sentinel_s)
        assert size(plan) == (8, 4, 6)

    def test_never_more_than_120_s(self) -> None:
        assert grant_budget(None, 50.0, FAST) == 120.0
        assert grant_budget(None, 1.0, (ArmCost(5.0), ArmCost(5.0))) == 120.0

    def test_whatever_is_granted_below_the_cap_holds_the_sentinel(self) -> None:
        for setup_s, a, b in itertools.product((0.1, 1.0, 4.0), (0.001, 0.03), (0.0005, 0.06)):
            arms = (ArmCost(a), ArmCost(b))
            granted = grant_budget(None, setup_s, arms)
            if granted < 120:
                plan = make_plan(granted, setup_s, arms)
                assert plan.sentinel_s > 0
                assert plan.quads == 8
                assert math.isclose(plan.budget_s, granted)

    def test_one_model_alone_is_granted_its_pilot(self) -> None:
        assert grant_budget(None, 2.0, (ArmCost(0.1),)) == pytest.approx(6 * (2.0 + 16 * 0.4))
