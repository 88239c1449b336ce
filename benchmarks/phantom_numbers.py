"""Measure properties of the phantom pictures: spectrum, visibility of the lesions, use of the grey scale, time.

python benchmarks/phantom_numbers.py     print the numbers of docs/phantom.md; the tests check their ranges
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
import tyro
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.data.blobs.blob_detector import blob
from mammogan.data.phantom.anatomy import draw_anatomy, draw_patient
from mammogan.data.phantom.detector import WHITE
from mammogan.data.phantom.dicom import encode
from mammogan.data.phantom.picture import Mask, Picture, Pixels, draw
from mammogan.data.phantom.plan import plan_cohort
from mammogan.data.phantom.settings import PRESETS, PhantomConfig
from mammogan.data.phantom.streams import VIEWS, Purpose, stream
from mammogan.io.terminal import say

REGION = 128
"""Side in pixels of the regions in which the spectrum is measured."""
BAND = (0.1, 0.7)
"""Range of frequencies, in cycles per mm, in which the exponent is fitted (Chen et al. 2012)."""


def pictures(config: PhantomConfig, label: str, views: Sequence[str] = ("CC", "MLO")) -> Iterator[Picture]:
    """Draw pictures of the cohort's patients with one label, at most one breast of each."""
    for patient in plan_cohort(config):
        if patient.label == label:
            for image in patient.images[:2]:
                if image.view in views:
                    yield draw(config, patient, image)


def spectrum_exponent(pixels: Pixels, breast: Mask, spacing_mm: float) -> float | None:
    """Return b of the power spectrum P(f) = K / f^b over all regions inside the breast; None if no region fits.

    The regions are 128 x 128 pixels, overlap by half and keep 5 mm from the skin; the mean is removed, and a Hann
    window applied.
    """
    inside = ndimage.binary_erosion(breast, iterations=max(1, round(5 / spacing_mm)), border_value=1)
    power = [
        _power(pixels[top : top + REGION, left : left + REGION])
        for top in range(0, pixels.shape[0] - REGION + 1, REGION // 2)
        for left in range(0, pixels.shape[1] - REGION + 1, REGION // 2)
        if inside[top : top + REGION, left : left + REGION].all()
    ]
    if not power:
        return None
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(REGION, spacing_mm)] * 2))
    return _slope(frequency.ravel(), np.mean(power, axis=0).ravel(), 1 / (REGION * spacing_mm))


def _power(region: NDArray[np.generic]) -> NDArray[np.float64]:
    window = np.outer(*[np.hanning(REGION)] * 2)
    values = region.astype(float)
    return np.asarray(np.abs(np.fft.fft2((values - values.mean()) * window)) ** 2)


def _slope(frequency: NDArray[np.float64], power: NDArray[np.float64], step: float) -> float:
    """Fit a straight line to log power against log frequency, with equal weight for each ring of width ``step``."""
    rings = np.arange(BAND[0], BAND[1], step)
    which = np.digitize(frequency, rings)
    middle = [frequency[which == ring].mean() for ring in range(1, len(rings))]
    mean = [power[which == ring].mean() for ring in range(1, len(rings))]
    return -float(np.polyfit(np.log(middle), np.log(mean), 1)[0])


def auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Return the probability that a positive scores above a negative; ties count half."""
    wins = np.sign(np.subtract.outer(np.asarray(positive), np.asarray(negative)))
    return float((wins.mean() + 1) / 2)


def blob_auc(config: PhantomConfig, images: int) -> float:
    """Return the AUC of the blob detector on ``images`` images of each label."""
    scores = [
        [blob(p.pixels, p.breast, config.spacing_mm) for p in islice(pictures(config, label), images)]
        for label in ("positive", "negative")
    ]
    return auc(*scores)


def exponents(config: PhantomConfig, images: int, view: str = "CC") -> list[float]:
    """Return measured spectrum exponents of negative pictures of one view; those too small for a region are skipped."""
    drawn = islice(pictures(config, "negative", (view,)), images)
    measured = (spectrum_exponent(picture.pixels, picture.breast, config.spacing_mm) for picture in drawn)
    return [exponent for exponent in measured if exponent is not None]


def clipped_share(picture: Picture) -> float:
    """Return the share of the breast's pixels at either end of the 12-bit range."""
    inside = picture.pixels[picture.breast]
    return float(((inside <= 1) | (inside >= WHITE)).mean())


def lesion_contrast(picture: Picture, spacing_mm: float) -> float:
    """Return how much the lesions brighten the picture, in standard deviations of its twin within 10 mm of them."""
    if picture.twin is None:
        raise ValueError("lesion_contrast: expected a positive picture, found one without a twin")
    near = ndimage.binary_dilation(picture.lesion, iterations=max(1, round(10 / spacing_mm))) & picture.breast
    twin = picture.twin.astype(float)
    return float((picture.pixels - twin)[picture.lesion].mean() / twin[near].std())


def gland_share(config: PhantomConfig, patients: int) -> list[float]:
    """Return the share of the volume that attenuates like gland, for the left CC of the cohort's first patients."""
    shares = []
    for index in range(patients):
        patient = draw_patient(stream(config.seed, Purpose.PATIENT, index), config.width * config.spacing_mm)
        rng = stream(config.seed, Purpose.ANATOMY, index)
        anatomy = draw_anatomy(rng, patient, "CC", (config.height, config.width), config.spacing_mm)
        shares.append(float((anatomy.gland * anatomy.thickness).sum() / anatomy.thickness.sum()))
    return shares


def report(images: int = 200, seed: int = 3) -> None:
    """Print all numbers; the blob AUC uses ``images`` images of each label."""
    for height, width in ((512, 416), (1024, 832)):
        for view in VIEWS:
            found = exponents(PhantomConfig(100, seed, height, width, "demo"), 30, view)
            _say(f"spectrum exponent, {height}x{width} {view}", f"{np.mean(found):.2f} +- {np.std(found):.2f}")
    for preset in PRESETS:
        config = PhantomConfig(4 * images, seed, 192, 160, preset)
        drawn = list(islice(pictures(config, "positive"), images // 2))
        contrast = np.median([lesion_contrast(picture, config.spacing_mm) for picture in drawn])
        _say(f"blob AUC, {preset} 192x160", f"{blob_auc(config, images):.3f}")
        _say(f"lesion contrast, {preset} 192x160", f"{contrast:.2f} local deviations (median)")
        _say(f"share of a breast at 0, 1 or 4095, {preset}", f"{max(map(clipped_share, drawn)):.5f} (largest)")
    shares = gland_share(PhantomConfig(100, seed, 192, 160, "demo"), 100)
    low, high = np.percentile(shares, [5, 95])
    _say("gland-like share of the volume", f"{np.mean(shares):.3f} (5% to 95%: {low:.3f} to {high:.3f})")
    for height, width in ((192, 160), (512, 416), (1024, 832), (1728, 1408), (3328, 2560)):
        seconds = _seconds(PhantomConfig(20, seed, height, width, "physical"))
        _say(f"processor time of an image with its twin, {height}x{width}", f"{seconds:.3f} s")


def _say(what: str, value: str) -> None:
    say(f"| {what} | {value} |")


def _seconds(config: PhantomConfig) -> float:
    """Return the processor time to draw a positive image with its twin and encode it: the median of four times."""
    taken = []
    positive = next(patient for patient in plan_cohort(config) if patient.label == "positive")
    for image in positive.images * 2:
        start = time.process_time()
        encode(config, positive, image, draw(config, positive, image).pixels, twin=False)
        taken.append(time.process_time() - start)
    return float(np.median(taken))


if __name__ == "__main__":
    tyro.cli(report, description=__doc__)
