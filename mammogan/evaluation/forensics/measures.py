"""Compute forensic numbers of an image from its pixels alone; they may reveal an adversarial one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.attack.grey_grid import PATTERNS, GreyGrid
from mammogan.attack.original_background import breast_of

Pixels = NDArray[np.uint16]
Mask = NDArray[np.bool_]

FULL = 65535.0
CORNER = 1 / 32
"""Side of the squares examined in the four corners, as a share of the image's shorter side."""
REGIONS = (16, 128)
"""Smallest and largest side, in pixels, of the regions whose spectrum is measured. The side is a fifth of the image,
rounded down to a power of two, so that some regions fit into a breast at 192x160 and many at 1728x1408."""
MOST_REGIONS = 64
LOWEST_WAVE = 2
"""Lowest frequency, in waves per region, used for the fit; lower ones are dominated by the window."""


@dataclass(frozen=True)
class Forensics:
    """The forensic numbers of one image. Greys are relative to full scale; shares and greys are in [0,1]. None: nothing
    to measure.

    The breast is the part of the image itself that is brighter than air (models.networks.AIR_PIXEL).
    """

    zeros: float
    """Share of the image's pixels that are exactly 0."""
    minimum: float
    """Darkest grey of the image."""
    breast_minimum: float | None
    """Darkest grey of the breast."""
    off_grid: float | None
    """Share of the image's pixels that are not on the source's grey grid; None if the source has no grid."""
    corner: float
    """Mean grey of the darkest of the four corners, where air is found if the image has any."""
    distinct: float | None
    """Number of different values in the breast, divided by its number of pixels."""
    maximum: float | None
    """Brightest grey of the breast."""
    slope: float | None
    """b of the spectrum P(f) = K / f^b in the breast; smooth images have a large b."""
    noise: float | None
    """Standard deviation, in the breast, of a pixel minus the mean of the 3x3 pixels around it."""


@dataclass(frozen=True)
class ForensicPair:
    """Forensic numbers of an original and of its adversarial image, if it has one."""

    real: Forensics
    fake: Forensics | None

    @classmethod
    def measure(cls, real: Pixels, fake: Pixels | None) -> ForensicPair:
        """Measure both images, uint16 (H,W), with the grey grid of the original."""
        grid = GreyGrid.of(real)
        return cls(forensics(real, grid), None if fake is None else forensics(fake, grid))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ForensicPair:
        """The inverse of dataclasses.asdict."""
        return cls(Forensics(**values["real"]), Forensics(**values["fake"]) if values["fake"] else None)


def forensics(pixels: Pixels, grid: GreyGrid | None) -> Forensics:
    """Measure the forensic numbers of one image, uint16 (H,W); ``grid`` is the grey grid of its original."""
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
    """Return the mean grey, relative to full scale, of the darkest of the squares in the four corners."""
    side = max(1, round(CORNER * min(pixels.shape)))
    corners = [pixels[rows, cols] for rows in _ends(side) for cols in _ends(side)]
    return min(float(corner.mean()) for corner in corners) / FULL


def noise(pixels: Pixels, breast: Mask) -> float | None:
    """Return the standard deviation of a high pass, relative to full scale, over pixels whose 3x3 neighbours are all
    breast."""
    inside = ndimage.binary_erosion(breast, np.ones((3, 3), bool))
    if not inside.any():
        return None
    values = pixels.astype(np.float32)
    return float((values - ndimage.uniform_filter(values, 3))[inside].std(dtype=float)) / FULL


def spectrum_slope(pixels: Pixels, breast: Mask) -> float | None:
    """Return b of P(f) = K / f^b over regions inside the ``breast``; None if no region fits or all are constant.

    The regions have a fifth of the image's size, overlap by half, and get the mean removed and a Hann window. A
    straight line is fitted to log power against log frequency, from LOWEST_WAVE waves per region to half a wave per
    pixel, with equal weight for each ring.
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
    """Return the mean power spectrum of regions (n,side,side)."""
    window = np.outer(*[np.hanning(regions.shape[1])] * 2)
    flat = regions - regions.mean((1, 2), keepdims=True)
    power: NDArray[np.float64] = (np.abs(np.fft.fft2(flat * window)) ** 2).mean(0)
    return power


def _ends(side: int) -> tuple[slice, slice]:
    return slice(None, side), slice(-side, None)
