"""Load what is known about a phantom's lesions, in the shards' frame, and compare a removal with it.

Real mammograms have no truth.json; then there is nothing to measure, which is not an error.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mammogan.data.blobs.disc import NEAR
from mammogan.data.dicom.placement import Placement, apply_placement_to_mask, place_pixels
from mammogan.data.dicom.unusable import Unusable
from mammogan.evaluation.phantom_record import DRAWN_AGAIN, PhantomRecord
from mammogan.io.atomic import file_version, sha256
from mammogan.io.own_files import file_exists
from mammogan.io.records import DamagedRecord

Pixels = NDArray[np.uint16]
Mask = NDArray[np.bool_]

STEP = 1 / 65535
"""The smallest change of a pixel."""
ANOTHERS = 65535 / 100
"""A twin whose mean distance from its mammogram, away from the lesion, is larger is that of another mammogram."""


@dataclass(frozen=True)
class LesionTruth:
    """One mammogram's lesions at shard resolution: masks bool (H,W), and the lesion-free twin uint16 (H,W), if there is
    one."""

    lesion: Mask
    near: Mask
    twin: Pixels | None
    twin_file: Path | None = None


@dataclass(frozen=True)
class Removal:
    """How a removal compares with the truth. Distances are RMS inside the lesion, of pixels in [0,1]."""

    energy_near: float | None
    """Share of the change's energy (sum of squared differences) near a lesion; None if nothing changed."""
    area_near: float
    """Share of the image that is near a lesion: ``energy_near`` of an evenly spread change."""
    untouched: float | None
    """Distance from the real mammogram to its lesion-free twin; None without a twin."""
    removed: float | None
    """Distance from the adversarial mammogram to the twin."""

    @property
    def progress(self) -> float | None:
        """Fraction of the distance to the twin that the removal covered: 1 reaches it, 0 comes no closer, negative
        moves away."""
        if self.untouched is None or self.removed is None or self.untouched == 0:
            return None
        return 1 - self.removed / self.untouched

    @property
    def closer_db(self) -> float | None:
        """How much closer to the twin the removal came inside the lesion, 20 log10(untouched / removed): 0 is no
        closer, 6.0 halves the distance, negative moves away. Distances below one grey step of 16 bits count as one
        step."""
        if self.untouched is None or self.removed is None or self.untouched == 0:
            return None
        return 20 * math.log10(max(self.untouched, STEP) / max(self.removed, STEP))


def compare_with_truth(real: Pixels, fake: Pixels, truth: LesionTruth) -> Removal:
    """Compare one removal with the truth. All images are uint16 (H,W). Raise UserError if the twin is another's."""
    _refuse_other_twin(real, truth)
    squared = (fake.astype(float) - real) ** 2
    energy = float(squared.sum())
    return Removal(
        energy_near=float(squared[truth.near].sum()) / energy if energy else None,
        area_near=float(truth.near.mean()),
        untouched=_rms(real, truth.twin, truth.lesion),
        removed=_rms(fake, truth.twin, truth.lesion),
    )


def _refuse_other_twin(real: Pixels, truth: LesionTruth) -> None:
    away = ~truth.lesion
    if truth.twin is None or truth.twin_file is None or not away.any():
        return
    if np.abs(truth.twin[away].astype(np.int32) - real[away]).mean() > ANOTHERS:
        raise DamagedRecord(truth.twin_file, "it differs from its mammogram where there is no lesion", DRAWN_AGAIN)


def _rms(pixels: Pixels, twin: Pixels | None, lesion: Mask) -> float | None:
    if twin is None or not lesion.any():
        return None
    return float(np.sqrt(np.mean((pixels[lesion].astype(float) - twin[lesion]) ** 2))) / 65535


class PhantomTruth(PhantomRecord):
    """Returns what truth.json says about each key, in the shards' frame."""

    def of(self, key: str, facts: dict[str, Any]) -> LesionTruth | None:
        """Return the truth of one sample (its key and JSON); None if it is no phantom or has no lesion."""
        found = self.image(key)
        if not found or not found[2].get("mask"):
            return None
        row, folder, known = found
        placement = Placement.from_json(facts["placement"])
        mask, twin = folder / known["mask"], folder / known["twin"] if known.get("twin") else None
        if file_exists(folder / known["file"]):  # it may have been deleted once the shards were made
            _as_drawn(folder / known["file"], folder, known)
        with _naming(mask):
            lesion = apply_placement_to_mask(_read_mask(_as_drawn(mask, folder, known)), placement)
        near = near_lesions(known["lesions"], placement, facts["spacing_mm"])
        if twin is None:
            return LesionTruth(lesion, near, None)
        with _naming(twin):
            return LesionTruth(lesion, near, _read_twin(_as_drawn(twin, folder, known), row, facts), twin)

    def near(self, key: str, facts: dict[str, Any]) -> Mask | None:
        """Return the pixels (H,W) near a lesion of one sample, without reading its images; None as for ``of``."""
        found = self.image(key)
        if not found:
            return None
        return near_lesions(found[2]["lesions"], Placement.from_json(facts["placement"]), facts["spacing_mm"])


def phantom_truth(cohort: Path) -> PhantomTruth:
    """Return the truth for a cohort table, read once per process until the file changes."""
    return _phantom_truth(cohort, file_version(cohort))


@functools.lru_cache(maxsize=1)
def _phantom_truth(cohort: Path, version: tuple[int, ...]) -> PhantomTruth:
    return PhantomTruth(cohort)


def near_lesions(lesions: Sequence[dict[str, Any]], placement: Placement, spacing: Sequence[float]) -> Mask:
    """Return the pixels (H,W) within NEAR radii of a lesion's centre; ``spacing`` is in mm per shard pixel (y, x)."""
    rows, columns = np.ogrid[: placement.shape[0], : placement.shape[1]]
    near = np.zeros(placement.shape, bool)
    for lesion in lesions:
        row, column = placement.from_source(lesion["row"], lesion["col"])
        distance = np.hypot((rows - row) * spacing[0], (columns - column) * spacing[1])
        near |= distance <= NEAR * lesion["radius_mm"]
    return near


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Raise DamagedRecord, which names the file, for what reading a missing or damaged one raises."""
    try:
        yield
    except DamagedRecord:
        raise
    except (Unusable, ValueError, OSError) as error:
        raise DamagedRecord(path, f"it cannot be read ({type(error).__name__}: {error})", DRAWN_AGAIN) from error


def _as_drawn(path: Path, folder: Path, known: dict[str, Any]) -> Path:
    """Return the path of a phantom's file if its bytes are those that truth.json records; else raise DamagedRecord."""
    if sha256(path) != known["sha256"].get(str(path.relative_to(folder))):
        raise DamagedRecord(path, "its sha256 is not the one in truth.json", DRAWN_AGAIN)
    return path


def _read_mask(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    return np.array(Image.open(path))


def _read_twin(path: Path, row: dict[str, str], facts: dict[str, Any]) -> Pixels:
    """Read the twin and convert it as its positive was: same greyscale and same placement."""
    from mammogan.data.dicom.read import Reading, read_mammogram

    twin = read_mammogram(path, row["laterality"], row["view"], Reading.of(facts))
    return place_pixels(twin.pixels, Placement.from_json(facts["placement"]), twin.top)
