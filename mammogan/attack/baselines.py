"""Simple attacks to compare the GAN with (FGSM, PGD, APGD, Square, noise): their budgets, steps and norms.

Each is ready for ``mammogan generate --attack``; none is trained, the CAD is known.

Budgets are in grey levels of 65535. An Linf budget is the largest change of any pixel; an L2 budget is the root mean
square of the change over all pixels of the image. Only the breast is changed. Pixels are rounded to 16 bits, and by
``--background original`` to the grey levels of the source, so a budget below its step (16 for 12 bits) changes nothing.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mammogan.attack.square import square_attack
from mammogan.data.blobs.blob_detector import breast_of
from mammogan.models.gradient_attacks import Norm, apgd, fgsm, pgd
from mammogan.models.networks import Critic, to_uint16, unit_pixels
from mammogan.workspace import Direction

GREY = 65535


class Baseline(ABC):
    """What all baselines share: the CAD, the true class, the breast, and rounding. Subclasses have ``_moved``."""

    settings: ClassVar[dict[str, Any]] = {"budget": 256}
    """budget: grey levels of 65535."""
    norm: ClassVar[Norm] = "linf"
    """What the budget bounds: the largest change of a pixel (linf), or the root mean square over the image (l2)."""

    def __init__(self, cad: Critic, direction: Direction) -> None:
        self.cad, self.label = cad, int(direction.source == "positive")

    def alter(self, pixels: Tensor, facts: Sequence[Mapping[str, Any]]) -> Tensor:
        """Make adversarial: uint16 (N,1,H,W) and each image's facts -> uint16 (N,1,H,W) on the CPU."""
        device = next(self.cad.parameters()).device
        breast = torch.from_numpy(np.stack([breast_of(image) for image in pixels[:, 0].numpy()]))[:, None].to(device)
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            moved = self._moved(unit_pixels(pixels.to(device)), breast.float(), [str(one["key"]) for one in facts])
        return to_uint16(moved).cpu()

    @abstractmethod
    def _moved(self, pixels: Tensor, breast: Tensor, keys: Sequence[str]) -> Tensor:
        """Return pixels in [0,1], (N,1,H,W), changed in the ``breast``, a mask of 0 and 1, within the budget."""

    def _budget(self, pixels: Tensor) -> float:
        """Return the budget as a distance in pixels of [0,1]; for L2 the norm of a change with that mean square."""
        budget: float = self.settings["budget"] / GREY
        return budget * math.sqrt(pixels[0].numel()) if self.norm == "l2" else budget

    def _labels(self, pixels: Tensor) -> Tensor:
        return torch.full((len(pixels),), self.label, device=pixels.device)


class Fgsm(Baseline):
    """One step along the sign of the gradient."""

    def _moved(self, pixels: Tensor, breast: Tensor, keys: Sequence[str]) -> Tensor:
        return fgsm(self.cad, pixels, self._labels(pixels), self._budget(pixels), breast)


class PgdLinf(Baseline):
    """Ten steps, no pixel changed by more than the budget."""

    settings: ClassVar[dict[str, Any]] = {"budget": 256, "steps": 10}

    def _moved(self, pixels: Tensor, breast: Tensor, keys: Sequence[str]) -> Tensor:
        labels, steps = self._labels(pixels), self.settings["steps"]
        return pgd(self.cad, pixels, labels, self._budget(pixels), self.norm, steps, mask=breast)


class PgdL2(PgdLinf):
    """Ten steps, the root mean square of the change within the budget."""

    norm: ClassVar[Norm] = "l2"


class ApgdLinf(Baseline):
    """APGD with the cross entropy: twenty steps that choose their own size."""

    settings: ClassVar[dict[str, Any]] = {"budget": 256, "steps": 20}

    def _moved(self, pixels: Tensor, breast: Tensor, keys: Sequence[str]) -> Tensor:
        labels, steps = self._labels(pixels), self.settings["steps"]
        return apgd(self.cad, pixels, labels, self._budget(pixels), self.norm, steps, breast)


class ApgdL2(ApgdLinf):
    """APGD, the root mean square of the change within the budget."""

    norm: ClassVar[Norm] = "l2"


class Square(Baseline):
    """Random squares that only need scores: what an attacker without the network's weights can do."""

    settings: ClassVar[dict[str, Any]] = {"budget": 256, "queries": 200, "seed": 0}

    def _moved(self, pixels: Tensor, breast: Tensor, keys: Sequence[str]) -> Tensor:
        seeds = [_seed_of(key, self.settings["seed"]) for key in keys]
        queries = self.settings["queries"]
        budget, away_from = self._budget(pixels), float(self.label)
        return square_attack(self.cad.positive_probability, pixels, away_from, budget, queries, seeds, breast)


class Noise(Baseline):
    """The control: every pixel of the breast moved by the budget up or down, at random."""

    settings: ClassVar[dict[str, Any]] = {"budget": 256, "seed": 0}

    def _moved(self, pixels: Tensor, breast: Tensor, keys: Sequence[str]) -> Tensor:
        signs = [
            torch.randint(
                0, 2, pixels.shape[1:], generator=torch.Generator().manual_seed(_seed_of(key, self.settings["seed"]))
            )
            for key in keys
        ]
        return (pixels + self._budget(pixels) * breast * (torch.stack(signs).to(pixels) * 2 - 1)).clamp(0, 1)


def _seed_of(key: str, seed: int) -> int:
    """Return a seed that depends on the image and on nothing else in its batch."""
    return int.from_bytes(hashlib.sha256(f"{seed} {key}".encode()).digest()[:7])
