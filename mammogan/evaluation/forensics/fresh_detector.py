"""Train new detectors to separate adversarial mammograms from real ones of the class that they should seem to have.

The two detectors know nothing about the attack: a logistic regression on the spectrum, which finds traces of upsampling
and smoothing, and a small network on all pixels. An AUC of 0.5 is chance. Lesion-free twins in place of removals give
the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mammogan.data.blobs.blob_detector import breast_of
from mammogan.evaluation.detector import STEPS, Floats, Images, Pixels, auc, check_disjoint, train_detector

RINGS = 24
"""Number of rings of the spectrum, from 0 to half a cycle per pixel."""
STRENGTH = 0.3
"""Inverse strength of the logistic regression's L2 penalty."""


@dataclass(frozen=True)
class DetectorAuc:
    """How well a detector separates adversarial from real: AUC on unseen images, and on those it was trained on."""

    test: float
    train: float


@dataclass(frozen=True)
class FreshDetection:
    spectrum: DetectorAuc
    """A single result, because this detector has no randomness."""
    network: dict[int, DetectorAuc]
    """One result per seed."""


def train_and_test_detectors(
    train: Images, test: Images, seeds: Sequence[int] = (0,), steps: int = STEPS, device: str = "cpu"
) -> FreshDetection:
    """Train and test both detectors.

    The same seed gives the same figures on the same machine. Raise ValueError if one of the four sets is empty, their
    sizes differ, or a patient is in both ``train`` and ``test``.
    """
    every = (train.real, train.adversarial, test.real, test.adversarial)
    if min(map(len, every)) == 0 or len({images.shape[1:] for images in every}) != 1:
        raise ValueError(f"expected four sets of images of one size, found shapes {[images.shape for images in every]}")
    check_disjoint(train.patients, test.patients)
    by_seed = {seed: detect_by_network(train, test, seed, steps, device) for seed in seeds}
    return FreshDetection(detect_by_spectrum(train, test), by_seed)


def detect_by_spectrum(train: Images, test: Images) -> DetectorAuc:
    """Train and test a spectrum detector."""
    scores = train_spectrum_detector(train)
    return DetectorAuc(*(auc(scores(of.real), scores(of.adversarial)) for of in (test, train)))


def train_spectrum_detector(images: Images) -> Callable[[Iterable[Pixels]], Floats]:
    """Train a logistic regression on the standardised ``spectrum_features``; return what scores mammograms with it.

    Scores are as those of ``Detector``: logits, the higher, the more likely adversarial.
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=1000))
    seen = [_spectra(part) for part in (images.real, images.adversarial)]
    model.fit(np.concatenate(seen), np.repeat([0, 1], [len(part) for part in seen]))
    return lambda unseen: np.asarray(model.decision_function(_spectra(unseen)), float)


def spectrum_features(pixels: Pixels) -> Floats:
    """Return the log power in RINGS rings of frequency (Hann window), and the log s.d., in the breast, of the
    difference from a 3 x 3 mean.

    One image, uint16 (H,W) -> (RINGS + 1,).
    """
    values = pixels.astype(float) / 65535
    height, width = values.shape
    power = np.abs(np.fft.fft2(values * np.outer(np.hanning(height), np.hanning(width)))) ** 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    ring = np.digitize(frequency, np.linspace(0, 0.5, RINGS + 1)) - 1
    inside = ring < RINGS
    held = np.maximum(np.bincount(ring[inside], minlength=RINGS), 1)
    rings = np.bincount(ring[inside], power[inside], RINGS) / held
    fine = (values - ndimage.uniform_filter(values, 3))[breast_of(pixels)]
    return np.append(np.log(rings + 1e-12), np.log((fine.std() if fine.size else 0.0) + 1e-9))


def _spectra(images: Iterable[Pixels]) -> Floats:
    return np.stack([spectrum_features(pixels) for pixels in images])


def detect_by_network(
    train: Images, test: Images, seed: int = 0, steps: int = STEPS, device: str = "cpu"
) -> DetectorAuc:
    """Train a Detector for ``steps`` steps, and test it."""
    detector = train_detector(train, seed, steps, device)
    return DetectorAuc(detector.auc(test), detector.auc(train))
