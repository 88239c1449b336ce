"""Order the places of a session at random, with the images of one patient well apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

GAP = 10
"""An image of a patient comes at least so many places after her one before: GAP - 1 others are between them."""
SHUFFLES, ROUNDS, SWAPS = 4, 20, 40
"""Shuffles tried for one gap; rounds of mending of each; partners tried for one place in a round."""


def order_of(patients: Sequence[str], seed: int, session: int, reader: int) -> tuple[list[int], int]:
    """Return a random order of the places whose patients are given, and the smallest gap in it, at most GAP.

    The same seed, session and reader give the same order. In a session with few patients the gap is the largest that
    was found; 1 means that one patient's images may follow each other.
    """
    rng = np.random.default_rng([seed, session, reader])
    for gap in range(min(GAP, _largest_gap(patients)), 1, -1):
        for _ in range(SHUFFLES):
            order = [int(place) for place in rng.permutation(len(patients))]
            if _mend(order, patients, gap, rng):
                return order, gap
    return [int(place) for place in rng.permutation(len(patients))], 1


def smallest_gap(patients: Sequence[str]) -> int:
    """Return the smallest distance between two images of one patient, given the patients in reading order; GAP if it
    is larger or no patient occurs twice."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, patient in enumerate(patients):
        places[patient].append(place)
    return min([GAP, *(b - a for of_one in places.values() for a, b in pairwise(of_one))])


def _largest_gap(patients: Sequence[str]) -> int:
    """Return a gap that no order can exceed: so many places in a row need as many patients, and the images of the
    patients with most images need room."""
    counts = Counter(patients)
    most = max(counts.values(), default=1)
    if most == 1:
        return GAP
    return max(1, min(len(counts), (len(patients) - list(counts.values()).count(most)) // (most - 1)))


def _mend(order: list[int], patients: Sequence[str], gap: int, rng: np.random.Generator) -> bool:
    """Swap places that are too near until none is; return whether that succeeded."""
    for _ in range(ROUNDS):
        near = [at for at in range(len(order)) if _is_near(order, at, patients, gap)]
        if not near:
            return True
        for at in near:
            for other in map(int, rng.integers(len(order), size=SWAPS)):
                order[at], order[other] = order[other], order[at]
                if not _is_near(order, at, patients, gap) and not _is_near(order, other, patients, gap):
                    break
                order[at], order[other] = order[other], order[at]
    return False


def _is_near(order: list[int], at: int, patients: Sequence[str], gap: int) -> bool:
    around = range(max(0, at - gap + 1), min(len(order), at + gap))
    return any(other != at and patients[order[other]] == patients[order[at]] for other in around)
