"""Checks of the machine: cores, memory, shared memory."""

import os
import shutil
from pathlib import Path

import psutil

from hybridmpi.doctor.check import Check, ok, problem, warning
from hybridmpi.resources import memory_limit_bytes, usable_cores

CORES, MEMORY, SHARED_MEMORY = "cores", "memory", "shared memory"
_GIB = 2**30
_LITTLE_MEMORY_BYTES = 2 * _GIB  # a rank with torch takes a third of a GiB or more
_LITTLE_SHARED_BYTES = _GIB // 2  # MPI keeps some MiB per rank there; containers start with 64


def cores() -> Check:
    """Count the cores that affinity and cgroup leave."""
    usable, present = usable_cores(), os.cpu_count() or 1
    limited = "" if usable == present else f" of {present}: affinity or a cgroup limits them"
    return ok(CORES, f"{usable} usable{limited}")


def memory() -> Check:
    """Compare the memory that is free, and that the cgroup grants, with what a few ranks need."""
    limit, free = memory_limit_bytes(), psutil.virtual_memory().available
    found = f"{limit / _GIB:.1f} GiB, {min(limit, free) / _GIB:.1f} GiB of it free"
    if min(limit, free) < _LITTLE_MEMORY_BYTES:
        return warning(MEMORY, found, "start few ranks (each takes 0.3 GiB or more), or free some")
    return ok(MEMORY, found)


def shared_memory(folder: Path = Path("/dev/shm")) -> Check:
    """Measure where ranks of one machine exchange their messages."""
    if not folder.is_dir():
        return ok(SHARED_MEMORY, f"no {folder} here; MPI uses files instead")
    usage = shutil.disk_usage(folder)
    return judge_shared_memory(f"{folder}", usage.total, usage.free)


def judge_shared_memory(folder: str, total_bytes: int, free_bytes: int) -> Check:
    """Judge the size of shared memory."""
    found = f"{folder}: {total_bytes / _GIB:.1f} GiB, {free_bytes / _GIB:.1f} GiB of it free"
    if free_bytes == 0:
        return problem(SHARED_MEMORY, found, f"remove what is left over in {folder}")
    if free_bytes < _LITTLE_SHARED_BYTES:
        return warning(
            SHARED_MEMORY,
            found,
            "many ranks may not start; give a container more (docker run --shm-size=2g), or remove "
            f"what is left over in {folder}",
        )
    return ok(SHARED_MEMORY, found)
