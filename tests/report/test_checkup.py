import re
from collections.abc import Callable

import canned_checkup
import msgspec
import pytest

from compaudit.report import render
from compaudit.results import decode_report

Golden = Callable[[str, str], None]


def test_it_reads_as_a_person_has_seen_it(golden: Golden) -> None:
    golden("doctor-80.txt", render(canned_checkup.checkup(), "table", 80).decode())


def test_without_an_a_a_test_there_is_no_word_of_one() -> None:
    text = render(canned_checkup.checkup(noise=None), "table", 80).decode()
    assert "against itself" not in text
    assert "δ" not in text


def test_what_nobody_tells_is_a_dash() -> None:
    known = canned_checkup.checkup()
    environment = msgspec.structs.replace(
        known.environment, physical_cores=None, steal_percent=None, instruction_sets=[]
    )
    delta = msgspec.structs.replace(known.noise.delta, low=None, high=None, noise_floor=None)  # type: ignore[union-attr]
    noise = msgspec.structs.replace(known.noise, delta=delta, epoch_spread=None, resolvable=None)
    unknown = msgspec.structs.replace(
        known,
        environment=environment,
        noise=noise,
        hyperthreads=None,
        steal_percent_now=None,
        throttled_s=None,
        clock_source=None,
        timing_lock=None,
        framework_threads={},
    )
    lines = render(unknown, "table", 100).decode().splitlines()
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in lines if "  " in line.strip())
    for name in ("instructions", "stolen by others", "slowed down", "power", "noise floor"):
        assert rows[name] == "–", name
    assert rows["resolved in 30 s"] == "–"
    assert rows["timing lock"] == "none"
    assert rows["cores"] == "4 usable"


@pytest.mark.parametrize("battery", [True, False])
def test_json_comes_back(battery: bool) -> None:
    report = msgspec.structs.replace(canned_checkup.checkup(), on_battery=battery)
    assert decode_report(render(report, "json", 80)) == report
