"""Draw the picture of docs/phantom.md: densities, views, positives with outlined lesions, twins, differences, details.

python benchmarks/phantom_sheet.py docs/phantom.png
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
import tyro

from mammogan.data.phantom.anatomy import DENSITIES, draw_patient
from mammogan.data.phantom.detector import WHITE
from mammogan.data.phantom.picture import Picture, draw
from mammogan.data.phantom.plan import PlannedImage, PlannedPatient, plan_cohort
from mammogan.data.phantom.settings import PhantomConfig, PresetName
from mammogan.data.phantom.streams import Purpose, stream
from mammogan.io import atomic

PATIENTS = 200
SIZE = (512, 416)
FULL_SIZE = (3328, 2560)
DETAIL_MM = 30.0


def write_sheet(png: Annotated[Path, tyro.conf.Positional], seed: int = 3) -> None:
    """Draw the sheet from cohorts of both presets with ``seed``, and write it to ``png``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 11.2), dpi=90, facecolor="black", layout="constrained")
    rows = figure.subplots(4, 8)
    figure.suptitle("MammoGAN phantoms: synthetic images of nobody, not for diagnosis", color="white")
    for axes in rows.ravel():
        axes.set_axis_off()
    _densities(rows[0], seed)
    _removal(rows[1], seed, "demo")
    _removal(rows[2], seed, "physical")
    _details(rows[3], seed)
    with atomic.replaced_atomically(png) as temporary:
        figure.savefig(temporary, format="png")


def _config(preset: PresetName, seed: int, size: tuple[int, int] = SIZE) -> PhantomConfig:
    return PhantomConfig(PATIENTS, seed, *size, preset)


def _first(
    config: PhantomConfig, label: str, wanted: Callable[[PlannedPatient], bool]
) -> tuple[PlannedPatient, tuple[PlannedImage, ...]]:
    for patient in plan_cohort(config):
        if patient.label == label and wanted(patient):
            return patient, patient.images
    raise ValueError(f"seed {config.seed}: none of {config.patients} patients fits the contact sheet; try another seed")


def _densities(axes: Any, seed: int) -> None:
    config = _config("demo", seed)

    def density(patient: PlannedPatient) -> str:
        return draw_patient(stream(seed, Purpose.PATIENT, patient.index), config.width * config.spacing_mm).density

    for column, wanted in enumerate(DENSITIES):
        patient, images = _first(config, "negative", lambda p, wanted=wanted: density(p) == wanted)  # type: ignore[misc]
        for image, own in zip(images[:2], axes[2 * column :], strict=False):
            _show(own, draw(config, patient, image).pixels, f"negative, {image.view}, density {wanted}")


def _removal(axes: Any, seed: int, preset: PresetName) -> None:
    """Show CC and MLO of a positive patient with a mass: image, outlined lesion, twin, difference."""
    config = _config(preset, seed)

    def has_mass(patient: PlannedPatient) -> bool:
        return "mass" in {lesion.kind for lesion in draw(config, patient, patient.images[0]).lesions}

    patient, images = _first(config, "positive", has_mass)
    for image, own in zip(images, (axes[:4], axes[4:]), strict=True):
        picture = draw(config, patient, image)
        if picture.twin is None:
            raise ValueError(f"{image.name}: a positive picture without its twin")
        _show(own[0], picture.pixels, f"{preset}: positive, {image.view}")
        _show(own[1], picture.pixels, "its lesion")
        own[1].contour(picture.lesion, [0.5], colors="yellow", linewidths=0.8)
        _show(own[2], picture.twin, "lesion-free twin")
        difference = picture.pixels.astype(int) - picture.twin
        own[3].imshow(difference, cmap="gray", vmin=0, vmax=max(1, difference.max()))
        own[3].set_title(f"difference, up to {difference.max()}", color="white", fontsize=8)


def _details(axes: Any, seed: int) -> None:
    """Show findings at full resolution, in crops 30 mm wide."""
    sought: list[tuple[PresetName, str, str, int]] = [
        ("demo", "malignant", "mass", 2),
        ("demo", "benign", "mass", 1),
        ("physical", "malignant", "mass", 1),
        ("physical", "malignant", "cluster", 2),
        ("physical", "benign", "mass", 1),
        ("physical", "benign", "cluster", 1),
    ]
    found = [
        (f"{preset}: {nature} {kind}", crop)
        for preset, nature, kind, count in sought
        for crop in islice(_crops(_config(preset, seed, FULL_SIZE), nature, kind), count)
    ]
    for own, (title, crop) in zip(axes, found, strict=True):
        own.imshow(crop, cmap="gray", vmin=crop.min(), vmax=crop.max())
        own.set_title(title, color="white", fontsize=8)


def _crops(config: PhantomConfig, nature: str, kind: str) -> Iterator[Any]:
    """Yield crops around findings of one kind: lesions of positives or distractors of negatives."""
    label = "positive" if nature == "malignant" else "negative"
    for patient in plan_cohort(config):
        for image in patient.images:
            if patient.label == label and (label == "positive" or image.distractor):
                picture = draw(config, patient, image)
                placed = (picture.lesions or picture.distractors)[0]
                if placed.kind == kind:
                    yield _around(picture, placed.row, placed.column, config.spacing_mm)


def _around(picture: Picture, row: float, column: float, spacing_mm: float) -> Any:
    half = int(DETAIL_MM / 2 / spacing_mm)
    top = int(np.clip(row - half, 0, picture.pixels.shape[0] - 2 * half))
    left = int(np.clip(column - half, 0, picture.pixels.shape[1] - 2 * half))
    return picture.pixels[top : top + 2 * half, left : left + 2 * half]


def _show(axes: Any, pixels: Any, title: str) -> None:
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=0.8 * WHITE)
    axes.set_title(title, color="white", fontsize=8)


if __name__ == "__main__":
    tyro.cli(write_sheet, description=__doc__)
