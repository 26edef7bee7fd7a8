"""Limits of control groups, in trees of files as the kernel lays them out."""

from pathlib import Path

import pytest

from compaudit.machine.cgroups import Cgroups

GIB = 2**30


def groups(folder: Path, membership: str, files: dict[str, str]) -> Cgroups:
    (folder / "cgroup").write_text(membership)
    for name, text in files.items():
        path = folder / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Cgroups(folder / "cgroup", folder / "fs")


class TestVersion2:
    def test_the_smallest_limit_on_the_way_up_counts(self, tmp_path: Path) -> None:
        found = groups(
            tmp_path,
            "0::/pod/container\n",
            {
                "cgroup.controllers": "cpu memory",
                "memory.max": "max",
                "cpu.max": "max 100000",
                "pod/memory.max": str(2 * GIB),
                "pod/cpu.max": "150000 100000",
                "pod/container/memory.max": str(3 * GIB),
                "pod/container/cpu.max": "400000 100000",
            },
        )
        assert found.memory_limit() == 2 * GIB
        assert found.cpu_quota() == 1.5

    def test_max_is_no_limit(self, tmp_path: Path) -> None:
        files = {"memory.max": "max\n", "cpu.max": "max 100000\n"}
        found = groups(tmp_path, "0::/\n", files)
        assert found.memory_limit() is None
        assert found.cpu_quota() is None

    @pytest.mark.parametrize("membership", ["0::/docker/abc\n", "0::/../../elsewhere\n"])
    def test_in_a_container_the_path_may_be_the_hosts(
        self, tmp_path: Path, membership: str
    ) -> None:
        found = groups(tmp_path, membership, {"memory.max": str(GIB), "cpu.max": "50000 100000"})
        assert found.memory_limit() == GIB
        assert found.cpu_quota() == 0.5

    def test_throttled_time_is_in_microseconds(self, tmp_path: Path) -> None:
        text = "usage_usec 9000000\nnr_periods 10\nnr_throttled 2\nthrottled_usec 2500000\n"
        assert groups(tmp_path, "0::/\n", {"cpu.stat": text}).throttled_s() == 2.5


class TestVersion1:
    MEMBERSHIP = "4:memory:/slice/job\n3:cpu,cpuacct:/slice\n1:name=systemd:/\n"

    def test_memory_and_quota(self, tmp_path: Path) -> None:
        found = groups(
            tmp_path,
            self.MEMBERSHIP,
            {
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
                "memory/slice/job/memory.limit_in_bytes": f"{GIB}\n",
                "cpu/slice/cpu.cfs_quota_us": "250000\n",
                "cpu/slice/cpu.cfs_period_us": "100000\n",
                "cpu/slice/cpu.stat": "nr_periods 4\nthrottled_time 1500000000\n",
            },
        )
        assert found.memory_limit() == GIB
        assert found.cpu_quota() == 2.5
        assert found.throttled_s() == 1.5

    def test_minus_one_and_a_huge_number_are_no_limit(self, tmp_path: Path) -> None:
        found = groups(
            tmp_path,
            self.MEMBERSHIP,
            {
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
                "cpu/cpu.cfs_quota_us": "-1\n",
                "cpu/cpu.cfs_period_us": "100000\n",
            },
        )
        assert found.memory_limit() is None
        assert found.cpu_quota() is None

    def test_both_versions_beside_each_other(self, tmp_path: Path) -> None:
        found = groups(
            tmp_path,
            "4:memory:/\n0::/\n",
            {
                "memory/memory.limit_in_bytes": f"{GIB}\n",
                "unified/cpu.max": "300000 100000",
                "unified/memory.max": "1",
            },
        )
        assert found.memory_limit() == GIB
        assert found.cpu_quota() == 3.0


def test_without_control_groups_there_are_no_limits(tmp_path: Path) -> None:
    nothing = Cgroups(tmp_path / "cgroup", tmp_path)
    assert nothing.memory_limit() is None
    assert nothing.cpu_quota() is None
    assert nothing.throttled_s() is None


@pytest.mark.parametrize("text", ["", "garbage", "1 2 3", "-5 100000", "100000 0"])
def test_what_makes_no_sense_is_no_limit(tmp_path: Path, text: str) -> None:
    found = groups(tmp_path, "0::/\n", {"cpu.max": text, "memory.max": text.split(" ")[0] + "x"})
    assert found.cpu_quota() is None
    assert found.memory_limit() is None
