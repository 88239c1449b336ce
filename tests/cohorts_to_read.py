"""Cohorts that exist only as keys, patients and labels, to draw from."""

from __future__ import annotations

import numpy as np

from mammogan.reader.drawing.draw import Candidate

VIEWS = {"positive": 2, "negative": 4}
"""Images of a patient: one breast of positives, both of negatives."""


def cohort(positive: int, negative: int, seed: int = 1) -> list[Candidate]:
    """So many patients, of whom one in ten (at least one of each label) is in validation, and as many in test."""
    rng, found = np.random.default_rng(seed), []
    for label, count in (("positive", positive), ("negative", negative)):
        held_out = max(1, round(count / 10))
        for rank, number in enumerate(rng.permutation(count)):
            split = "test" if rank < held_out else "validation" if rank < 2 * held_out else "train"
            patient = f"{label[0]}{number:04d}"
            found += [Candidate(f"{patient}-{view}", patient, label, split, True) for view in range(VIEWS[label])]
    return found


def of_the_paper() -> list[Candidate]:
    """The paper's 4346 images of 1284 patients; validation and test have 74 + 364 images each, just enough."""
    return [
        Candidate(f"{patient}-{view}", patient, label, split, True)
        for label, patients, views in (("positive", 37, 2), ("negative", 91, 4))
        for split, times in (("validation", 1), ("test", 1), ("train", 8))
        for number in range(patients * times)
        for patient in [f"{label[0]}-{split}-{number}"]
        for view in range(views)
    ]
