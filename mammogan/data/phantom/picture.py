"""Draw one image of a planned phantom cohort: pixels, lesion-free twin, masks, and the place of every finding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.data.phantom import detector, lesions
from mammogan.data.phantom.anatomy import Anatomy, Patient, draw_anatomy, draw_patient
from mammogan.data.phantom.lesions import Finding
from mammogan.data.phantom.plan import PlannedImage, PlannedPatient
from mammogan.data.phantom.settings import PRESETS, PhantomConfig
from mammogan.data.phantom.streams import Purpose, stream
from mammogan.data.phantom.texture import Field, resample

Pixels = NDArray[np.uint16]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Placed:
    """A finding and its centre, in pixels of the picture."""

    kind: str
    row: float
    column: float
    radius_mm: float


@dataclass(frozen=True)
class Picture:
    """One drawn image, as a left breast in MONOCHROME2; the DICOM writer mirrors and inverts it if needed."""

    pixels: Pixels
    """uint16 (H,W) with 12 bits; 0 outside the skin."""
    twin: Pixels | None
    """The same image without the lesions, with the same random noise; None for negatives."""
    breast: Mask
    lesion: Mask
    lesions: tuple[Placed, ...]
    distractors: tuple[Placed, ...]
    patient: Patient


@dataclass(frozen=True)
class _Canvas:
    """The view at the pixels of the image, to which findings are added."""

    spacing_mm: float
    excess: Field
    """Attenuation along each ray minus that of fat of full thickness."""
    thickness: Field
    gland: Field
    depth: Field
    full_mm: float


def draw(config: PhantomConfig, planned: PlannedPatient, image: PlannedImage) -> Picture:
    """Draw one image; the result depends only on the configuration and the image's place in the plan."""
    at = (planned.index, image.breast, image.view)
    patient = draw_patient(stream(config.seed, Purpose.PATIENT, planned.index), config.width * config.spacing_mm)
    shape = (config.height, config.width)
    anatomy = draw_anatomy(stream(config.seed, Purpose.ANATOMY, *at), patient, image.view, shape, config.spacing_mm)
    canvas = _canvas(anatomy, patient, shape, config.spacing_mm)
    distractors = _add_distractor(config, at, anatomy, canvas) if image.distractor else ()
    bare = canvas.excess.copy()
    lesion = np.zeros(shape, bool)
    placed = _add_lesions(config, at, anatomy, canvas, lesion) if planned.label == "positive" else ()
    exposures = _expose(config, at, canvas, [canvas.excess, bare] if placed else [bare])
    return Picture(
        pixels=exposures[0],
        twin=exposures[1] if placed else None,
        breast=canvas.depth > 0,
        lesion=lesion,
        lesions=placed,
        distractors=distractors,
        patient=patient,
    )


def _canvas(anatomy: Anatomy, patient: Patient, shape: tuple[int, int], spacing_mm: float) -> _Canvas:
    factor = spacing_mm / anatomy.pitch
    depth, thickness, gland = (
        resample(grid, shape, factor) for grid in (anatomy.depth, anatomy.thickness, anatomy.gland)
    )
    thickness, gland = np.clip(thickness, 0, None), np.clip(gland, 0, 1)
    skin_mm = 1.2 / (1 + np.exp(np.clip((depth - 1.6) / 0.3, -30, 30)))
    tissue = (detector.FAT + (detector.GLAND - detector.FAT) * gland) * thickness + detector.SKIN * skin_mm
    excess = np.where(depth > 0, tissue, 0) - detector.FAT * patient.thickness_mm
    return _Canvas(spacing_mm, excess.astype(np.float32), thickness, gland, depth, patient.thickness_mm)


def _expose(config: PhantomConfig, at: tuple[int, str, str], canvas: _Canvas, excesses: list[Field]) -> list[Pixels]:
    expected = [detector.expected_quanta(excess, config.spacing_mm) for excess in excesses]
    counts = detector.detect(stream(config.seed, Purpose.NOISE, *at), expected, config.spacing_mm)
    missing = canvas.full_mm - canvas.thickness
    return [detector.present(count, missing, canvas.depth, config.spacing_mm) for count in counts]


def _add_distractor(
    config: PhantomConfig, at: tuple[int, str, str], anatomy: Anatomy, canvas: _Canvas
) -> tuple[Placed, ...]:
    """Add one benign finding; its contrast is the preset's, whatever the conspicuity of lesions."""
    rng, preset = stream(config.seed, Purpose.DISTRACTOR, *at), PRESETS[config.preset]
    if rng.uniform() < preset.benign_mass_share:
        found = lesions.circumscribed_mass(rng, _log_uniform(rng, preset.benign_radius_mm), config.spacing_mm)
        attenuation = _replacing(preset.benign_over_gland)
    else:
        found, attenuation = lesions.benign_calcifications(rng, config.spacing_mm), _CALCIFICATION
    return (_add(canvas, found, _site(rng, anatomy), attenuation),)


def _add_lesions(
    config: PhantomConfig, at: tuple[int, str, str], anatomy: Anatomy, canvas: _Canvas, mask: Mask
) -> tuple[Placed, ...]:
    """Add the patient's findings: both views have the same kinds, about the same size and distance to the nipple."""
    preset = PRESETS[config.preset]
    shared = stream(config.seed, Purpose.FINDING, at[0])
    kinds = preset.findings[int(shared.choice(len(preset.findings), p=[share for _, share in preset.findings]))][0]
    radius, from_nipple = _log_uniform(shared, preset.radius_mm), float(shared.uniform(0.25, 0.75))
    rng, placed = stream(config.seed, Purpose.LESION, *at), []
    for kind in kinds:
        site = _site(rng, anatomy, from_nipple)
        if kind == "mass":
            found = lesions.spiculated_mass(rng, radius * float(np.exp(rng.normal(0, 0.07))), config.spacing_mm)
            attenuation = _replacing(config.mass_over_gland)
        else:
            found = lesions.malignant_cluster(rng, config.spacing_mm)
            attenuation = _Attenuation(_CALCIFICATION.of_mm * config.conspicuity, None)
        placed.append(_add(canvas, found, site, attenuation, mask))
    return tuple(placed)


def _log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]))))


def _site(rng: np.random.Generator, anatomy: Anatomy, from_nipple: float | None = None) -> tuple[float, float]:
    """Draw a place (row, column) in mm with the habitat's weight.

    If ``from_nipple`` is given, the place is near an arc around the nipple with this share of the breast's depth as
    its radius.
    """
    weight = anatomy.habitat
    if from_nipple is not None:
        row, column = anatomy.nipple
        y = (np.arange(weight.shape[0]) + 0.5)[:, None] * anatomy.pitch - row
        x = (np.arange(weight.shape[1]) + 0.5)[None] * anatomy.pitch - column
        weight = weight * np.exp(-(((np.hypot(x, y) - from_nipple * column) / 8) ** 2))
    chance = np.cumsum(weight.ravel(), dtype=np.float64)
    index = int(np.searchsorted(chance, rng.uniform() * chance[-1], side="right"))
    row, column = divmod(min(index, weight.size - 1), weight.shape[1])
    return (row + 0.5) * anatomy.pitch, (column + 0.5) * anatomy.pitch


@dataclass(frozen=True)
class _Attenuation:
    """The attenuation that each mm of a finding adds to a ray."""

    of_mm: float
    """Attenuation of a mm of the finding."""
    least: float | None
    """If it is a number, the finding replaces tissue: that tissue's attenuation is subtracted, but at least this much
    is added. None: the finding is added to the tissue."""


_CALCIFICATION = _Attenuation(1.0, None)


def _replacing(over_gland: float) -> _Attenuation:
    return _Attenuation(detector.GLAND * over_gland, 0.0)


def _add(
    canvas: _Canvas, found: Finding, site_mm: tuple[float, float], attenuation: _Attenuation, mask: Mask | None = None
) -> Placed:
    """Add a finding to the canvas (and its area to ``mask``), clipped at the borders of the image and the breast."""
    row, column = (int(mm / canvas.spacing_mm) for mm in site_mm)
    half = found.crossed.shape[0] // 2
    top, left = max(0, row - half), max(0, column - half)
    bottom, right = min(canvas.excess.shape[0], row + half + 1), min(canvas.excess.shape[1], column + half + 1)
    here = np.s_[top:bottom, left:right]
    crossed = found.crossed[top - row + half : bottom - row + half, left - column + half : right - column + half]
    crossed = np.minimum(crossed, canvas.thickness[here]) * (canvas.depth[here] > 0)
    if attenuation.least is None:
        extra = np.full_like(crossed, attenuation.of_mm)
    else:
        tissue = detector.FAT + (detector.GLAND - detector.FAT) * canvas.gland[here]
        extra = np.maximum(attenuation.of_mm - tissue, attenuation.least)
    canvas.excess[here] += extra * crossed
    if mask is not None:
        mask[here] |= _outline(crossed, found.kind, canvas.spacing_mm)
    return Placed(found.kind, float(row), float(column), round(found.radius_mm, 3))


def _outline(crossed: Field, kind: str, spacing_mm: float) -> Mask:
    """Return the mask of a finding: the complete mass, or grains with a margin of 0.3 mm."""
    if kind == "mass":
        return np.asarray(crossed > 0)
    return np.asarray(ndimage.binary_dilation(crossed > 0, iterations=max(1, round(0.3 / spacing_mm))))
