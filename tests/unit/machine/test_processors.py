import psutil
import pytest

from compaudit import machine
from compaudit.machine import processors

TOTAL = psutil.virtual_memory().total


@pytest.mark.parametrize(("limit", "usable"), [(None, TOTAL), (2**20, 2**20), (TOTAL + 1, TOTAL)])
def test_memory_is_the_groups_where_that_is_less(
    monkeypatch: pytest.MonkeyPatch, limit: int | None, usable: int
) -> None:
    monkeypatch.setattr(processors, "memory_limit", lambda: limit)
    assert machine.usable_memory() == usable


@pytest.mark.parametrize(("quota", "cores"), [(0.5, 1), (2.9, 2), (64.0, 3), (None, 3)])
def test_cores_are_the_quotas_where_that_is_less(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, cores: int
) -> None:
    monkeypatch.setattr(processors, "cpu_quota", lambda: quota)
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda pid: {0, 2, 5}, raising=False)
    monkeypatch.setattr(processors.sys, "platform", "linux")
    assert machine.usable_cores() == cores


@pytest.mark.parametrize(
    ("usable", "physical", "threads"),
    [(1, 8, 1), (3, 8, 1), (4, 8, 3), (4, 2, 1), (16, 8, 7), (8, None, 7)],
)
def test_threads_by_default(
    monkeypatch: pytest.MonkeyPatch, usable: int, physical: int | None, threads: int
) -> None:
    monkeypatch.setattr(processors, "usable_cores", lambda: usable)
    monkeypatch.setattr(processors, "physical_cores", lambda: physical)
    assert machine.default_threads() == threads
