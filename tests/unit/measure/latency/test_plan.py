"""What fits a time budget, and what is given up first when it is short."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compaudit.measure.latency.plan import ArmCost, Plan, grant_budget, make_plan

FAST = (ArmCost(0.005), ArmCost(0.002))

CALL_S = st.floats(1e-5, 10.0)
ON_CPU = st.builds(ArmCost, CALL_S)
ON_GPU = st.builds(
    lambda call_s, share: ArmCost(call_s, True, call_s * share), CALL_S, st.floats(0.1, 1.0)
)
ARMS = st.one_of(st.tuples(ON_CPU, ON_CPU), st.tuples(ON_GPU, ON_GPU), st.tuples(ON_CPU))
SETUP_S, BUDGET_S = st.floats(0.05, 20.0), st.floats(0.1, 1000.0)


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
        steps = [step for step, _ in itertools.groupby(map(size, plans))]
        assert steps == [step for step in STAIRS if step in steps]
        assert steps[-4:] == [(2, 1, 3), (2, 1, 2), (2, 1, 1), (1, 1, 1)]

    def test_the_device_alone_goes_before_anything_else(self) -> None:
        arms = (ArmCost(0.002, True, 0.0012), ArmCost(0.001, True, 0.0004))
        plans = [make_plan(60 * 0.98**step, 1.0, arms) for step in range(200)]
        steps = [step for step, _ in itertools.groupby((p.device_quads, *size(p)) for p in plans)]
        assert steps[:3] == [(2, 8, 4, 6), (0, 8, 4, 6), (0, 6, 4, 6)]
        assert [step[0] for step in steps[1:]] == [0] * (len(steps) - 1)

    def test_the_device_is_timed_where_both_have_one(self) -> None:
        gpu, cpu = ArmCost(0.002, True, 0.0012), ArmCost(0.002)
        assert make_plan(1000.0, 1.0, (gpu, gpu)).device_quads == 2
        assert make_plan(1000.0, 1.0, (gpu,)).device_quads == 2
        assert make_plan(1000.0, 1.0, (gpu, cpu)).device_quads == 0

    @given(ARMS, SETUP_S, BUDGET_S, st.floats(0.01, 1.0))
    def test_a_smaller_budget_never_gets_more_of_anything(
        self, arms: tuple[ArmCost, ...], setup_s: float, budget_s: float, share: float
    ) -> None:
        """So its interval is never expected to be the narrower one."""
        large = make_plan(budget_s, setup_s, arms)
        small = make_plan(budget_s * share, setup_s, arms)
        for more, less in zip(
            (*size(large), large.device_quads, large.sentinel_s),
            (*size(small), small.device_quads, small.sentinel_s),
            strict=True,
        ):
            assert less <= more

    @given(ARMS, SETUP_S, BUDGET_S)
    def test_what_is_planned_fits_wherever_three_epochs_do(
        self, arms: tuple[ArmCost, ...], setup_s: float, budget_s: float
    ) -> None:
        plan = make_plan(budget_s, setup_s, arms)
        planned_s = plan.epochs * plan.epoch_s + plan.sentinel_s
        assert (planned_s <= budget_s * (1 + 1e-9)) or (size(plan) == (1, 1, 1))
        least_s = setup_s + sum(4 * (1 + (arm.call_s <= 0.020)) * arm.call_s for arm in arms)
        assert (plan.epochs >= 3) == (3 * least_s <= budget_s)

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
