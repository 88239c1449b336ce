"""Draw a patient and one view of her breast, as maps on a grid: distance to the skin, thickness, share of gland.

All lengths are in mm. Views are drawn as left breasts: chest wall at column 0, nipple to the right, head at the top.
Sources of the parameters: docs/phantom.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mammogan.data.phantom.settings import FIELD_HEIGHT_MM
from mammogan.data.phantom.texture import Field, power_law

DENSITIES = ("A", "B", "C", "D")
DENSITY_SHARES = (0.1, 0.4, 0.4, 0.1)
GLAND_FRACTION = {"A": 0.06, "B": 0.13, "C": 0.24, "D": 0.42}
THINNER_MM = {"A": 0.0, "B": 0.0, "C": 4.0, "D": 10.0}

FINEST_GRID_MM = 0.25
"""Finest grid on which tissue is drawn; quantum noise hides finer detail."""
EXPONENT_SHIFT = -0.15
"""Added to the wanted exponent, because sigmoid, ray sum and tone curve steepen the spectrum (see
benchmarks/phantom_numbers.py)."""


@dataclass(frozen=True)
class Patient:
    """The properties that both breasts and both views of a patient share."""

    density: str
    gland_fraction: float
    """Share of gland in the breast's volume."""
    thickness_mm: float
    depth_mm: float
    """Distance from chest wall to nipple."""
    half_width_mm: float
    roundness: float
    """Exponent of the super-ellipse that is the breast's outline."""
    texture_exponent: float
    """Exponent of the power spectrum that the finished picture should have when measured."""


def draw_patient(rng: np.random.Generator, field_width_mm: float) -> Patient:
    """Draw a patient's properties at random; the breast fits into a field of ``field_width_mm``."""
    density = str(rng.choice(DENSITIES, p=DENSITY_SHARES))
    return Patient(
        density=density,
        gland_fraction=float(np.clip(GLAND_FRACTION[density] * np.exp(rng.normal(0, 0.15)), 0.03, 0.75)),
        thickness_mm=float(np.clip(rng.normal(59, 12) - THINNER_MM[density], 30, 90)),
        depth_mm=float(np.clip(rng.normal(88, 14), 55, min(125, field_width_mm - 12))),
        half_width_mm=float(np.clip(rng.normal(84, 10), 58, 108)),
        roundness=float(rng.uniform(1.9, 2.3)),
        texture_exponent=float(np.clip(rng.normal(3.15, 0.12), 2.9, 3.4)),
    )


@dataclass(frozen=True)
class Anatomy:
    """One view without findings, as maps on a grid of ``pitch`` mm."""

    pitch: float
    depth: Field
    """Distance to the skin, negative outside."""
    thickness: Field
    """Thickness of the compressed tissue along the ray, without skin."""
    gland: Field
    """Share of the tissue along the ray that attenuates like gland, including pectoral muscle."""
    habitat: Field
    """Weight with which findings are placed: high in gland, 0 in the pectoral muscle and within 10 mm of the skin."""
    nipple: tuple[float, float]
    """Row and column of the nipple, in mm."""


@dataclass(frozen=True)
class _Frame:
    """The grid of one view: its coordinates in mm, and the nipple's row."""

    patient: Patient
    view: str
    pitch: float
    y: Field
    """Middles of the rows, (H,1)."""
    x: Field
    """Middles of the columns, (1,W)."""
    nipple_row: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.y.shape[0], self.x.shape[1]


def draw_anatomy(
    rng: np.random.Generator, patient: Patient, view: str, shape: tuple[int, int], spacing_mm: float
) -> Anatomy:
    """Draw the anatomy of one view for an image of ``shape`` pixels of ``spacing_mm``."""
    frame = _frame(rng, patient, view, shape, spacing_mm)
    depth = _skin_distance(rng, frame)
    pectoral = _pectoral(rng, frame) if view == "MLO" else np.zeros(frame.shape, np.float32)
    thickness = _thickness(depth, patient.thickness_mm)
    envelope = _gland_envelope(rng, frame, depth, pectoral)
    gland = _gland(rng, frame, envelope, thickness * (1 - pectoral))
    if view == "MLO":
        muscle = 0.55 + 0.03 * power_law(rng, frame.shape, frame.pitch, 2.6, 25.0)
        gland = gland * (1 - pectoral) + muscle * pectoral
    gland = gland.clip(0, 1) * (depth > 0)
    habitat = envelope * (depth > 10) * (gland + 0.08)
    return Anatomy(frame.pitch, depth, thickness, gland, habitat, (frame.nipple_row, patient.depth_mm))


def _frame(rng: np.random.Generator, patient: Patient, view: str, shape: tuple[int, int], spacing_mm: float) -> _Frame:
    """Return the grid: the image's pixels or, if these are finer than FINEST_GRID_MM, a grid of that pitch.

    The coarser grid extends a little beyond the image.
    """
    pitch, rows, columns = spacing_mm, *shape
    if spacing_mm < FINEST_GRID_MM:
        pitch = FINEST_GRID_MM
        rows, columns = (int(np.ceil(side * spacing_mm / pitch)) + 1 for side in shape)
    y = ((np.arange(rows, dtype=np.float32) + 0.5) * pitch)[:, None]
    x = ((np.arange(columns, dtype=np.float32) + 0.5) * pitch)[None]
    nipple_row = FIELD_HEIGHT_MM * (0.5 if view == "CC" else 0.57) + float(rng.normal(0, 3))
    return _Frame(patient, view, pitch, y, x, nipple_row)


def _skin_distance(rng: np.random.Generator, frame: _Frame) -> Field:
    """Return the signed distance to a super-ellipse with a nipple; in MLO its upper part extends to the axilla.

    With the gauge G (1 on the outline, homogeneous of degree one), the distance is about (1 - G) / |grad G|, which is
    smooth everywhere.
    """
    patient, n = frame.patient, frame.patient.roundness
    below = above = patient.half_width_mm
    if frame.view == "MLO":
        below = min(below, FIELD_HEIGHT_MM - frame.nipple_row - 6)
        above = frame.nipple_row * float(rng.uniform(1.25, 1.6))
    half = np.where(frame.y < frame.nipple_row, np.float32(above), np.float32(below))
    u, v = frame.x / patient.depth_mm, np.abs(frame.y - frame.nipple_row) / half
    gauge = (u**n + v**n + 1e-6) ** (1 / n)
    slope = gauge ** (1 - n) * np.hypot(u ** (n - 1) / patient.depth_mm, v ** (n - 1) / half) + 1e-6
    skin = (1 - gauge) / slope
    nipple = 4.5 - np.hypot(frame.x - patient.depth_mm, frame.y - frame.nipple_row)
    return np.asarray(np.logaddexp(skin / 1.2, nipple / 1.2) * 1.2, dtype=np.float32)


def _thickness(depth: Field, full_mm: float) -> Field:
    """Return the thickness: ``full_mm`` under the paddle, falling to 0 at the skin in a rim 0.45 ``full_mm`` wide."""
    rim = 1 - np.clip(depth / (0.45 * full_mm), 0, 1)
    return np.asarray(full_mm * np.sqrt(1 - rim * rim), dtype=np.float32)


def _pectoral(rng: np.random.Generator, frame: _Frame) -> Field:
    """Return the pectoral muscle, a triangle in the upper corner at the chest wall: 1 inside, with a soft edge."""
    top, length, bend = rng.uniform(35, 70), rng.uniform(110, 160), rng.uniform(0.9, 1.35)
    edge = top * (1 - np.clip(frame.y / length, 0, 1) ** bend)
    within = (edge - frame.x) / max(1.5, frame.pitch)
    return np.asarray((edge > 0) / (1 + np.exp(-np.clip(within, -30, 30))), dtype=np.float32)


def _gland_envelope(rng: np.random.Generator, frame: _Frame, depth: Field, pectoral: Field) -> Field:
    """Return how likely gland is: high in a disc behind the nipple, low in the fat under the skin and at the chest."""
    patient = frame.patient
    under_skin = np.clip((depth - 4) / 12, 0, 1)
    before_chest = 1 - np.exp(-((frame.x / 16) ** 2))
    middle = frame.nipple_row - patient.half_width_mm * float(rng.uniform(0.05, 0.2))  # the outer half holds more
    lateral = np.exp(-(((frame.y - middle) / (0.62 * patient.half_width_mm)) ** 2))
    behind_nipple = np.exp(-(((frame.x - 0.58 * patient.depth_mm) / (0.55 * patient.depth_mm)) ** 2))
    return np.asarray(under_skin * before_chest * lateral * behind_nipple * (1 - pectoral) ** 2, dtype=np.float32)


def _gland(rng: np.random.Generator, frame: _Frame, envelope: Field, weight: Field) -> Field:
    """Return the share of gland along the ray: three layers of tissue with the same ducts, and strands in the fat.

    An offset of the layers gives gland the patient's share of the volume; ``weight`` is the thickness of the tissue.
    """
    exponent = frame.patient.texture_exponent + EXPONENT_SHIFT
    ducts = _towards_nipple(power_law(rng, frame.shape, frame.pitch, exponent, 30.0), frame)
    leaning = np.log(envelope + 0.02) + 0.55 * ducts
    layers = [
        leaning + 0.85 * power_law(rng, frame.shape, frame.pitch, exponent, outer_mm) for outer_mm in (60.0, 40.0, 25.0)
    ]
    fullest = np.minimum(1, 3 * envelope) * (0.93 + 0.05 * ducts).clip(0.7, 1)
    gland = _tissue(layers, fullest, _offset_for(frame.patient.gland_fraction, layers, fullest, weight))
    strands = (0.02 + 0.03 * ducts).clip(0, 0.15)
    return np.asarray(gland + strands * (1 - gland), dtype=np.float32)


def _towards_nipple(field: Field, frame: _Frame) -> Field:
    """Bend a field, stretched 2.5 times, towards a point behind the nipple, as ducts and ligaments run."""
    dx, dy = frame.patient.depth_mm + 15 - frame.x, frame.y - frame.nipple_row
    along = np.log(np.hypot(dx, dy) + 1) * 28
    across = np.arctan2(dy, dx) * 70 + FIELD_HEIGHT_MM / 2
    points = np.stack([across, along]) / np.float32(frame.pitch)
    return np.asarray(ndimage.map_coordinates(field, points, order=1, mode="grid-wrap"), dtype=np.float32)


def _tissue(layers: list[Field], fullest: Field, offset: float) -> Field:
    """Return the mean of the layers after a soft threshold (a sigmoid at ``offset``), times ``fullest``."""
    total = sum(1 / (1 + np.exp(np.float32(-1.7) * (layer - np.float32(offset)))) for layer in layers)
    return np.asarray(total / len(layers) * fullest, dtype=np.float32)


def _offset_for(fraction: float, layers: list[Field], fullest: Field, weight: Field) -> float:
    """Find by bisection the offset that gives the wanted fraction of gland.

    Every fourth row and column is enough, because the fraction is an average over the breast.
    """
    few = [layer[::4, ::4] for layer in layers]
    fullest, weight = fullest[::4, ::4], weight[::4, ::4]
    low, high = -9.0, 9.0
    for _ in range(16):
        middle = (low + high) / 2
        if float((_tissue(few, fullest, middle) * weight).sum() / weight.sum()) > fraction:
            low = middle
        else:
            high = middle
    return (low + high) / 2
