"""Insertion by transplant: which banked lesion goes where, and which of several tries is taken.

What is drawn depends on the image's key and a seed alone, so it is the same in whatever order images are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from mammogan.attack.background import as_saved
from mammogan.attack.settings import Background
from mammogan.models.lesion import AIR_CELL
from mammogan.models.networks import Cad, to_uint16, unit_pixels
from mammogan.models.transplant import Lesion, Picture, Scale, put_in

SPOTS = 64
"""Places that are drawn for a lesion; the one whose surroundings are most like its own is taken."""
FROM_RIM = 1.0
"""Lesion radii that a place keeps from skin, chest wall and the picture's borders."""


@dataclass(frozen=True)
class Bank:
    """Lesions to draw from, and their scale."""

    lesions: Sequence[Lesion]
    scale: Scale

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> Bank:
        """Of a checkpoint of training/lesion_bank.py."""
        return cls([Lesion.of_state(s) for s in state["lesions"]], Scale(state["cell"], state["radius"]))


@dataclass(frozen=True)
class Transplant:
    """The attack: at most ``tries`` lesions an image; the first that the CAD calls positive, else its favourite.

    With one try the CAD is not asked. It is shown what would be saved with this ``background``.
    """

    bank: Bank
    tries: int
    seed: int
    cad: Cad | None
    background: Background = "original"

    def alter(self, pixels: Tensor, keys: Sequence[str]) -> Tensor:
        """uint16 (N,1,H,W) with their keys -> uint16 (N,1,H,W) on the CPU."""
        made = [self._one(image[0].cpu().numpy(), key) for image, key in zip(pixels, keys, strict=True)]
        return torch.from_numpy(np.stack(made))[:, None]

    @torch.no_grad()
    def _one(self, image: NDArray[np.uint16], key: str) -> NDArray[np.uint16]:
        """Lesions are put in one after the other, until the CAD calls one positive."""
        picture, asked = unit_pixels(torch.from_numpy(image)).numpy(), []
        for made in self.candidates(picture, key):
            saved = as_saved(image, to_uint16(torch.from_numpy(made)).numpy(), self.background)
            asked.append((self._probability(saved), saved))
            if asked[-1][0] > 0.5:
                return saved
        return max(asked, key=lambda found: found[0])[1]

    def _probability(self, saved: NDArray[np.uint16]) -> float:
        """The CAD's, of cancer; 0 where none is asked."""
        if self.cad is None:
            return 0.0
        device = next(self.cad.parameters()).device
        return float(self.cad.positive_probability(torch.from_numpy(saved)[None, None].to(device)))

    def candidates(self, picture: Picture, key: str) -> Iterator[Picture]:
        """``picture`` (H,W) in [0,1] with each of the lesions that its key draws; untouched where none has room."""
        random, scale = drawn_for(key, self.seed), self.bank.scale
        cells = F.avg_pool2d(torch.from_numpy(picture)[None, None], scale.cell)[0, 0].numpy()
        spots = np.argwhere(_inside(cells, scale))
        if not len(spots):
            yield picture
            return
        like = scale.surroundings(cells)
        for chosen in random.permutation(len(self.bank.lesions))[: self.tries]:
            yield self._grown(picture, self.bank.lesions[chosen], spots, like, random)

    def _grown(
        self, picture: Picture, lesion: Lesion, spots: NDArray[np.intp], like: Picture, random: np.random.Generator
    ) -> Picture:
        some = spots[random.integers(len(spots), size=SPOTS)]
        row, column = some[np.abs(like[some[:, 0], some[:, 1]] - lesion.surroundings).argmin()]
        return put_in(picture, lesion, (int(row), int(column)), self.bank.scale.cell)


def drawn_for(key: str, seed: int) -> np.random.Generator:
    """Random numbers that an image's key and a seed decide, the same on every machine."""
    digest = hashlib.sha256(f"{seed} {key}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def _inside(cells: Picture, scale: Scale) -> NDArray[np.bool_]:
    """Cells far enough inside the breast; the chest wall, at column 0, counts as breast."""
    tissue = ndimage.binary_fill_holes(cells > AIR_CELL)
    away = ndimage.distance_transform_edt(np.pad(tissue, ((1, 1), (0, 1))))[1:-1, :-1]
    return np.asarray(away > max(1.0, FROM_RIM * scale.radius))
