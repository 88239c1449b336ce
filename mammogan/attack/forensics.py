"""Forensic numbers of one image: what can be read off its pixels alone, and may tell an adversarial one at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.attack.background import breast_of
from mammogan.attack.grey_grid import PATTERNS, GreyGrid

Pixels = NDArray[np.uint16]
Mask = NDArray[np.bool_]

FULL = 65535.0
CORNER = 1 / 32
"""Of the shorter side: the squares that are looked at in the corners."""
REGIONS = (16, 128)
"""Smallest and largest side, in pixels, of the regions whose spectrum is measured: a fifth of the picture, a power of
two, so that some fit into a breast at 192x160 and many at 1728x1408."""
MOST_REGIONS = 64
LOWEST_WAVE = 2
"""Waves in a region from which on its spectrum is fitted; the longer ones are the window's."""


@dataclass(frozen=True)
class Forensics:
    """Numbers of one image. Greys are of full scale, shares and greys in [0,1]; None where there is nothing to measure.

    The breast is what is brighter than air in the image itself (models.networks.AIR).
    """

    zeros: float
    """Share of the picture's pixels that are exactly 0."""
    minimum: float
    """Darkest grey of the picture."""
    breast_minimum: float | None
    """Darkest grey of the breast."""
    off_grid: float | None
    """Share of the picture's pixels that are no level of the source's grey grid; None where the source has none."""
    corner: float
    """Mean grey of the darkest of the four corners: where there is air, if there is any."""
    distinct: float | None
    """Different values in the breast for each of its pixels."""
    maximum: float | None
    """Brightest grey of the breast."""
    slope: float | None
    """b of P(f) = K / f^b, the spectrum in the breast: smooth pictures have a large one."""
    noise: float | None
    """Standard deviation of a pixel less the mean of the 3x3 around it, in the breast."""


@dataclass(frozen=True)
class ForensicPair:
    """Forensic numbers of an original and of its adversarial image, if it has one."""

    real: Forensics
    fake: Forensics | None

    @classmethod
    def measure(cls, real: Pixels, fake: Pixels | None) -> ForensicPair:
        """Of uint16 (H,W); the grey grid of both is the original's."""
        grid = GreyGrid.of(real)
        return cls(forensics(real, grid), None if fake is None else forensics(fake, grid))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ForensicPair:
        """The inverse of dataclasses.asdict."""
        return cls(Forensics(**values["real"]), Forensics(**values["fake"]) if values["fake"] else None)


def forensics(pixels: Pixels, grid: GreyGrid | None) -> Forensics:
    """All numbers of an image, uint16 (H,W). ``grid`` is that of the source it was made from."""
    breast = breast_of(pixels)
    inside = pixels[breast]
    some = bool(inside.size)
    return Forensics(
        zeros=float((pixels == 0).mean()),
        minimum=float(pixels.min()) / FULL,
        breast_minimum=float(inside.min()) / FULL if some else None,
        off_grid=grid.share_off(pixels) if grid else None,
        corner=darkest_corner(pixels),
        distinct=float(np.count_nonzero(np.bincount(inside, minlength=PATTERNS)) / inside.size) if some else None,
        maximum=float(inside.max()) / FULL if some else None,
        slope=spectrum_slope(pixels, breast),
        noise=noise(pixels, breast),
    )


def darkest_corner(pixels: Pixels) -> float:
    """Mean grey, of full scale, of the darkest of the squares in the four corners."""
    side = max(1, round(CORNER * min(pixels.shape)))
    corners = [pixels[rows, cols] for rows in _ends(side) for cols in _ends(side)]
    return min(float(corner.mean()) for corner in corners) / FULL


def noise(pixels: Pixels, breast: Mask) -> float | None:
    """Standard deviation of a high pass, of full scale, over the pixels whose 3x3 surroundings are all ``breast``."""
    inside = ndimage.binary_erosion(breast, np.ones((3, 3), bool))
    if not inside.any():
        return None
    values = pixels.astype(np.float32)
    return float((values - ndimage.uniform_filter(values, 3))[inside].std(dtype=float)) / FULL


def spectrum_slope(pixels: Pixels, breast: Mask) -> float | None:
    """b of P(f) = K / f^b over regions that lie in the ``breast``; None where none fits, or all are even.

    Regions of a fifth of the picture, half overlapping, mean removed, Hann window; straight line through log power
    against log frequency, from LOWEST_WAVE waves a region to half a wave a pixel, each ring weighing the same.
    """
    side = int(np.clip(2 ** int(np.log2(max(min(pixels.shape) / 5, 1))), *REGIONS))
    if min(pixels.shape) < side:
        return None
    stride = side // 2
    regions = np.lib.stride_tricks.sliding_window_view(pixels, (side, side))[::stride, ::stride]
    covered = np.lib.stride_tricks.sliding_window_view(breast, (side, side))[::stride, ::stride].all((2, 3))
    found = regions[covered]
    if not len(found):
        return None
    power = _power(found[:: -(-len(found) // MOST_REGIONS)].astype(np.float32))
    waves = np.rint(np.hypot(*np.meshgrid(*[np.fft.fftfreq(side, 1 / side)] * 2, indexing="ij"))).astype(int)
    rings = np.arange(LOWEST_WAVE, side // 2 + 1)
    mean = np.array([power[waves == ring].mean() for ring in rings])
    if not mean.all():
        return None
    return -float(np.polyfit(np.log(rings), np.log(mean), 1)[0])


def _power(regions: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean power spectrum of regions (n,side,side)."""
    window = np.outer(*[np.hanning(regions.shape[1])] * 2)
    flat = regions - regions.mean((1, 2), keepdims=True)
    power: NDArray[np.float64] = (np.abs(np.fft.fft2(flat * window)) ** 2).mean(0)
    return power


def _ends(side: int) -> tuple[slice, slice]:
    return slice(None, side), slice(-side, None)
