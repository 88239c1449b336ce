"""Define a victim: a classifier that adversarial mammograms are shown to, whether or not they were made against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from mammogan.models.own_cad import as_logits


class Victim(Protocol):
    """A classifier that can be asked for the probability of cancer.

    Its pixels are brightness / 65535 after the grey scale transformations of the DICOM file (VOI included), 0 is air,
    the breast is on the left: those of the shards, whatever the scanner stored.
    """

    @property
    def name(self) -> str:
        """Short name, as in tables."""

    @property
    def sha256(self) -> str:
        """What identifies it: the sha256 of its file, so that other scores are made when it changes."""

    @property
    def differentiable(self) -> bool:
        """Whether the gradient of its scores by the pixels exists, which gradient attacks need."""

    @property
    def at_once(self) -> int:
        """Most images of one call."""

    def positive_probability(self, pixels: Tensor) -> Tensor:
        """Pixels in [0,1], float (N,1,H,W) -> probability of cancer (N,) in [0,1]."""


class HasLogits(Protocol):
    """What gradient attacks and saliency need of a victim: logits (N,2), negative 0, positive 1."""

    def logits(self, pixels: Tensor) -> Tensor:
        """Pixels in [0,1], float (N,1,H,W) -> logits (N,2), differentiable by the pixels."""


@dataclass(frozen=True)
class NetworkVictim:
    """A network in torch: of a checkpoint, a .pt2 file, or a factory.

    It gives logits (N,2), negative first, or probabilities of cancer, (N,) or (N,1).
    """

    name: str
    sha256: str
    network: nn.Module
    device: torch.device | str = "cpu"
    at_once: int = 64
    differentiable: bool = True

    def logits(self, pixels: Tensor) -> Tensor:
        """Return logits (N,2); of a network that gives probabilities, those that its probabilities correspond to."""
        return as_logits(f"victim {self.name}", self.network(pixels.to(self.device)), len(pixels))

    @torch.no_grad()
    def positive_probability(self, pixels: Tensor) -> Tensor:
        return self.logits(pixels).softmax(1)[:, 1].cpu()
