"""The p-value that the paper printed between two sessions, as published."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

CAUTION = (
    "This p-value is anti-conservative: under equal accuracy in both sessions a nominal .05 rejects 22 to 26% of the "
    "time, since it has no factor sqrt(2) for the difference and its side is chosen after looking."
)
GROUPS = 10
"""Sub-groups of a session. The paper does not say how many it took."""


def paper_p(sessions: Sequence[Sequence[bool]], first: int, second: int, groups: int = GROUPS) -> float | None:
    """Return p = 1 - Phi(|difference| / SE) between two of the sessions, as the paper defines it.

    ``sessions`` holds, for each session, whether each answer was correct, in reading order. A session is cut into
    ``groups`` equal parts in that order (a rest is dropped). SE is the mean over all given sessions of the standard
    deviation of the parts' accuracies over sqrt(groups). None if a session has fewer answers than parts, or if no part
    differs from another.
    """
    if any(len(session) < groups for session in sessions):
        return None
    error = float(np.mean([_standard_error(session, groups) for session in sessions]))
    difference = float(np.mean(sessions[first]) - np.mean(sessions[second]))
    return published_p(difference, error)


def published_p(difference: float, error: float) -> float | None:
    """Return 1 - Phi(|difference| / error); None where the error is 0."""
    return float(norm.sf(abs(difference) / error)) if error > 0 else None


def _standard_error(correct: Sequence[bool], groups: int) -> float:
    whole = len(correct) // groups * groups
    parts = np.asarray(correct[:whole], dtype=float).reshape(groups, -1).mean(axis=1)
    return float(parts.std(ddof=1)) / math.sqrt(groups)
