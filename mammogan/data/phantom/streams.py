"""Independent random draws for every purpose, so that one choice never shifts another.

A patient's draws depend on the seed and the patient's number only; an image's on the breast and view as well. Lesions,
distractors and noise have streams of their own: a lesion-free twin sees the same anatomy and the same quanta.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
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
    """The generator of one purpose for one patient, breast and view."""
    key = (int(purpose), patient, BREASTS.index(breast), VIEWS.index(view))
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
