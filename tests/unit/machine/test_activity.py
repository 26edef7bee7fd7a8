from itertools import cycle, islice
from pathlib import Path

from compaudit.machine import activity, clock


def test_the_most_throttled_core_counts(tmp_path: Path) -> None:
    for core, count in enumerate(("3\n", "17\n", "garbage")):
        folder = tmp_path / f"cpu{core}" / "thermal_throttle"
        folder.mkdir(parents=True)
        (folder / "core_throttle_count").write_text(count)
    assert activity.thermal_throttles(tmp_path) == 17


def test_where_nobody_counts_it_is_not_known(tmp_path: Path) -> None:
    assert activity.thermal_throttles(tmp_path) is None
    assert clock.clock_source(tmp_path / "none") is None


def test_utilisation_is_a_share() -> None:
    found = activity.utilisation(0.05)
    assert 0 <= found.busy <= 100
    assert found.steal is None or 0 <= found.steal <= 100


def test_the_resolution_is_the_smallest_step_that_shows() -> None:
    # A clock that moves every third reading, by 2, 1 and 2 µs.
    readings: list[float] = []
    now = 0.0
    for step in islice(cycle([0.0, 0.0, 2e-6, 0.0, 0.0, 1e-6]), 30_000):
        now += step
        readings.append(now)
    assert abs(clock.resolution_s(iter(readings).__next__) - 1e-6) < 1e-9
