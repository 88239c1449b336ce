"""Augment a batch on the device as in the study (section 2): a vertical flip and one affine, resampled once.

The parameters are drawn on the CPU for the complete global batch and applied to this rank's share. So the augmentation
of a mammogram depends on its place in the global batch, never on the number of ranks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mammogan.data.loading.to_device import onto


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random augmentation; every parameter is drawn uniformly."""

    rotation: float = 45.0
    """Largest rotation in degrees, in both directions."""
    shear: float = 45.0
    """Largest x-shear in degrees, in both directions."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest factor of the size."""
    flip: float = 0.5
    """Probability of a vertical flip. There is no horizontal flip, so the chest wall stays on the left."""
    shift: float = 0.0
    """Largest shift up or down, as a part of the height, rounded to whole pixels; pixels moved in are 0."""

    @property
    def resamples(self) -> bool:
        """Whether the pixels are interpolated, because rotation, shear or scale is on."""
        return self.rotation > 0 or self.shear > 0 or self.scale != (1.0, 1.0)

    def draw(self, samples: int, generator: torch.Generator) -> Drawn:
        """Draw the parameters for ``samples`` mammograms."""

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(samples, generator=generator, dtype=torch.float64)

        return Drawn(
            flip=uniform(0, 1) < self.flip,
            rotation=uniform(-self.rotation, self.rotation).deg2rad(),
            shear=uniform(-self.shear, self.shear).deg2rad(),
            scale=uniform(*self.scale),
            shift=uniform(-self.shift, self.shift) if self.shift else torch.zeros(samples, dtype=torch.float64),
            resamples=self.resamples,
        )


@dataclass(frozen=True)
class Drawn:
    """The parameters drawn for N mammograms; all tensors have shape (N,).

    ``flip`` is bool, ``rotation`` and ``shear`` are in radians, ``scale`` is a factor, ``shift`` a part of the height.
    """

    flip: Tensor
    rotation: Tensor
    shear: Tensor
    scale: Tensor
    shift: Tensor
    resamples: bool

    def __getitem__(self, part: slice) -> Drawn:
        flip, rotation, shear = self.flip[part], self.rotation[part], self.shear[part]
        return Drawn(flip, rotation, shear, self.scale[part], self.shift[part], self.resamples)

    def apply(self, pixels: Tensor) -> Tensor:
        """Augment floats (N,1,H,W): flip, shift, then resample bilinearly about the centre, with 0 outside.

        Without an affine, pixels are only moved and keep their exact values.
        """
        flip = onto(self.flip, pixels.device).view(-1, 1, 1, 1)
        flipped = self._shifted(torch.where(flip, pixels.flip(2), pixels))
        if not self.resamples:
            return flipped
        height, width = pixels.shape[2:]
        theta = onto(self.sampling_matrices(height, width).to(pixels.dtype), pixels.device)
        grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
        return F.grid_sample(flipped, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    def _shifted(self, pixels: Tensor) -> Tensor:
        rows = (self.shift * pixels.shape[2]).round().int().tolist()
        if not any(rows):
            return pixels
        shifted = torch.zeros_like(pixels)
        for to, of, down in zip(shifted, pixels, rows, strict=True):
            to[:, max(down, 0) : to.shape[1] + min(down, 0)] = of[:, max(-down, 0) : of.shape[1] - max(down, 0)]
        return shifted

    def sampling_matrices(self, height: int, width: int) -> Tensor:
        """Compute where each output pixel is read: (N,2,3) float64, in the normalised coordinates of ``affine_grid``.

        The mammogram is moved by rotation o shear o scale (in pixels, about the centre), so the matrices are the
        inverse of that.
        """
        cos, sin, shear, scale = self.rotation.cos(), self.rotation.sin(), self.shear.tan(), self.scale
        moved = torch.stack([cos, -cos * shear - sin, sin, -sin * shear + cos], 1).view(-1, 2, 2) * scale.view(-1, 1, 1)
        read = torch.linalg.inv(moved)
        sides = torch.tensor([width, height], dtype=torch.float64)
        normalised = read * sides.view(1, 1, 2) / sides.view(1, 2, 1)
        return torch.cat([normalised, torch.zeros(len(scale), 2, 1, dtype=torch.float64)], 2)
