"""Draw findings (masses and calcifications) as maps of their thickness: the mm that each pixel's ray crosses.

Masses are drawn on a grid of 0.3 mm or finer, calcifications with 4 x 4 samples per pixel; both are then averaged over
the pixels, as a detector does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mammogan.data.phantom.texture import Field, power_law

THINNEST_MM = 0.15
"""Smallest thickness of a mass; where it would be thinner, it ends."""


@dataclass(frozen=True)
class Finding:
    """One finding, centred in its map."""

    kind: str
    radius_mm: float
    crossed: Field
    """Thickness in mm along the ray of each pixel; a square with an odd side."""


def spiculated_mass(rng: np.random.Generator, radius_mm: float, spacing_mm: float) -> Finding:
    """Draw a malignant mass: a lumpy body with an ill-defined rim and 14 to 29 tapering spicules."""
    fine, pitch, x, y = _square(3.0 * radius_mm, spacing_mm)
    body = _body(rng, x, y, radius_mm, lumpiness=0.30)
    body *= 1 + 0.15 * power_law(rng, body.shape, pitch, 3.0, radius_mm).clip(-2, 2)
    spicules = _spicules(rng, x, y, radius_mm, pitch)
    crossed = ndimage.gaussian_filter(np.maximum(0.85 * body, spicules), 0.4 / pitch)
    return Finding("mass", radius_mm, _trimmed(_averaged(crossed, fine)))


def circumscribed_mass(rng: np.random.Generator, radius_mm: float, spacing_mm: float) -> Finding:
    """Draw a benign mass: smooth, oval, well defined."""
    fine, _, x, y = _square(1.7 * radius_mm, spacing_mm)
    turn, squeeze = rng.uniform(0, np.pi), rng.uniform(0.7, 1.0)
    u = x * np.cos(turn) + y * np.sin(turn)
    v = (y * np.cos(turn) - x * np.sin(turn)) / squeeze
    return Finding("mass", radius_mm, _trimmed(_averaged(0.75 * _body(rng, u, v, radius_mm, lumpiness=0.06), fine)))


def malignant_cluster(rng: np.random.Generator, spacing_mm: float) -> Finding:
    """Draw 8 to 25 calcifications of many shapes, of median size 0.33 mm, within 6 mm."""
    return _calcifications(rng, int(rng.integers(8, 26)), 6.0, 0.33, 2.6, spacing_mm)


def benign_calcifications(rng: np.random.Generator, spacing_mm: float) -> Finding:
    """Draw 2 to 6 round calcifications, of median size 0.55 mm, within 9 mm."""
    return _calcifications(rng, int(rng.integers(2, 7)), 9.0, 0.55, 1.15, spacing_mm)


def _square(reach_mm: float, spacing_mm: float) -> tuple[int, float, Field, Field]:
    """Return refinement, pitch and coordinates (in mm from the middle) of a square with an odd number of pixels."""
    fine = max(1, int(np.ceil(spacing_mm / 0.3)))
    half = int(np.ceil(reach_mm / spacing_mm)) + 1
    pitch = spacing_mm / fine
    line = ((np.arange((2 * half + 1) * fine) + 0.5) * pitch - (half + 0.5) * spacing_mm).astype(np.float32)
    return fine, pitch, line[None], line[:, None]


def _averaged(crossed: Field, fine: int) -> Field:
    side = crossed.shape[0] // fine
    return np.asarray(crossed.reshape(side, fine, side, fine).mean((1, 3)), dtype=np.float32)


def _trimmed(crossed: Field) -> Field:
    """Set the thickness to 0 below THINNEST_MM, so that a finding ends somewhere and its mask is exact."""
    return np.where(crossed < THINNEST_MM, np.float32(0), crossed)


def _body(rng: np.random.Generator, x: Field, y: Field, radius_mm: float, lumpiness: float) -> Field:
    """Draw a ball with an irregular outline: r (1 + sum a_k cos(k phi + p_k)), a_k falling as k^-1.4."""
    order = np.arange(2, 9)
    height = rng.normal(0, lumpiness, order.size) * order**-1.4
    phase = rng.uniform(0, 2 * np.pi, order.size)
    angle = np.arctan2(y, x)
    wander = sum(a * np.cos(k * angle + p) for k, a, p in zip(order, height, phase, strict=True))
    outline = radius_mm * np.clip(1 + wander, 0.4, 1.6)
    return np.asarray(2 * radius_mm * np.clip(1 - (x * x + y * y) / outline**2, 0, 1), dtype=np.float32)


def _spicules(rng: np.random.Generator, x: Field, y: Field, radius_mm: float, pitch: float) -> Field:
    """Draw spicules: slightly bent cones from inside the body outwards, about as thick as they are wide."""
    crossed = np.zeros((y.size, x.size), np.float32)
    for _ in range(int(rng.integers(14, 30))):
        towards, start, length = rng.uniform(-np.pi, np.pi), 0.6 * radius_mm, radius_mm * rng.uniform(0.6, 1.7)
        width, bend = radius_mm * rng.uniform(0.06, 0.16), rng.normal(0, 0.25)
        across, down = np.cos(towards), np.sin(towards)
        rows = _between(y, down * start, down * (start + length), width + abs(bend) * length + pitch)
        columns = _between(x, across * start, across * (start + length), width + abs(bend) * length + pitch)
        here_x, here_y = x[:, columns], y[rows]
        along = (here_x * across + here_y * down - start) / length
        off = here_y * across - here_x * down - bend * length * along * along
        half = width * (1 - 0.8 * along)
        thick = 3.2 * np.sqrt(np.maximum(half * half - off * off, 0.1 * half * half))
        part = crossed[rows, columns]
        inside = (along > 0) & (along < 1) & (np.abs(off) < np.maximum(half, pitch))
        np.copyto(part, np.maximum(part, thick), where=inside)
    return crossed


def _between(line: Field, start: float, end: float, margin: float) -> slice:
    """Return the slice of ascending coordinates between ``start`` and ``end`` (in either order) plus a margin."""
    low, high = np.searchsorted(line.ravel(), [min(start, end) - margin, max(start, end) + margin])
    return slice(int(low), int(high))


def _calcifications(
    rng: np.random.Generator, count: int, reach_mm: float, median_mm: float, longest: float, spacing_mm: float
) -> Finding:
    """Draw grains of log-normal size, the longer axis up to ``longest`` times the shorter; their volume is exact."""
    half = int(np.ceil((reach_mm + 2) / spacing_mm))
    crossed = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for _ in range(count):
        away, towards = 0.9 * reach_mm * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
        size, ratio = median_mm * np.exp(rng.normal(0, 0.35)), rng.uniform(1, longest)
        row, column = away * np.sin(towards) / spacing_mm + half, away * np.cos(towards) / spacing_mm + half
        _add_grain(crossed, row, column, size / spacing_mm, ratio, rng.uniform(0, np.pi), spacing_mm)
    return Finding("cluster", reach_mm, crossed)


def _add_grain(
    crossed: Field, row: float, column: float, size: float, ratio: float, turn: float, spacing_mm: float
) -> None:
    """Add an ellipsoid ``size`` pixels wide: sampled finely, then scaled to its exact volume."""
    reach = int(np.ceil(size * ratio / 2)) + 1
    top, left = round(row) - reach, round(column) - reach
    line = (np.arange((2 * reach + 1) * 4) + 0.5) / 4 - 0.5
    dy, dx = (line + top - row)[:, None], (line + left - column)[None]
    u = (dx * np.cos(turn) + dy * np.sin(turn)) / (size * ratio / 2)
    v = (dy * np.cos(turn) - dx * np.sin(turn)) / (size / 2)
    grain = np.sqrt(np.clip(1 - u * u - v * v, 0, 1)).reshape(2 * reach + 1, 4, 2 * reach + 1, 4).mean((1, 3))
    if grain.sum() == 0:  # smaller than a quarter of a pixel, so no sample is inside
        grain[reach, reach] = 1
    volume = np.pi / 6 * size**3 * ratio * spacing_mm  # mm of thickness, summed over pixels
    part = crossed[top : top + grain.shape[0], left : left + grain.shape[1]]
    part += (grain * volume / grain.sum()).astype(np.float32)[: part.shape[0], : part.shape[1]]
