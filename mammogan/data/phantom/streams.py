"""Independent random streams for every purpose, so that draws for one purpose never change those for another.

A patient's draws depend only on the seed and the patient's number; an image's also on the breast and view. Lesions,
distractors and noise have separate streams, so a lesion-free twin has the same anatomy and the same noise.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a random stream is for."""

    PLAN = 1
    PATIENT = 2
    ANATOMY = 3
    FINDING = 4
    LESION = 5
    DISTRACTOR = 6
    NOISE = 7


BREASTS = ("L", "R")
VIEWS = ("CC", "MLO")


def stream(seed: int, purpose: Purpose, patient: int = 0, breast: str = "L", view: str = "CC") -> np.random.Generator:
    """Return the random generator of one purpose for one patient, breast and view."""
    key = (int(purpose), patient, BREASTS.index(breast), VIEWS.index(view))
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
