"""Insert a lesion by transplant: choose a lesion of the bank, a place, and one of several tries.

The random choices depend only on the image's key and a seed, not on the order in which images are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from mammogan.attack.config import Background
from mammogan.attack.original_background import with_original_background
from mammogan.models.lesion import AIR_CELL
from mammogan.models.networks import CALLED_POSITIVE, Critic, to_uint16, unit_pixels
from mammogan.models.transplant import Lesion, Picture, Scale, put_in

Facts = Sequence[Mapping[str, Any]]
"""The JSON of each mammogram of a batch, in its order."""
CANDIDATE_PLACES = 64
"""Number of random places considered for a lesion; the one whose surroundings are most like the lesion's own is
used."""
MARGIN_RADII = 1.0
"""Minimum distance of a place from the skin and from the image's borders, in lesion radii.

The chest wall is such a border: a lesion with its centre there would be cut in half.
"""


@dataclass(frozen=True)
class Bank:
    """The lesions to draw from, and their scale."""

    lesions: Sequence[Lesion]
    scale: Scale

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> Bank:
        """Build the bank from a checkpoint state that training/lesion_bank.py wrote."""
        return cls([Lesion.of_state(s) for s in state["lesions"]], Scale(state["cell"], state["radius"]))


@dataclass(frozen=True)
class Transplant:
    """The attack by transplant: at most ``tries`` lesions per image. The first result that the CAD calls positive is
    used, otherwise the one with the highest probability of cancer.

    The CAD scores exactly what would be saved with this ``background``. Without a CAD the first lesion drawn is used.
    """

    bank: Bank
    tries: int
    seed: int
    cad: Critic | None
    background: Background = "original"

    def alter(self, pixels: Tensor, facts: Facts) -> Tensor:
        """Insert lesions: uint16 (N,1,H,W) and the images' facts -> uint16 (N,1,H,W) on the CPU."""
        made = [self._insert(image[0].cpu().numpy(), one["key"]) for image, one in zip(pixels, facts, strict=True)]
        return torch.from_numpy(np.stack(made))[:, None]

    @torch.no_grad()
    def _insert(self, image: NDArray[np.uint16], key: str) -> NDArray[np.uint16]:
        """Try lesions one at a time, each in the unchanged image, until the CAD calls one result positive."""
        picture, tried = unit_pixels(torch.from_numpy(image)).numpy(), []
        for made in self.candidates(picture, key):
            saved = with_original_background(image, to_uint16(torch.from_numpy(made)).numpy(), self.background)
            tried.append((self._probability(saved), saved))
            if tried[-1][0] > CALLED_POSITIVE:
                return saved
        return max(tried, key=lambda found: found[0])[1]

    def _probability(self, saved: NDArray[np.uint16]) -> float:
        """Return the CAD's probability of cancer; 0 if there is no CAD."""
        if self.cad is None:
            return 0.0
        device = next(self.cad.parameters()).device
        return float(self.cad.positive_probability(torch.from_numpy(saved)[None, None].to(device)))

    def candidates(self, picture: Picture, key: str) -> Iterator[Picture]:
        """Yield copies of ``picture`` (H,W) in [0,1], each with one of the lesions drawn for ``key``. If no place has
        room, yield the picture unchanged."""
        random, scale = random_for(key, self.seed), self.bank.scale
        cells = F.avg_pool2d(torch.from_numpy(picture)[None, None], scale.cell)[0, 0].numpy()
        places = np.argwhere(_cells_with_room(cells, scale))
        if not len(places):
            yield picture
            return
        surroundings = scale.surroundings(cells)
        for chosen in random.permutation(len(self.bank.lesions))[: self.tries]:
            yield self._with_lesion(picture, self.bank.lesions[chosen], places, surroundings, random)

    def _with_lesion(
        self,
        picture: Picture,
        lesion: Lesion,
        places: NDArray[np.intp],
        surroundings: Picture,
        random: np.random.Generator,
    ) -> Picture:
        drawn = places[random.integers(len(places), size=CANDIDATE_PLACES)]
        row, column = drawn[np.abs(surroundings[drawn[:, 0], drawn[:, 1]] - lesion.surroundings).argmin()]
        return put_in(picture, lesion, (int(row), int(column)), self.bank.scale.cell)


def random_for(key: str, seed: int) -> np.random.Generator:
    """Return a random generator that depends only on an image's key and a seed, the same on every machine."""
    digest = hashlib.sha256(f"{seed} {key}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def _cells_with_room(cells: Picture, scale: Scale) -> NDArray[np.bool_]:
    """Return which cells are far enough inside the breast, from its skin and from all borders of the image."""
    tissue = ndimage.binary_fill_holes(cells > AIR_CELL)
    distance = ndimage.distance_transform_edt(np.pad(tissue, 1))[1:-1, 1:-1]
    return np.asarray(distance > max(1.0, MARGIN_RADII * scale.radius))
