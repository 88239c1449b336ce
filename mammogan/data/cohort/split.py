"""Assign patients to train, validation and test by a hash of each patient, so that new patients move nobody else."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import accumulate

TENTHS = {"test": 1, "validation": 1, "train": 8}
"""How many tenths of the patients each split is expected to get, in the order of their positions."""
POSITIONS = 1 << 64


@dataclass(frozen=True)
class Division:
    """The split of every patient, and how many patients were moved because a split would have been too small."""

    splits: dict[str, str]
    moved: int


def divide(patients: Collection[str], seed: int, tenths: Mapping[str, int]) -> Division:
    """Divide patients by their position in [0, 1): test below 0.1, validation below 0.2 (with ``TENTHS``), else train.

    A patient's split does not depend on the other patients, with one exception: if a split would get no patient, or
    fewer than half of the expected number, the patients next to its border are moved into it. Needs at least one
    patient for each split.
    """
    order = sorted(patients, key=lambda patient: (position(seed, patient), patient))
    places = [position(seed, patient) for patient in order]
    natural = [bisect_left(places, border * POSITIONS // 10) for border in accumulate(tenths.values())]
    ends = _widened(natural, _fewest(len(order), tenths))
    one, other = (_by_patient(order, cut, tenths) for cut in (natural, ends))
    return Division(other, sum(one[patient] != other[patient] for patient in order))


def split_of(seed: int, patient: str, tenths: Mapping[str, int] = TENTHS) -> str:
    """Return the split of one patient by her position alone, as ``divide`` does where no split is too small."""
    borders = [border * POSITIONS // 10 for border in accumulate(tenths.values())]
    return next(name for name, border in zip(tenths, borders, strict=True) if position(seed, patient) < border)


def position(seed: int, patient: str) -> int:
    """Return a patient's position, 0 to ``POSITIONS`` - 1, from a hash of the seed and her identifier alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{patient}".encode()).digest()[:8])


def _fewest(patients: int, tenths: Mapping[str, int]) -> list[int]:
    """Return the smallest allowed size of each split: half of the expected size, rounded up, at least one.

    The last split's is lowered to the number of remaining patients if that is less.
    """
    fewest = [max(1, -(-patients * share // 20)) for share in tenths.values()]
    return [*fewest[:-1], min(fewest[-1], patients - sum(fewest[:-1]))]


def _widened(ends: list[int], fewest: list[int]) -> list[int]:
    """Move ``ends`` (where each split ends along the order) as little as needed to give every split its ``fewest``."""
    wide = list(ends)
    for split in range(len(wide) - 1):
        wide[split] = max(wide[split], (wide[split - 1] if split else 0) + fewest[split])
    for split in range(len(wide) - 2, -1, -1):
        wide[split] = min(wide[split], wide[split + 1] - fewest[split + 1])
    return wide


def _by_patient(order: list[str], ends: list[int], tenths: Mapping[str, int]) -> dict[str, str]:
    return {
        patient: name
        for name, start, end in zip(tenths, [0, *ends], ends, strict=False)
        for patient in order[start:end]
    }
