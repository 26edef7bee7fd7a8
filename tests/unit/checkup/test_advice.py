"""Each piece of advice for the machine that needs it, and none for one that is fine."""

from typing import Any

import canned_checkup
import msgspec
import pytest

from compaudit.checkup.advice import ADVICE, advise
from compaudit.results import Checkup

FINE = canned_checkup.checkup()

NEEDS: dict[str, tuple[dict[str, Any], str]] = {
    "_no_onnxruntime": ({"environment.providers": []}, "pip install 'compaudit[cpu]'"),
    "_no_torch": ({"environment.packages": {}}, "pip install 'compaudit[torch]'"),
    "_busy": ({"busy_percent": 80.0}, "80 % busy"),
    "_stolen": ({"steal_percent_now": 12.0}, "12.0 %"),
    "_quota": ({"environment.cpu_quota": 1.5, "throttled_s": 2.0}, "2.00 s so far"),
    "_one_core": ({"environment.usable_cores": 1, "environment.load_average": [0, 0, 0]}, "two"),
    "_governor": ({"environment.governor": "powersave"}, "cpupower frequency-set -g performance"),
    "_battery": ({"on_battery": True}, "plug it in"),
    "_heat": ({"thermal_throttles": 7}, "7 times"),
    "_hyperthreads": ({"hyperthreads": True}, "physical cores (4)"),
    "_threads_elsewhere": ({"thread_settings": {"OMP_NUM_THREADS": "2"}}, "OMP_NUM_THREADS=2"),
    "_slow_int8": ({"environment.instruction_sets": ["avx2", "fma"]}, "VNNI"),
    "_clock": ({"clock_source": "hpet"}, "clocksource=tsc"),
    "_no_lock": ({"timing_lock": None}, "XDG_RUNTIME_DIR"),
    "_false_alarm": ({"noise.delta.verdict": "faster"}, "trust no speed-up"),
    "_coarse": ({"noise.resolvable": 0.2}, "20.00 %"),
    "_never_steady": ({"noise.steady": False}, "switch it off"),
}


def changed(found: Any, path: str, value: Any) -> Any:
    """A copy of a frozen document with another value at a dotted path."""
    name, _, rest = path.partition(".")
    value = changed(getattr(found, name), rest, value) if rest else value
    return msgspec.structs.replace(found, **{name: value})


def with_changes(changes: dict[str, Any]) -> Checkup:
    found = FINE
    for path, value in changes.items():
        found = changed(found, path, value)
    return found


def test_a_machine_that_is_fine_gets_none() -> None:
    assert advise(FINE) == []


def test_every_advice_is_tested() -> None:
    assert [advice.__name__ for advice in ADVICE] == list(NEEDS)


@pytest.mark.parametrize("name", NEEDS)
def test_the_machine_that_needs_it_gets_it_and_no_other(name: str) -> None:
    changes, words = NEEDS[name]
    (text,) = advise(with_changes(changes))
    assert words in text
    assert not text.endswith(".")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clock_resolution_s": 1e-5}, "10.0 µs"),
        ({"environment.load_average": [3.0, 0.1, 0.1]}, "load 3.00"),
        ({"environment.steal_percent": 5.0}, "5.0 %"),
        ({"noise.delta.verdict": "invalid"}, "differ from itself"),
        ({"noise.resolvable": None}, "find nothing"),
    ],
)
def test_other_signs_of_the_same(changes: dict[str, Any], words: str) -> None:
    (text,) = advise(with_changes(changes))
    assert words in text


@pytest.mark.parametrize(
    "changes",
    [
        {"noise": None},
        {"environment.governor": "performance"},
        {"environment.instruction_sets": []},
        {"environment.instruction_sets": ["neon", "dotprod"]},
        {"thread_settings": {"OMP_WAIT_POLICY": "PASSIVE"}},
        {"throttled_s": 0.0, "thermal_throttles": 0, "on_battery": False, "hyperthreads": False},
        {"throttled_s": None, "thermal_throttles": None, "hyperthreads": None},
    ],
)
def test_what_calls_for_nothing(changes: dict[str, Any]) -> None:
    assert advise(with_changes(changes)) == []
