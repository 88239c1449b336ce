"""What a change looks like, without any truth: is it one compact blob, and does a detector of blobs see it there?

A change that turned the CAD's mind may be anything. One that inserts a lesion lies in one place of a lesion's size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.attack.truth import NEAR, PhantomTruth
from mammogan.data.blob_detector import Blob, averaged, breast_of, largest_blob, pooling
from mammogan.data.disc import best_disc
from mammogan.data.stream import Sample

Pixels = NDArray[np.uint16]
Energy = NDArray[np.float64]
Spacing = Sequence[float]

RADIUS_MM = 8.5
"""A lesion's: the geometric middle of 6 to 12 mm."""
DISC_MM = NEAR * RADIUS_MM
"""Radius of the disc that a compact change fits into."""
SMOOTH_MM = 2.4
"""Standard deviation with which the change's energy is smoothed before its blobs are counted."""
OF_PEAK = 0.25
"""Of the largest smoothed energy: what is above counts as a blob."""


@dataclass(frozen=True)
class RealBlob:
    """The blob detector on a real mammogram; ``at_lesion``: whether it looks at a lesion, None where none is known."""

    response: float
    at_lesion: bool | None


@dataclass(frozen=True)
class Insertion:
    """What was put into a mammogram. None where nothing changed, or no pixel size is known."""

    in_disc: float | None
    """Share of the change's energy (sum of squared differences) in the disc of DISC_MM that holds most of it."""
    blobs: int | None
    """Into how many pieces the change falls, see ``count_blobs``."""
    peak: float
    """The largest change of a pixel either way, of the full range."""
    response: float | None
    """Of the blob detector in the adversarial image; None where the breast is too small for it."""
    at_centre: bool | None
    """Whether the detector looks there, within DISC_MM of the disc's centre."""


def measure_insertion(real: Sample, adversarial: Sample) -> Insertion:
    """Of a mammogram and its adversarial one, both with uint16 pixels (H,W)."""
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


def look_at_real(real: Sample, truth: PhantomTruth) -> RealBlob | None:
    """The blob detector on a real mammogram; None where its pixel size is not known or its breast too small."""
    spacing = real.facts.get("spacing_mm")
    blob = largest_blob(real.pixels / np.float32(65535), breast_of(real.pixels), spacing) if spacing else None
    if blob is None:
        return None
    near = truth.near(real.key, real.facts)
    return RealBlob(blob.response, None if near is None else bool(near[round(blob.row), round(blob.column)]))


def count_blobs(energy: Energy, spacing: Spacing) -> int:
    """Connected pieces of the smoothed energy above a quarter of its maximum."""
    cell = pooling(spacing)
    sigma = [SMOOTH_MM / (mm * n) for mm, n in zip(spacing, cell, strict=True)]
    smooth = ndimage.gaussian_filter(averaged(energy / energy.max(), cell), sigma)
    return int(ndimage.label(smooth > OF_PEAK * smooth.max())[1])


def _distance_mm(blob: Blob, centre: tuple[float, float], spacing: Spacing) -> float:
    return math.hypot((blob.row - centre[0]) * spacing[0], (blob.column - centre[1]) * spacing[1])
