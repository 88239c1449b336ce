"""Train a small network to separate adversarial mammograms from real ones, and score mammograms with it.

The detector knows nothing about the attack. Its score of an image is a logit: the higher, the more likely adversarial.
Patients that it is trained on should not be among those that it is tested on: see ``check_disjoint``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

Pixels = NDArray[np.uint16]
Floats = NDArray[np.float64]

STEPS = 600
PAIRS = 8
"""Number of real mammograms in a batch, and of adversarial ones."""
LEARNING_RATE = 1e-3
SHIFT = 16
"""Augmentation shifts an image up or down by at most 1/SHIFT of its height."""
AT_ONCE = 16
CHECK = 40
"""Steps between two looks at the training images."""
LEAK = 0.2


@dataclass(frozen=True)
class Images:
    """The two sets of mammograms to separate, both uint16 (N,H,W), of one size."""

    real: Pixels
    adversarial: Pixels
    patients: frozenset[str] = frozenset()
    """Patients of both sets, where they are known."""


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


@dataclass(frozen=True)
class Detector:
    """A trained detector. It can be pickled."""

    network: DetectorNetwork

    @torch.no_grad()
    def scores(self, images: Iterable[Pixels]) -> Floats:
        """Return the logit of each image, uint16 (H,W) each or one array (N,H,W) -> (N,); positive: called
        adversarial."""
        device, waiting = next(self.network.parameters()).device, list(images)
        batches = [np.stack(waiting[at : at + AT_ONCE]) for at in range(0, len(waiting), AT_ONCE)]
        found = [self.network(_unit(batch).to(device)).cpu() for batch in batches]
        return torch.cat(found).double().numpy() if found else np.zeros(0)

    def auc(self, images: Images) -> float:
        """Return the AUC with which the detector separates the two sets; both need an image."""
        return auc(self.scores(images.real), self.scores(images.adversarial))


def train_detector(
    images: Images, seed: int = 0, steps: int = STEPS, device: str = "cpu", enough: float | None = None
) -> Detector:
    """Train a detector for ``steps`` steps, on batches of PAIRS real and PAIRS adversarial images.

    ``enough``: stop when the AUC on the training images, measured every CHECK steps, is at least this.

    The same seed gives the same detector on the same machine, and no other random draw of the program is used up.
    """
    with (
        torch.random.fork_rng(devices=range(torch.cuda.device_count())),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        torch.manual_seed(seed)
        return Detector(
            _trained(DetectorNetwork().to(device), images, np.random.default_rng(seed), steps, enough).eval()
        )


def check_disjoint(train: Collection[str], test: Collection[str]) -> None:
    """Raise ValueError if a patient is in both: a detector would be tested on what it has seen."""
    if shared := sorted(set(train) & set(test)):
        raise ValueError(f"{len(shared)} patients are in both training and test images, such as {shared[0]}")


def auc(real: Floats, adversarial: Floats) -> float:
    """Return the area under the ROC curve of scores of real and adversarial images."""
    labels = np.repeat([0, 1], [len(real), len(adversarial)])
    return float(roc_auc_score(labels, np.concatenate([real, adversarial])))


def _trained(
    network: DetectorNetwork, train: Images, random: np.random.Generator, steps: int, enough: float | None
) -> DetectorNetwork:
    optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    for step in range(steps):
        if enough is not None and step and step % CHECK == 0 and Detector(network).auc(train) >= enough:
            break
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


def _unit(images: Pixels) -> Tensor:
    return torch.from_numpy(images.astype(np.float32) / 65535)[:, None]
