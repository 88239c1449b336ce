"""Networks of the lesion objective: a generator that adds a small map to a mammogram, and its critic.

Both networks see the mammogram averaged over squares (cells) of ``cell`` x ``cell`` pixels; a lesion is a few cells
wide. Pictures are pixels in [0, 1] of shape (N, 1, H, W); inputs may also be uint16. docs/lesion_objective.md has the
equations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mammogan.models.networks import LEAK, at_least_float32, tissue, unit_pixels
from mammogan.models.weight_values import fill

AIR_CELL = 0.01
"""A cell with a mean up to this fraction of full scale contains no breast. It is more than AIR_PIXEL, so that a cell
with only a few pixels of breast is air too."""
LARGEST_CHANGE = 0.5
"""A map changes a pixel by at most this fraction of the grey range."""
GREY, CONTRAST = 0.45, 4.0
"""The networks see (pixel - GREY) * CONTRAST."""
COARSE = (48, 64, 96, 128)
"""Channels of the generator's levels at width 1; a finer grid puts levels of FINE channels in front."""
FINE = 32
CRITIC = (48, 96, 128, 128, 128)
COARSE_CELLS = 72
"""A picture at least this many cells high gets the additional levels."""


@dataclass(frozen=True)
class Grid:
    """How a picture is divided into cells of ``cell`` x ``cell`` pixels, and how many extra levels a fine grid needs.

    Each of the ``fine_levels`` halves the grid of cells once, before the coarse levels.
    """

    cell: int
    fine_levels: int

    @classmethod
    def of(cls, height: int, cells: int) -> Grid:
        """Choose the grid for pictures ``height`` pixels high that should be about ``cells`` cells high.

        The cell is the nearest power of two, at most 32 pixels.
        """
        cell = 2 ** min(5, max(0, round(math.log2(height / cells))))
        return cls(cell, max(0, round(math.log2(height / cell / 48))) if height / cell >= COARSE_CELLS else 0)

    def pooled(self, pixels: Tensor) -> Tensor:
        """Average the pixels of each cell: (N,1,H,W) in [0,1] or uint16 -> (N,1,H/cell,W/cell) in [0,1]."""
        return F.avg_pool2d(unit_pixels(pixels), self.cell)

    @staticmethod
    def seen(pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Return the networks' input (N,2,h,w), grey values and breast mask, and the mask alone (N,1,h,w); floats."""
        breast = (pooled > AIR_CELL).to(pooled.dtype)
        return torch.cat([(pooled - GREY) * CONTRAST, breast], 1), breast


class LesionGenerator(nn.Module):
    """U-Net that predicts a map to add to the breast of a mammogram; untrained, it adds almost nothing.

    x' = clip(x + [x > AIR_PIXEL] up(m)), m = LARGEST_CHANGE tanh(a) sigmoid(b). a and b are the network's two outputs
    per cell; up is bilinear enlargement. It has no normalisation layers, and it never has to reproduce the picture
    itself: pixels that it does not change keep their exact bits.
    """

    def __init__(self, grid: Grid, width: float = 1.0) -> None:
        super().__init__()
        self.grid, self.width = grid, width
        down = [_channels(c, width) for c in (*[FINE] * grid.fine_levels, *COARSE)]
        self.encoder = nn.ModuleList(_block(i, o) for i, o in zip([2, *down[:-1]], down, strict=True))
        skips, below = down[-2::-1], down[:0:-1]
        self.decoder = nn.ModuleList(_block(b + s, s) for b, s in zip(below, skips, strict=True))
        self.last = nn.Conv2d(down[0], 2, 3, padding=1)
        nn.init.normal_(self.last.weight, 0, 0.02)
        with torch.no_grad():  # sigmoid(-2) is .12: the mask starts nearly closed, and only useful changes open it
            self.last.bias.copy_(torch.tensor([0.0, -2.0]))  # type: ignore[union-attr]

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> LesionGenerator:
        """Build the averaged generator from a checkpoint of training/lesion.py."""
        generator = cls(Grid(state["cell"], state["fine_levels"]), state["width"])
        fill(generator, state["gnet"])
        return generator

    def map(self, pixels: Tensor) -> Tensor:
        """Predict what to add to each cell: (N,1,H,W) -> (N,1,H/cell,W/cell) in [-.5,.5].

        0 in air; at least float32.
        """
        value, breast = self.grid.seen(self.grid.pooled(pixels))
        value, skips = value.to(self.last.weight.dtype), []
        for level, block in enumerate(self.encoder):
            value = block(value if level == 0 else F.avg_pool2d(value, 2, ceil_mode=True))
            skips.append(value)
        skips.pop()
        for block in self.decoder:
            skip = skips.pop()
            upper = F.interpolate(value, size=skip.shape[2:], mode="bilinear")
            value = block(torch.cat([skip, upper], 1))
        change, mask = at_least_float32(self.last(value)).split(1, 1)
        return LARGEST_CHANGE * torch.tanh(change) * torch.sigmoid(mask) * breast

    def apply_map(self, pixels: Tensor, change: Tensor) -> Tensor:
        """Add a map of cells to the breast of a picture: pixels in [0,1]; air is unchanged."""
        unit = unit_pixels(pixels)
        return (unit + enlarged(change, self.grid.cell) * tissue(unit)).clamp(0, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.apply_map(pixels, self.map(pixels))


class LesionCritic(nn.Module):
    """Distinguishes targets from adversarial mammograms by the means of cells: pixels (N,1,H,W) -> one logit (N,1).

    Its head sees the mean and the maximum of each feature over the picture, because a lesion is one place among many.
    """

    def __init__(self, grid: Grid, width: float = 1.0) -> None:
        super().__init__()
        self.grid = grid
        first, second, third, fourth, fifth = (_channels(c, width) for c in CRITIC)
        fine = _channels(FINE, width)
        ins = [2, *[fine] * grid.fine_levels]
        finer = [
            nn.Sequential(
                nn.Conv2d(i, fine, 3, padding=1), nn.LeakyReLU(LEAK), nn.Conv2d(fine, fine, 4, 2, 1), _leaky()
            )
            for i in ins[:-1]
        ]
        self.features = nn.Sequential(
            *finer,
            *(nn.Conv2d(ins[-1], first, 3, padding=1), _leaky()),
            *(nn.Conv2d(first, second, 3, padding=1), _leaky()),
            *(nn.Conv2d(second, third, 4, 2, 1), _leaky()),
            *(nn.Conv2d(third, fourth, 3, padding=1), _leaky()),
            *(nn.Conv2d(fourth, fifth, 3, padding=1), _leaky()),
        )
        self.last = nn.Linear(2 * fifth, 1)
        self._begin()

    def _begin(self) -> None:
        """Draw the weights so that features keep their scale through the layers (He et al. 2015).

        With torch's own they shrink in each layer, and the critic needs many epochs before it tells anything apart.
        """
        for layer in self.features.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, LEAK)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, pixels: Tensor) -> Tensor:
        return self.judge(self.grid.pooled(pixels))

    def judge(self, pooled: Tensor) -> Tensor:
        """Compute the logit (N,1) from means of cells (N,1,h,w). R1 differentiates this with respect to its input."""
        seen, _ = self.grid.seen(pooled)
        features = self.features(seen.to(self.last.weight.dtype)).flatten(2)
        return self.last(torch.cat([features.mean(2) * 4, features.amax(2)], 1))


def enlarged(cells: Tensor, cell: int) -> Tensor:
    """Enlarge a map of cells (N,1,h,w) to pixel size, bilinearly."""
    return F.interpolate(cells, scale_factor=cell, mode="bilinear") if cell > 1 else cells


def _block(ins: int, outs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(ins, outs, 3, padding=1), _leaky(), nn.Conv2d(outs, outs, 3, padding=1), _leaky())


def _leaky() -> nn.Module:
    return nn.LeakyReLU(LEAK)


def _channels(count: int, width: float) -> int:
    return max(4, round(count * width))
