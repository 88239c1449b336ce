"""What somebody else's package may plug in: a classifier, a generator, a step and an attack (docs/extending.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mammogan.models.networks import Critic, Neck, to_uint16, unit_pixels
from mammogan.models.torchvision_import import import_torchvision
from mammogan.training.gan_steps import GeneratorStep
from mammogan.workspace import Direction


class ResNet18(Critic):
    """torchvision's resnet18 with group norm as the body, and the small neck."""

    def make_body(self, width: float) -> nn.Module:
        import_torchvision()
        from torchvision.models import resnet18

        whole = resnet18(norm_layer=lambda channels: nn.GroupNorm(8, channels))
        return nn.Sequential(*list(whole.children())[:-2])

    def make_neck(self, width: float) -> Neck:
        return Neck(512)


class WithBatchNorm(Critic):
    def make_body(self, width: float) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))

    def make_neck(self, width: float) -> Neck:
        return Neck(8)


class Brightness(nn.Module):
    """A generator with two weights: a factor and an offset."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 0.0]))

    def forward(self, pixels: Tensor) -> Tensor:
        unit = unit_pixels(pixels).to(self.weight.dtype)
        return (unit * self.weight[0] + self.weight[1]).clamp(0, 1)


class SmoothStep(GeneratorStep):
    """Eq. 8 and one more term: the total variation of the change."""

    def forward(self, source: Tensor, keep: Tensor) -> dict[str, Tensor]:
        losses = super().forward(source, keep)
        change = self.gnet(source) - source
        variation = (change[..., 1:] - change[..., :-1]).abs().mean()
        return {**losses, "loss": losses["loss"] + variation, "variation": variation}


class Fgsm:
    """One step along the sign of the gradient of the CAD's loss (Goodfellow et al. 2015)."""

    settings: ClassVar[dict[str, Any]] = {"step": 256}

    def __init__(self, cad: Critic, direction: Direction) -> None:
        self.cad, self.label = cad, int(direction.source == "positive")

    def alter(self, pixels: Tensor, facts: Sequence[Mapping[str, Any]]) -> Tensor:
        device = next(self.cad.parameters()).device
        unit = unit_pixels(pixels.to(device)).requires_grad_()
        loss = F.cross_entropy(self.cad(unit), torch.full((len(unit),), self.label, device=device))
        (gradient,) = torch.autograd.grad(loss, unit)
        return to_uint16(unit.detach() + self.settings["step"] / 65535 * gradient.sign()).cpu()
