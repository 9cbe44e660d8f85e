"""Quantities in words: short, and without NaN or infinity."""

import math


def duration(seconds: float) -> str:
    """Write a time span in the units that suit it."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole // 60 % 60:02} min"


def left(seconds: float | None) -> str:
    """Write the time left, where it is known."""
    return "" if seconds is None else f"{duration(seconds)} left"


def in_one_line(error: str) -> str:
    """Write an error's first line; where a traceback follows it, the exception."""
    first, *others = error.strip().splitlines() or [""]
    return f"{first} {others[-1].strip()}" if others and first.endswith(":") else first


def loss(value: float | None) -> str:
    """Write a loss; None is one that is not known yet."""
    if value is None:
        return "-"
    return f"{value:.4g}" if math.isfinite(value) else "not finite"
