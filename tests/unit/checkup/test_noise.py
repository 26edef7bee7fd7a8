"""The A/A test on a machine whose noise is known, and on a fake clock."""

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from scipy import stats
from synthetic_machine import SyntheticMachine, experiment, lognormal, pair

from compaudit.checkup.noise import noise_of, resolvable_effect
from compaudit.models.onnx.builtin import BATCH, INPUT, WIDTH, write_model
from compaudit.results import Noise


def noise_on(machine: SyntheticMachine, budget_s: float) -> Noise:
    trace = machine.run(experiment(budget_s, resolution=0.001))
    return noise_of(trace, 1, budget_s, machine.clock.now)


class TestResolvable:
    def test_it_is_the_minimal_detectable_effect_of_the_epochs_that_fit(self) -> None:
        # Ten epochs of 3 s, 2 % apart: (t₀.₉₇₅ + t₀.₈) · 0.02 / √10 with 9 degrees of freedom.
        multiple = stats.t.ppf(0.975, 9) + stats.t.ppf(0.8, 9)
        expected = math.expm1(multiple * 0.02 / math.sqrt(10))
        assert resolvable_effect(0.02, 3.0, 30.0) == pytest.approx(expected)

    def test_fewer_than_three_epochs_resolve_nothing(self) -> None:
        assert resolvable_effect(0.02, 10.1, 30.0) is None
        assert resolvable_effect(0.02, 10.0, 30.0) is not None

    def test_four_times_the_time_halves_it(self) -> None:
        # Up to the quantiles, which shrink a little too.
        short, long = resolvable_effect(0.01, 1.0, 30.0), resolvable_effect(0.01, 1.0, 120.0)
        assert short is not None
        assert long is not None
        assert 1.9 < short / long < 2.2


class TestNoise:
    def test_a_silent_machine_resolves_everything(self) -> None:
        found = noise_on(SyntheticMachine(pair(0.002, 0.002)), 30.0)
        assert found.call_s == pytest.approx(0.002)
        assert found.delta.value == pytest.approx(1.0)
        assert found.epoch_spread == pytest.approx(0.0, abs=1e-9)
        assert found.resolvable == pytest.approx(0.0, abs=1e-9)
        assert found.delta.verdict == "no_measurable_change"
        assert found.steady

    def test_the_spread_is_that_of_the_processes(self) -> None:
        # Two processes an epoch, each with 1 % of its own: √2 % between epochs.
        machine = SyntheticMachine(
            pair(0.002, 0.002), setup_s=0.05, process_noise=lognormal(0.01), seed=4
        )
        found = noise_on(machine, 200.0)
        assert found.delta.epochs > 60
        assert found.epoch_spread == pytest.approx(math.sqrt(2) * 0.01, rel=0.3)

    def test_a_noisier_machine_resolves_less(self) -> None:
        effects = [
            noise_on(
                SyntheticMachine(pair(0.002, 0.002), process_noise=lognormal(sigma), seed=1), 30.0
            ).resolvable
            for sigma in (0.002, 0.02, 0.2)
        ]
        assert None not in effects
        assert effects == sorted(effects)  # type: ignore[type-var]
        assert effects[2] > 0.1  # type: ignore[operator]

    def test_what_the_noise_floor_hides_is_not_resolved(self) -> None:
        machine = SyntheticMachine(pair(0.002, 0.002), process_noise=lognormal(0.03), seed=2)
        found = noise_on(machine, 30.0)
        assert found.delta.noise_floor is not None
        assert found.resolvable is not None
        assert found.resolvable >= found.delta.noise_floor

    def test_a_budget_for_one_epoch_says_that_nothing_is_known(self) -> None:
        found = noise_on(SyntheticMachine(pair(0.002, 0.002), setup_s=3.0), 3.5)
        assert found.delta.epochs == 1
        assert (found.epoch_spread, found.resolvable, found.delta.low) == (None, None, None)

    def test_one_that_never_settles_says_so(self) -> None:
        assert not noise_on(SyntheticMachine(pair(0.002, 0.002), steady=False), 10.0).steady


def test_the_built_in_model_is_valid_and_computes_with_numbers_that_stay_numbers(
    tmp_path: Path,
) -> None:
    path = tmp_path / "noise.onnx"
    write_model(path)
    onnx.checker.check_model(path, full_check=True)
    from onnx.reference import ReferenceEvaluator

    inputs = np.random.default_rng(0).uniform(-1, 1, (BATCH, WIDTH)).astype(np.float32)
    (outputs,) = ReferenceEvaluator(str(path)).run(None, {INPUT: inputs})
    assert outputs.shape == (BATCH, WIDTH)
    assert np.isfinite(outputs).all()
    assert 0.01 < outputs.std() < 100
