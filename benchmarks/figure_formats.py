"""How the figures of a page are written: percent, digits, and a mean with its range over the seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

Format = Callable[[float], str]


def percent(value: float) -> str:
    return f"{100 * value:.0f}%"


def one_digit(value: float) -> str:
    return f"{value:.1f}".replace("-0.0", "0.0")


def two_digits(value: float) -> str:
    return f"{value:.2f}"


def spread(values: Sequence[float], form: Format) -> str:
    """Return the mean, and the lowest and highest where they differ; a dash without values."""
    if not values:
        return "-"
    mean, low, high = (form(value) for value in (fmean(values), min(values), max(values)))
    return mean if low == high else f"{mean} ({low} to {high})"
