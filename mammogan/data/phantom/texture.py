"""Draw random fields with power-law spectra, like breast texture (Burgess; Chen et al. 2012), and resample grids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, sparse

Field = NDArray[np.float32]


def power_law(
    rng: np.random.Generator, shape: tuple[int, int], pitch: float, exponent: float, outer_mm: float = 40.0
) -> Field:
    """Draw a random field with mean 0 and standard deviation 1.

    Its power falls as 1/f^exponent above one cycle per ``outer_mm``. ``pitch`` is the spacing of the grid in mm. The
    field repeats at its borders, unless it had to be cropped to ``shape`` from a size that suits the FFT.
    """
    height, width = (fft.next_fast_len(side, real=True) for side in shape)
    fy = np.fft.fftfreq(height, pitch).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(width, pitch).astype(np.float32)[None]
    amplitude = (fy * fy + fx * fx + np.float32(outer_mm) ** -2) ** np.float32(-exponent / 4)
    white = rng.standard_normal((height, width // 2 + 1, 2), dtype=np.float32).view(np.complex64)[..., 0]
    field = fft.irfft2(white * amplitude, s=(height, width))[: shape[0], : shape[1]]
    field -= field.mean()
    return np.asarray(field / field.std(), dtype=np.float32)


def resample(grid: Field, shape: tuple[int, int], factor: float) -> Field:
    """Resample a grid by cubic interpolation to ``shape`` pixels that are ``factor`` (at most 1) grid steps wide.

    Grid and pixels start at the same corner.
    """
    if factor == 1.0:
        return grid[: shape[0], : shape[1]]
    down = _cubic(grid.shape[0], shape[0], factor)
    across = _cubic(grid.shape[1], shape[1], factor)
    return np.ascontiguousarray((across @ (down @ grid).T).T)


def _cubic(source: int, target: int, factor: float) -> sparse.csr_matrix:
    """Return Catmull-Rom weights, one row for each target position; border values are repeated."""
    position = (np.arange(target) + 0.5) * factor - 0.5
    first = np.floor(position).astype(int)
    t = position - first
    weights = np.stack(
        [
            t * (-0.5 + t * (1.0 - 0.5 * t)),
            1.0 + t * t * (-2.5 + 1.5 * t),
            t * (0.5 + t * (2.0 - 1.5 * t)),
            t * t * (-0.5 + 0.5 * t),
        ]
    )
    columns = np.clip(first + np.arange(-1, 3)[:, None], 0, source - 1)
    rows = np.broadcast_to(np.arange(target), columns.shape)
    return sparse.csr_matrix((weights.ravel().astype(np.float32), (rows.ravel(), columns.ravel())), (target, source))
