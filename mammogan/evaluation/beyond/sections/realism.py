"""How visible is the change, and does the image still look like a mammogram? Originals are compared alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from mammogan.data.blobs.blob_detector import breast_of
from mammogan.evaluation.beyond.attacked import Attacked
from mammogan.evaluation.beyond.deeper_run import DeeperRun
from mammogan.evaluation.beyond.originals import Originals, choose_originals
from mammogan.evaluation.beyond.realism import (
    Features,
    flat_patches,
    kernel_distance,
    noise_power,
    permutation_p,
    psnr,
    ssim,
)
from mammogan.evaluation.beyond.section import Section, TitledTable
from mammogan.evaluation.forensics.measures import spectrum_slope
from mammogan.evaluation.report.plot_style import FAKE, REAL, drawing
from mammogan.evaluation.report.table_cells import Cell, Row, Table
from mammogan.evaluation.victims.image_set import Pixels
from mammogan.statistics.figure import Floats
from mammogan.workspace import Direction

SAYS = (
    "Within the breast only, since air flatters. PSNR and SSIM compare an image with its original; slope of the "
    "spectrum and noise in flat patches compare it with originals of the class that it pretends, and the AUC says how "
    "well that one number separates the two (0.5: not at all). The kernel distance (KID) compares sets of images. "
    "Every row has original against original beside it: originals of other patients measured in the same way; n/a "
    "where all are of one patient."
)
SAYS_NOT = (
    "A high PSNR does not say that a radiologist sees nothing, and a small kernel distance says only that these "
    "features see little. Features of the CAD would be circular: attacks are made to move them. Whether people notice "
    "is a reader study's question (docs/reading.md)."
)
NULL = "original against original"
"""Name of the rows in which originals are measured as if they were an attack's."""
ONE_PATIENT = "all originals of this class are one patient's, so none can be compared with another patient's"
TOO_FEW = "a kernel distance needs two images on both sides"
RANDOM = (
    "No weights were given (--vgg-weights), so the kernel distance uses random features: it sees texture and grey "
    "levels, and is no KID of the literature."
)


@dataclass(frozen=True)
class Looks:
    """What was measured of one attack and direction, or of original against original."""

    attack: str
    direction: Direction
    psnr: Floats
    ssim: Floats
    slope: Floats
    noise: Floats
    """Square root of the noise power, in grey levels of 65535."""
    slope_auc: float | None
    noise_auc: float | None
    distance: float | None
    """None if a set has only one image."""
    p: float | None
    unpaired: str = ""
    """Why images have no PSNR and SSIM; empty if they have."""


def measure_realism(run: DeeperRun) -> Section:
    """Measure the section: attacks against the originals of the class that they pretend, and validation against it."""
    features = Features(run.config.vgg_weights, run.device)
    others = choose_originals(run.workspace, run.resolution, "validation", len(run.originals))
    attacks = [run.attacked(source) for source in run.sources]
    rows, nulls = [], []
    for direction in Direction:
        reference = others.subset(~others.of(direction))  # reals of the target class, of other patients
        against = Reference(reference, features)
        null = run.originals.subset(~run.originals.of(direction))
        nulls.append(real_against_real(null, against, direction, run.config.seed))
        for attacked in attacks:
            chosen = attacked.made & run.originals.of(direction)
            if chosen.sum() > 1:
                rows.append(_looks(attacked, chosen, against, direction, run.config.seed))
    return realism_section(rows, nulls, features.name, bool(run.config.vgg_weights))


class Reference:
    """Real mammograms of one class: their numbers, and their features."""

    def __init__(self, originals: Originals, features: Features) -> None:
        self.features = features
        self.slope, self.noise = _numbers(originals.pixels, originals.pixels)
        self.held = features.of(originals.pixels)


def _numbers(images: Pixels, originals: Pixels) -> tuple[Floats, Floats]:
    """Return slope and noise of each image; flat patches are those of its original."""
    slopes, noises = [], []
    for image, original in zip(images, originals, strict=True):
        breast = breast_of(original)
        slope, power = spectrum_slope(image, breast), noise_power(image, flat_patches(original, breast))
        slopes.append(np.nan if slope is None else slope)
        noises.append(np.nan if power is None else np.sqrt(power))
    return np.array(slopes), np.array(noises)


def _looks(attacked: Attacked, chosen: np.ndarray, against: Reference, direction: Direction, seed: int) -> Looks:
    images, originals = attacked.pixels[chosen], attacked.originals.pixels[chosen]
    return _compared(attacked.name, direction, images, originals, originals, against, seed)


def real_against_real(reals: Originals, against: Reference, direction: Direction, seed: int) -> Looks:
    """Measure originals of the test split as if they were an attack's: PSNR and SSIM to one of another patient.

    Without another patient both are NaN.
    """
    partners = another_patients(reals.patients)
    compared = reals.pixels if partners is None else reals.pixels[partners]
    looks = _compared(NULL, direction, reals.pixels, compared, reals.pixels, against, seed)
    if partners is not None:
        return looks
    nothing = np.full(len(reals), np.nan)
    return replace(looks, psnr=nothing, ssim=nothing, unpaired=ONE_PATIENT)


def another_patients(patients: Sequence[str]) -> list[int] | None:
    """Return for each image the last one before it, in a circle, that is another patient's; None if all are one's."""
    if len(set(patients)) < 2:
        return None
    return [
        next(j % len(patients) for j in range(i - 1, i - len(patients), -1) if patients[j] != patient)
        for i, patient in enumerate(patients)
    ]


def _compared(
    name: str,
    direction: Direction,
    images: Pixels,
    compared: Pixels,
    originals: Pixels,
    against: Reference,
    seed: int,
) -> Looks:
    """Compare ``images`` with ``compared`` one by one, and with the reference as a set."""
    pairs = [(new, old, breast_of(old)) for new, old in zip(images, compared, strict=True)]
    slope, noise = _numbers(images, originals)
    features = against.features.of(images)
    enough = min(len(features), len(against.held)) > 1
    return Looks(
        name,
        direction,
        np.array([psnr(old, new, breast) for new, old, breast in pairs]),
        np.array([ssim(old, new, breast) for new, old, breast in pairs]),
        slope,
        noise,
        _separation(slope, against.slope),
        _separation(noise, against.noise),
        kernel_distance(features, against.held) if enough else None,
        permutation_p(features, against.held, seed) if enough else None,
    )


def _separation(one: Floats, other: Floats) -> float | None:
    """Return max(AUC, 1 - AUC) with which one number separates two sets."""
    first, second = one[~np.isnan(one)], other[~np.isnan(other)]
    if not len(first) or not len(second):
        return None
    labels = np.repeat([True, False], [len(first), len(second)])
    auc = float(roc_auc_score(labels, np.concatenate([first, second])))
    return max(auc, 1 - auc)


def realism_section(rows: Sequence[Looks], nulls: Sequence[Looks], features: str, given: bool) -> Section:
    """Return the section of what was measured; ``given``: the features have given weights."""
    return Section(
        name="realism",
        title="How visible is it?",
        says=SAYS,
        says_not=SAYS_NOT,
        tables=[
            TitledTable(
                {"remove": "Cancers made to look negative", "insert": "Negatives made to look like cancer"}[str(d)],
                _table([row for row in (*nulls, *rows) if row.direction is d]),
            )
            for d in Direction
        ],
        values={
            "features": features,
            "real_against_real": [_values(row) for row in nulls],
            "rows": [_values(row) for row in rows],
        },
        draw=partial(_draw, rows, nulls),
        caption="Slope of the spectrum and noise in flat patches of each image; grey: original against original.",
        notes=[] if given else [RANDOM],
    )


def _median(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None


def _values(row: Looks) -> dict[str, Any]:
    return {
        "attack": row.attack,
        "direction": str(row.direction),
        "images": len(row.psnr),
        **{f"{name}_median": _median(getattr(row, name)) for name in ("psnr", "ssim", "slope", "noise")},
        "psnr_and_ssim_missing": row.unpaired,
        "slope_auc": row.slope_auc,
        "noise_auc": row.noise_auc,
        "kernel_distance": row.distance,
        "kernel_distance_p": row.p,
    }


def _table(rows: Sequence[Looks]) -> Table:
    heads = [
        Cell("PSNR, dB"),
        Cell("SSIM"),
        Cell("Slope of the spectrum", below="AUC"),
        Cell("Noise in flat patches, grey", below="AUC"),
        Cell("Kernel distance", below="p of no difference"),
    ]
    return Table(heads, [_row(row) for row in rows])


def _row(row: Looks) -> Row:
    cells = [
        Cell(_text(_median(row.psnr), ".1f"), why=row.unpaired),
        Cell(_text(_median(row.ssim), ".4f"), why=row.unpaired),
        Cell(_text(_median(row.slope), ".2f"), below=_text(row.slope_auc, ".2f")),
        Cell(_text(_median(row.noise), ".0f"), below=_text(row.noise_auc, ".2f")),
        Cell(
            _text(row.distance, "+.4g"), below=f"p {_text(row.p, '.3f')}", why=TOO_FEW if row.distance is None else ""
        ),
    ]
    return Row(Cell(row.attack), cells, "of" if row.attack == NULL else "")


def _text(value: float | None, form: str) -> str:
    if value is None:
        return "n/a"
    return "\N{INFINITY}" if np.isinf(value) else format(value, form)


def _draw(rows: Sequence[Looks], nulls: Sequence[Looks], path: Path, note: str) -> None:
    every = [*nulls, *rows]
    names = list(dict.fromkeys(row.attack for row in every))
    with drawing(path, 2, (9.2, 0.42 * len(names) + 1.2), note) as (_, panels):
        for panel, name, label in zip(
            panels, ("slope", "noise"), ("slope of the spectrum", "noise in flat patches, grey of 65535"), strict=True
        ):
            for row in every:
                at = names.index(row.attack) + (-0.15 if row.direction is Direction.REMOVE else 0.15)
                colour = REAL if row.attack == NULL else FAKE
                values = getattr(row, name)
                panel.plot(values, [at] * len(values), "o", color=colour, ms=3, alpha=0.4)
                panel.plot(np.nanmedian(values), at, "|", color=colour, ms=13, mew=2)
            panel.set(xlabel=label, ylim=(len(names) - 0.5, -0.5))
        panels[0].set_yticks(range(len(names)), names)
