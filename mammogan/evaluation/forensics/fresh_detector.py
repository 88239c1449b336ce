"""Train new detectors to separate adversarial mammograms from real ones of the class that they should seem to have.

The two detectors know nothing about the attack: a logistic regression on the spectrum, which finds traces of upsampling
and smoothing, and a small network on all pixels. An AUC of 0.5 is chance. Lesion-free twins in place of removals give
the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from mammogan.data.blobs.blob_detector import breast_of

Pixels = NDArray[np.uint16]
Floats = NDArray[np.float64]
Detector = Callable[[Pixels], Floats]
"""A trained detector: mammograms, uint16 (N,H,W) -> log odds of being adversarial (N,)."""

RINGS = 24
"""Number of rings of the spectrum, from 0 to half a cycle per pixel."""
STRENGTH = 0.3
"""Inverse strength of the logistic regression's L2 penalty."""
STEPS = 600
PAIRS = 8
"""Number of real mammograms in a batch, and of adversarial ones."""
LEARNING_RATE = 1e-3
SHIFT = 16
"""Augmentation shifts an image up or down by at most 1/SHIFT of its height."""
AT_ONCE = 16
LEAK = 0.2


@dataclass(frozen=True)
class Images:
    """The two sets of mammograms to separate, both uint16 (N,H,W), of one size."""

    real: Pixels
    adversarial: Pixels


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
    """Train and test both detectors. Patients of ``train`` should not be among those of ``test``.

    The same seed gives the same figures on the same machine. Raise ValueError if one of the four sets is empty or their
    sizes differ.
    """
    every = (train.real, train.adversarial, test.real, test.adversarial)
    if min(map(len, every)) == 0 or len({images.shape[1:] for images in every}) != 1:
        raise ValueError(f"expected four sets of images of one size, found shapes {[images.shape for images in every]}")
    by_seed = {seed: detect_by_network(train, test, seed, steps, device) for seed in seeds}
    return FreshDetection(detect_by_spectrum(train, test), by_seed)


def detect_by_spectrum(train: Images, test: Images) -> DetectorAuc:
    """Train and test a ``spectrum_detector``."""
    return _tested(spectrum_detector(train), train, test)


def spectrum_detector(train: Images) -> Detector:
    """Train a logistic regression on the standardised ``spectrum_features``."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=1000))
    seen = [_spectra(images) for images in (train.real, train.adversarial)]
    model.fit(np.concatenate(seen), np.repeat([0, 1], [len(part) for part in seen]))
    return lambda images: np.asarray(model.decision_function(_spectra(images)), float)


def _tested(detector: Detector, train: Images, test: Images) -> DetectorAuc:
    return DetectorAuc(*(_auc(detector(of.real), detector(of.adversarial)) for of in (test, train)))


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


def _spectra(images: Pixels) -> Floats:
    return np.stack([spectrum_features(pixels) for pixels in images])


class DetectorNetwork(nn.Module):
    """Five convolutions on all pixels, then mean and maximum of their features: (N,1,H,W) in [0,1] -> logits (N,)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 12, 4, 2, 1), nn.LeakyReLU(LEAK)),
            *(nn.Conv2d(12, 16, 3, padding=1), nn.LeakyReLU(LEAK)),
            *(nn.Conv2d(16, 24, 4, 2, 1), nn.LeakyReLU(LEAK)),
            *(nn.Conv2d(24, 32, 3, padding=1), nn.LeakyReLU(LEAK)),
            *(nn.Conv2d(32, 48, 4, 2, 1), nn.LeakyReLU(LEAK)),
        )
        self.last = nn.Linear(96, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        found = self.features((pixels - 0.4) * 3).flatten(2)
        score: Tensor = self.last(torch.cat([found.mean(2) * 4, found.amax(2)], 1))[:, 0]
        return score


def detect_by_network(
    train: Images, test: Images, seed: int = 0, steps: int = STEPS, device: str = "cpu"
) -> DetectorAuc:
    """Train and test a ``network_detector``."""
    return _tested(network_detector(train, seed, steps, device), train, test)


def network_detector(train: Images, seed: int = 0, steps: int = STEPS, device: str = "cpu") -> Detector:
    """Train a DetectorNetwork for ``steps`` steps, on batches of PAIRS real and PAIRS adversarial images.

    The same seed gives the same detector on the same machine, and uses up no random numbers of anybody else.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), _reproducible():
        torch.manual_seed(seed)
        network = _trained(DetectorNetwork().to(device), train, np.random.default_rng(seed), steps)

    def detect(images: Pixels) -> Floats:
        with _reproducible():
            return _scores(network, images)

    return detect


@contextmanager
def _reproducible() -> Iterator[None]:
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        yield


def _trained(network: DetectorNetwork, train: Images, random: np.random.Generator, steps: int) -> DetectorNetwork:
    optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    for _ in range(steps):
        batch = torch.cat([_drawn(images, random) for images in (train.real, train.adversarial)])
        score = network(batch.to(next(network.parameters()).device))
        loss = F.softplus(score[:PAIRS]).mean() + F.softplus(-score[PAIRS:]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network


def _drawn(images: Pixels, random: np.random.Generator) -> Tensor:
    """Draw PAIRS images with replacement, flipped vertically or not and shifted up or down, filled with air:
    (PAIRS,1,H,W)."""
    drawn = []
    for pixels in images[random.integers(len(images), size=PAIRS)]:
        reach = len(pixels) // SHIFT
        flipped = pixels[::-1] if random.random() < 0.5 else pixels
        drawn.append(_moved(flipped, int(random.integers(-reach, reach + 1))))
    return _unit(np.stack(drawn))


def _moved(pixels: Pixels, rows: int) -> Pixels:
    """Shift the image down by ``rows``, or up if negative."""
    moved = np.zeros_like(pixels)
    if rows >= 0:
        moved[rows:] = pixels[: len(pixels) - rows]
    else:
        moved[:rows] = pixels[-rows:]
    return moved


@torch.no_grad()
def _scores(network: DetectorNetwork, images: Pixels) -> Floats:
    device = next(network.parameters()).device
    found = [network(_unit(images[at : at + AT_ONCE]).to(device)).cpu() for at in range(0, len(images), AT_ONCE)]
    return torch.cat(found).double().numpy()


def _unit(images: Pixels) -> Tensor:
    return torch.from_numpy(images.astype(np.float32) / 65535)[:, None]


def _auc(real: Floats, adversarial: Floats) -> float:
    labels = np.repeat([0, 1], [len(real), len(adversarial)])
    return float(roc_auc_score(labels, np.concatenate([real, adversarial])))
