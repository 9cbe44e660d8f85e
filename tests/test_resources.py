import math
import os
from pathlib import Path

import psutil
import pytest

from hybridmpi import resources


@pytest.fixture
def membership(tmp_path: Path) -> Path:
    path = tmp_path / "membership"
    path.write_text("12:memory:/job\n5:cpu,cpuacct:/job/step\n0::/job/step\n")
    return path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_smallest_quota_on_the_way_up_holds(tmp_path: Path, membership: Path) -> None:
    write(tmp_path / "job" / "step" / "cpu.max", "max 100000")
    write(tmp_path / "job" / "cpu.max", "250000 100000")
    write(tmp_path / "job" / "step" / "memory.max", "4096")
    write(tmp_path / "job" / "memory.max", "max")
    folders = list(resources.cgroup_folders("cpu", tmp_path, membership))
    assert resources.cpu_quota(folders) == 2.5
    assert resources.memory_quota(folders) == 4096


def test_first_version_of_cgroups_has_a_tree_per_controller(
    tmp_path: Path, membership: Path
) -> None:
    write(tmp_path / "cpu" / "job" / "step" / "cpu.cfs_quota_us", "-1")
    write(tmp_path / "cpu" / "job" / "step" / "cpu.cfs_period_us", "100000")
    write(tmp_path / "cpu" / "job" / "cpu.cfs_quota_us", "150000")
    write(tmp_path / "cpu" / "job" / "cpu.cfs_period_us", "100000")
    write(tmp_path / "memory" / "job" / "memory.limit_in_bytes", "8192")
    assert resources.cpu_quota(resources.cgroup_folders("cpu", tmp_path, membership)) == 1.5
    assert resources.memory_quota(resources.cgroup_folders("memory", tmp_path, membership)) == 8192


def test_container_sees_its_group_as_the_root(tmp_path: Path, membership: Path) -> None:
    write(tmp_path / "cgroup" / "cpu.max", "100000 100000")
    folders = list(resources.cgroup_folders("cpu", tmp_path / "cgroup", membership))
    assert folders == [tmp_path / "cgroup"]
    assert resources.cpu_quota(folders) == 1


def test_no_cgroups_no_limits(tmp_path: Path) -> None:
    folders = list(resources.cgroup_folders("cpu", tmp_path, tmp_path / "missing"))
    assert (resources.cpu_quota(folders), resources.memory_quota(folders)) == (math.inf, math.inf)


@pytest.mark.parametrize(("quota", "cores"), [(0.5, 1), (3.9, 3), (math.inf, 8)])
def test_cores_are_whole_and_at_least_one(
    monkeypatch: pytest.MonkeyPatch, quota: float, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(resources, "cpu_quota", lambda _: quota)
    assert resources.usable_cores() == cores


def test_memory_is_the_machines_or_the_smaller_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "memory_quota", lambda _: math.inf)
    assert resources.memory_limit_bytes() == psutil.virtual_memory().total
    monkeypatch.setattr(resources, "memory_quota", lambda _: 4096)
    assert resources.memory_limit_bytes() == 4096
