"""Plan which phantom patients are positive and which images show a benign finding, before any pixel is drawn.

Seeded permutations choose them, not independent coin flips, so shares are exact up to rounding and even a cohort of ten
patients has positives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mammogan.data.phantom.settings import DISTRACTOR_SHARE, MONOCHROME1_SHARE, POSITIVE_SHARE, PhantomConfig
from mammogan.data.phantom.streams import BREASTS, VIEWS, Purpose, stream
from mammogan.workspace import Label


@dataclass(frozen=True)
class PlannedImage:
    """One image to be drawn."""

    name: str
    breast: str
    view: str
    distractor: bool


@dataclass(frozen=True)
class PlannedPatient:
    """One patient: both breasts when negative, the affected one when positive."""

    index: int
    patient_id: str
    label: Label
    monochrome1: bool
    images: tuple[PlannedImage, ...]


def plan_cohort(config: PhantomConfig) -> list[PlannedPatient]:
    """Return the patients in order; the plan depends only on the number of patients and the seed."""
    rng = stream(config.seed, Purpose.PLAN)
    positives = _chosen(rng, config.patients, POSITIVE_SHARE, at_least=1)
    inverted = set(_chosen(rng, config.patients, MONOCHROME1_SHARE))
    affected = {patient: BREASTS[rank % 2] for rank, patient in enumerate(positives)}
    slots = [_slots(patient, affected.get(patient)) for patient in range(config.patients)]
    distracting = _distracting(rng, slots, affected)
    return [
        PlannedPatient(
            index=patient,
            patient_id=f"SYN-{config.seed}-{patient:05d}",
            label="positive" if patient in affected else "negative",
            monochrome1=patient in inverted,
            images=tuple(
                PlannedImage(name, breast, view, name in distracting) for name, breast, view in slots[patient]
            ),
        )
        for patient in range(config.patients)
    ]


def _chosen(rng: np.random.Generator, among: int, share: float, at_least: int = 0) -> list[int]:
    count = max(min(at_least, among), round(share * among))
    return [int(i) for i in rng.permutation(among)[:count]]


def _slots(patient: int, affected: str | None) -> list[tuple[str, str, str]]:
    breasts = (affected,) if affected else BREASTS
    return [(f"p{patient:05d}-{breast}-{view}", breast, view) for breast in breasts for view in VIEWS]


def _distracting(
    rng: np.random.Generator, slots: list[list[tuple[str, str, str]]], affected: dict[int, str]
) -> set[str]:
    """Return the names of images with a benign distractor: the same share in both labels."""
    names: set[str] = set()
    for positive in (True, False):
        images = [slot[0] for patient, own in enumerate(slots) if (patient in affected) is positive for slot in own]
        names |= {images[i] for i in _chosen(rng, len(images), DISTRACTOR_SHARE)}
    return names
