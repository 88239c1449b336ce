"""Insertion by transplant: which banked lesion goes where, and which of several tries is taken.

What is drawn depends on the image's key and a seed alone, so it is the same in whatever order images are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from mammogan.models.networks import AIR, Cad, to_uint16, unit_pixels
from mammogan.models.transplant import Lesion, Picture, Place, Scale, put_in

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
        return cls([Lesion.of_state(s) for s in state["lesions"]], Scale(state["radius"], state["cell"]))


@dataclass(frozen=True)
class Transplant:
    """The attack: at most ``tries`` lesions an image; the first that the CAD calls positive, else its favourite.

    With one try the CAD is not asked.
    """

    bank: Bank
    tries: int
    seed: int
    cad: Cad | None

    def alter(self, pixels: Tensor, keys: Sequence[str]) -> Tensor:
        """uint16 (N,1,H,W) with their keys -> uint16 (N,1,H,W) on the CPU."""
        return torch.stack([self._one(image, key) for image, key in zip(pixels, keys, strict=True)])

    def _one(self, image: Tensor, key: str) -> Tensor:
        candidates = to_uint16(torch.from_numpy(np.stack(self.candidates(unit_pixels(image)[0].cpu().numpy(), key))))
        chosen = self._favourite(candidates[:, None]) if len(candidates) > 1 and self.cad else 0
        return candidates[chosen][None]

    def candidates(self, picture: Picture, key: str) -> list[Picture]:
        """``picture`` (h,w) in [0,1] with each of the lesions that its key draws; untouched where none has room."""
        random = drawn_for(key, self.seed)
        inside = _inside(picture, self.bank.scale)
        if not inside.any():
            return [picture]
        like, spots = self.bank.scale.surroundings(picture), np.argwhere(inside)
        chosen = random.permutation(len(self.bank.lesions))[: self.tries]
        return [self._grown(picture, self.bank.lesions[i], spots, like, random) for i in chosen]

    def _grown(
        self, picture: Picture, lesion: Lesion, spots: NDArray[np.intp], like: Picture, random: np.random.Generator
    ) -> Picture:
        some = spots[random.integers(len(spots), size=SPOTS)]
        row, column = some[np.abs(like[some[:, 0], some[:, 1]] - lesion.surroundings).argmin()]
        place: Place = int(row), int(column)
        return put_in(picture, lesion, place)

    @torch.no_grad()
    def _favourite(self, candidates: Tensor) -> int:
        assert self.cad is not None
        device = next(self.cad.parameters()).device
        found = torch.cat([self.cad.positive_probability(c[None].to(device)) for c in candidates])
        over = (found > 0.5).nonzero()
        return int(over[0]) if len(over) else int(found.argmax())


def drawn_for(key: str, seed: int) -> np.random.Generator:
    """Random numbers that an image's key and a seed decide, the same on every machine."""
    digest = hashlib.sha256(f"{seed} {key}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def _inside(picture: Picture, scale: Scale) -> NDArray[np.bool_]:
    """Places far enough inside the breast; the chest wall, at column 0, counts as breast."""
    tissue = ndimage.binary_fill_holes(picture > AIR)
    reach = max(1, round(FROM_RIM * scale.radius))
    away = ndimage.distance_transform_edt(np.pad(tissue, ((1, 1), (0, 1))))[1:-1, :-1]
    return np.asarray(away > reach)
