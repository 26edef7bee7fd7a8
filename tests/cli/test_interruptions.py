"""A few runs of the stress test of random interruptions (tests/stress/interruptions.py)."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

PATH = Path(__file__).parents[1] / "stress" / "interruptions.py"


def test_whenever_it_is_interrupted_nothing_is_left() -> None:
    spec = importlib.util.spec_from_file_location("interruptions", PATH)
    assert spec is not None
    assert spec.loader is not None
    stress = importlib.util.module_from_spec(spec)
    sys.modules["interruptions"] = stress  # dataclasses look their module up
    spec.loader.exec_module(stress)
    generator = random.Random()  # other moments every time; the failure names its own
    for _ in range(8):
        ending = stress.run(stress.draw(generator, longest_s=2.5))
        assert ending.faults == [], ending
        # One second is the promise; the rest is for a busy machine.
        assert ending.took_s < 5 or ending.code == 0, ending
