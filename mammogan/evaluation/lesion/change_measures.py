"""Describe the shape of a change without any truth: is it one compact blob, and does a blob detector find it?

A change that turns the CAD's call may be anything. A change that inserts a lesion is in one place and of a lesion's
size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.data.blobs.blob_detector import Blob, averaged, breast_of, largest_blob, pooling
from mammogan.data.blobs.disc import NEAR, best_disc
from mammogan.data.shards.reader import Sample
from mammogan.evaluation.phantom_truth import PhantomTruth

Pixels = NDArray[np.uint16]
Energy = NDArray[np.float64]
Spacing = Sequence[float]

RADIUS_MM = 8.5
"""Assumed radius of a lesion: the geometric mean of 6 and 12 mm."""
DISC_MM = NEAR * RADIUS_MM
"""Radius of the disc that a compact change fits into."""
SMOOTH_MM = 2.4
"""Standard deviation of the Gaussian that smooths the change's energy before its blobs are counted."""
OF_PEAK = 0.25
"""Smoothed energy above this share of its maximum belongs to a blob."""


@dataclass(frozen=True)
class RealBlob:
    """The blob detector's result on a real mammogram. ``at_lesion``: whether the blob is at a lesion; None if none is
    known."""

    response: float
    at_lesion: bool | None


@dataclass(frozen=True)
class Insertion:
    """The shape of an insertion. None: nothing changed, or the pixel size is unknown."""

    in_disc: float | None
    """Share of the change's energy (sum of squared differences) in the disc of radius DISC_MM that holds most of it."""
    blobs: int | None
    """Number of pieces of the change, see ``count_blobs``."""
    peak: float
    """Largest absolute change of a pixel, relative to the full range."""
    response: float | None
    """Response of the blob detector in the adversarial image; None if the breast is too small for it."""
    at_centre: bool | None
    """Whether the detector's blob is within DISC_MM of the disc's centre."""


def measure_insertion(real: Sample, adversarial: Sample) -> Insertion:
    """Measure the change between a mammogram and its adversarial image, both with uint16 pixels (H,W)."""
    difference = (adversarial.pixels.astype(float) - real.pixels) / 65535
    peak, spacing = float(np.abs(difference).max()), real.facts.get("spacing_mm")
    if not spacing:
        return Insertion(None, None, peak, None, None)
    blob = largest_blob(adversarial.pixels / np.float32(65535), breast_of(real.pixels), spacing)
    response = blob.response if blob else None
    if not peak:
        return Insertion(None, None, 0.0, response, None)
    share, centre = best_disc(difference**2, spacing, DISC_MM)
    return Insertion(
        in_disc=share,
        blobs=count_blobs(difference**2, spacing),
        peak=peak,
        response=response,
        at_centre=_distance_mm(blob, centre, spacing) <= DISC_MM if blob else None,
    )


def measure_real_blob(real: Sample, truth: PhantomTruth) -> RealBlob | None:
    """Apply the blob detector to a real mammogram; None if its pixel size is unknown or its breast is too small."""
    spacing = real.facts.get("spacing_mm")
    blob = largest_blob(real.pixels / np.float32(65535), breast_of(real.pixels), spacing) if spacing else None
    if blob is None:
        return None
    near = truth.near(real.key, real.facts)
    return RealBlob(blob.response, None if near is None else bool(near[round(blob.row), round(blob.column)]))


def count_blobs(energy: Energy, spacing: Spacing) -> int:
    """Return the number of connected pieces where the smoothed energy is above OF_PEAK of its maximum."""
    cell = pooling(spacing)
    sigma = [SMOOTH_MM / (mm * n) for mm, n in zip(spacing, cell, strict=True)]
    smooth = ndimage.gaussian_filter(averaged(energy / energy.max(), cell), sigma)
    return int(ndimage.label(smooth > OF_PEAK * smooth.max())[1])


def _distance_mm(blob: Blob, centre: tuple[float, float], spacing: Spacing) -> float:
    return math.hypot((blob.row - centre[0]) * spacing[0], (blob.column - centre[1]) * spacing[1])
