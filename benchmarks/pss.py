"""The memory of a process: its proportional set size, as Linux counts it."""

from pathlib import Path

MEASURED_GRADIENT = 5  # when to measure a process that trains: all memory has been touched by then


def pss_mib() -> float:
    """Return this process's proportional set size."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    size_kib = next(line.split()[1] for line in lines if line.startswith("Pss:"))
    return int(size_kib) / 1024
