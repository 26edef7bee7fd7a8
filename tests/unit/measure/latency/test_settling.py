import math
from collections.abc import Callable
from random import Random

import pytest
from synthetic_machine import SyntheticMachine, experiment, lognormal, on_off, pair

from compaudit.measure.latency.experiment import Trace
from compaudit.measure.latency.settling import unsteady_models
from compaudit.results import RawBlock

EPOCHS, QUADS = 6, 8


def trace(of: Callable[[int, int, Random], float], seed: int = 0, quads: int = QUADS) -> Trace:
    """Blocks of ten calls; `of` gives the factor on the original's time at an epoch and a quad."""
    random = Random(seed)
    blocks = [
        RawBlock(
            epoch=epoch,
            quad=quad,
            position=position,
            model=model,
            calls=10,
            elapsed_s=0.1 * (of(epoch, quad, random) if model == "original" else 1.0),
            cpu_s=0.1,
            times_s=[],
            compilations=0,
            resident_bytes=None,
        )
        for epoch in range(EPOCHS)
        for quad in range(quads)
        for position, model in enumerate(("original", "compressed", "compressed", "original"))
    ]
    return Trace(blocks, [], 30.0, False, ())


def noise(random: Random, sigma: float = 0.02) -> float:
    return math.exp(random.gauss(0.0, sigma))


def test_a_decline_in_every_epoch_is_seen_in_the_model_that_has_it() -> None:
    declining = trace(lambda epoch, quad, random: (1 + 0.6 * 0.5**quad) * noise(random))
    assert unsteady_models(declining) == ("original",)


def test_a_plateau_that_ends_within_the_epoch_is_seen() -> None:
    plateau = trace(lambda epoch, quad, random: (3.0 if quad < 2 else 1.0) * noise(random))
    assert unsteady_models(plateau) == ("original",)


@pytest.mark.parametrize(
    "of",
    [
        lambda epoch, quad, random: noise(random),
        lambda epoch, quad, random: 1.0,
        lambda epoch, quad, random: 1.5 if (epoch, quad) == (2, 0) else noise(random),
        lambda epoch, quad, random: (1 + 0.04 * (quad < 2)) * noise(random, 0.001),
        lambda epoch, quad, random: 1 + 0.1 * quad,
        lambda epoch, quad, random: 1.5 - 0.5 * (epoch * QUADS + quad) / (EPOCHS * QUADS),
    ],
    ids=["noise", "none", "one slow quad", "4 %", "it becomes slower", "drift over all epochs"],
)
def test_what_is_no_settling(of: Callable[[int, int, Random], float]) -> None:
    assert unsteady_models(trace(of)) == ()


def test_noise_is_seldom_taken_for_it() -> None:
    """Even noise that is large between quads; the level is half of one per cent."""
    found = [
        unsteady_models(trace(lambda epoch, quad, random: noise(random, 0.15), seed))
        for seed in range(400)
    ]
    assert sum(map(bool, found)) <= 8


def test_nor_is_a_neighbour_that_comes_and_goes() -> None:
    found = []
    for seed in range(40):
        machine = SyntheticMachine(
            pair(0.010, 0.005),
            setup_s=0.2,
            seed=seed,
            call_noise=lognormal(0.02),
            load=on_off(seed, 1.0, 1.0, 2.0),
        )
        found.append(unsteady_models(machine.run(experiment(20, seed=seed))))
    assert sum(map(bool, found)) <= 2


def test_a_few_quads_tell_nothing_and_what_warming_up_said_stays() -> None:
    few = trace(lambda epoch, quad, random: 3.0 if quad == 0 else 1.0, quads=3)
    assert unsteady_models(few) == ()
    cut_short = Trace(few.blocks, [], 30.0, False, ("compressed",))
    assert unsteady_models(cut_short) == ("compressed",)
