"""How long reading took, and whether a reader changed within a session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.stats import linregress, ttest_ind

from mammogan.reader.statistics.answers import Answer
from mammogan.reader.statistics.proportions import Share, accuracy

TENTHS, TERTILES = 10, 3


@dataclass(frozen=True)
class ReadingTime:
    """Seconds an image of one reader in one session: median and quartiles; and the whole in minutes."""

    median: float
    lower: float
    upper: float
    minutes: float
    wall_minutes: float
    """With breaks."""


def reading_time(answers: Sequence[Answer]) -> ReadingTime | None:
    """Return the times of answers; None without any."""
    if not answers:
        return None
    seconds = np.array([answer.milliseconds for answer in answers]) / 1000
    lower, median, upper = (float(q) for q in np.quantile(seconds, (0.25, 0.5, 0.75)))
    wall = sum(answer.wall_milliseconds for answer in answers) / 60_000
    return ReadingTime(median, lower, upper, float(seconds.sum()) / 60, wall)


@dataclass(frozen=True)
class TimeRatio:
    """Time an image in a later session over that in an earlier one (ratio of geometric means), and Welch's p."""

    ratio: float
    low: float
    high: float
    p: float


def time_ratio(earlier: Sequence[Answer], later: Sequence[Answer]) -> TimeRatio | None:
    """Compare the logarithms of the times of two sessions; None with fewer than two answers in one of them."""
    if min(len(earlier), len(later)) < 2:
        return None
    logs = [np.log([max(answer.milliseconds, 1) for answer in group]) for group in (later, earlier)]
    if all(np.ptp(group) == 0 for group in logs):
        return None  # without any spread there is no error to compare with
    test = ttest_ind(*logs, equal_var=False)
    interval = test.confidence_interval(0.95)
    ratio = float(np.exp(logs[0].mean() - logs[1].mean()))
    return TimeRatio(ratio, float(np.exp(interval.low)), float(np.exp(interval.high)), float(test.pvalue))


def accuracy_by_part(answers: Sequence[Answer], parts: int = TENTHS) -> list[Share]:
    """Return the accuracy in each tenth (or other part) of the reading order, or of whatever order is given."""
    cuts = np.linspace(0, len(answers), parts + 1).round().astype(int)
    return [accuracy(answers[begin:end]) for begin, end in pairwise(cuts)]


def accuracy_by_time(answers: Sequence[Answer]) -> list[Share]:
    """Return the accuracy on the fastest, middle and slowest third of the answers."""
    return accuracy_by_part(sorted(answers, key=lambda answer: answer.milliseconds), TERTILES)


@dataclass(frozen=True)
class Trend:
    """Change of the accuracy from the first to the last image of a session, by a straight line, and its p."""

    change: float
    p: float


def trend(answers: Sequence[Answer]) -> Trend | None:
    """Return whether accuracy rises (learning) or falls (fatigue) within a session; None where nothing varies."""
    right = np.array([float(answer.correct) for answer in answers])
    if len(right) < 3 or np.ptp(right) == 0:
        return None
    line = linregress(np.linspace(0, 1, len(right)), right)
    return Trend(float(line.slope), float(line.pvalue))
