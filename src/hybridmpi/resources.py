"""The cores and the memory that this process may use: affinity and cgroups limit both."""

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Count the cores that affinity and the cgroup's quota leave, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, math.floor(min(cores, cpu_quota(cgroup_folders("cpu")))))


def memory_limit_bytes() -> int:
    """Return the machine's memory, or the cgroup's limit where that is smaller."""
    import psutil  # which a worker has no use for

    return int(min(psutil.virtual_memory().total, memory_quota(cgroup_folders("memory"))))


def cgroup_folders(
    controller: str, cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP
) -> Iterator[Path]:
    """Yield the folders whose limits hold for this process: its own and those above it.

    A container often sees its own group mounted as the root, under a path that names the host's;
    such paths don't exist and are passed over.

    Args:
        controller: `cpu` or `memory`; version 1 of cgroups has a tree for each.
        cgroups: Where the cgroup file systems are mounted.
        membership: The file that names this process's groups, as `/proc/self/cgroup`.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number != "0" and controller not in controllers.split(","):
            continue
        tree = cgroups if number == "0" else cgroups / controller
        own = tree / path.lstrip("/")
        for folder in (own, *own.parents):
            if folder.is_dir():
                yield folder
            if folder == tree:
                break


def cpu_quota(folders: Iterable[Path]) -> float:
    """Return the least quota in cores among cgroup `folders`, infinity where there is none."""
    return min((_cpu_quota(folder) for folder in folders), default=math.inf)


def memory_quota(folders: Iterable[Path]) -> float:
    """Return the least limit in bytes among cgroup `folders`, infinity where there is none."""
    return min((_memory_quota(folder) for folder in folders), default=math.inf)


def _cpu_quota(folder: Path) -> float:
    words = _words(folder / "cpu.max") or [
        *_words(folder / "cpu.cfs_quota_us"),
        *_words(folder / "cpu.cfs_period_us"),
    ]
    if len(words) != 2 or words[0] in ("max", "-1"):
        return math.inf
    return int(words[0]) / int(words[1])


def _memory_quota(folder: Path) -> float:
    words = _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes")
    return int(words[0]) if words and words[0] != "max" else math.inf


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
